// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "catalog/regex.h"

#include <pcre2.h>

namespace hawser::catalog {

namespace {
constexpr std::uint32_t match_limit = 1'000'000;  // about 10 ms; PCRE2's own default is ten times that

struct MatchContext {
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    MatchContext() { pcre2_set_match_limit(context, match_limit); }
    ~MatchContext() { pcre2_match_context_free(context); }
    MatchContext(const MatchContext&) = delete;
    MatchContext& operator=(const MatchContext&) = delete;
};
}  // namespace

net::Result<std::shared_ptr<const Regex>> Regex::compile(std::string_view pattern, bool ignore_case) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    auto* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   ignore_case ? PCRE2_CASELESS : 0, &code, &offset, nullptr);
    if (compiled == nullptr) {
        PCRE2_UCHAR text[256];
        pcre2_get_error_message(code, text, sizeof text);
        net::Error error;
        error.message = std::string(reinterpret_cast<char*>(text)) + " at offset " + std::to_string(offset);
        return error;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // where the JIT is missing, matching interprets

    auto regex = std::shared_ptr<Regex>(new Regex);
    regex->code_ = compiled;
    regex->pattern_ = pattern;
    regex->ignore_case_ = ignore_case;
    pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &regex->capture_count_);

    std::uint32_t count = 0;
    std::uint32_t entry_size = 0;
    PCRE2_SPTR table = nullptr;
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMETABLE, &table);
    for (std::uint32_t i = 0; i < count; ++i) {
        const PCRE2_SPTR entry = table + std::size_t{i} * entry_size;
        regex->names_.emplace_back(reinterpret_cast<const char*>(entry + 2),
                                   static_cast<std::uint32_t>(entry[0]) << 8 | entry[1]);
    }
    return std::shared_ptr<const Regex>(std::move(regex));
}

Regex::~Regex() { pcre2_code_free(static_cast<pcre2_code*>(code_)); }

bool Regex::match(std::string_view subject, Captures* captures) const {
    const auto* code = static_cast<const pcre2_code*>(code_);
    const MatchContext context;
    pcre2_match_data* data = pcre2_match_data_create_from_pattern(code, nullptr);
    const int groups = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), 0, 0,
                                   data, context.context);
    if (groups > 0 && captures != nullptr) {
        const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data);
        captures->assign(capture_count_ + 1, {std::string::npos, std::string::npos});
        for (int i = 0; i < groups; ++i) {
            if (offsets[2 * i] == PCRE2_UNSET) continue;
            (*captures)[static_cast<std::size_t>(i)] = {offsets[2 * i], offsets[2 * i + 1]};
        }
    }
    pcre2_match_data_free(data);
    return groups > 0;
}

}  // namespace hawser::catalog
