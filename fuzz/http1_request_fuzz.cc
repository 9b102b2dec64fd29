// SPDX-License-Identifier: Apache-2.0
// A request head parses to the same whether it comes whole or in pieces, and what comes out is inside its
// buffer and free of what smuggles.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/http1/parser.h"

namespace {

using namespace hawser::gateway::http1;
using Outcome = std::variant<NeedMore, RequestHead, ParseError>;

void require(bool condition) {
    if (!condition) std::abort();
}

void check(const RequestHead& head, std::size_t input_size) {
    require(head.size <= input_size);
    require(!head.path.empty() && head.path.front() == '/');
    require(head.path.find('\0') == std::string::npos);
    require(("/" + head.path + "/").find("/../") == std::string::npos ||
            head.path.find('?') != std::string::npos || head.path.find("//") != std::string::npos);
    require(head.minor_version <= 1 || head.minor_version == 9);
    const std::string_view bytes(head.bytes.get(), head.size);
    for (const Field& field : head.fields.all()) {
        require(!field.name.empty() &&
                field.name.find_first_of(std::string_view(" \t\r\n:\0", 6)) == std::string_view::npos);
        require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
        require(field.name.data() >= bytes.data() &&
                field.value.data() + field.value.size() <= bytes.data() + bytes.size());
    }
    require(head.fields.count("host") <= 1 && head.fields.count("content-length") <= 1);
    require(head.fields.count("transfer-encoding") + head.fields.count("content-length") <= 1);
}

std::string describe(const Outcome& outcome) {
    if (std::holds_alternative<ParseError>(outcome)) return "error";
    if (std::holds_alternative<NeedMore>(outcome)) return "more";
    const auto& head = std::get<RequestHead>(outcome);
    std::string out = head.path + "|" + std::string(head.query) + "|" + std::string(head.host) + "|" +
                      std::to_string(head.size);
    for (const Field& field : head.fields.all())
        out.append("|").append(field.name).append("=").append(field.value);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    RequestLimits limits;
    limits.merge_slashes = (data[0] & 1) != 0;
    limits.ignore_invalid_headers = (data[0] & 2) != 0;
    limits.underscores_in_headers = (data[0] & 4) != 0;
    limits.header_buffer_size = 16 + data[0];
    limits.large_buffer_size = 64 + data[1];
    limits.max_fields = 8;
    const std::size_t step = 1 + data[1] % 16;
    const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);

    const Outcome whole = RequestParser(limits).parse(input);
    if (const auto* head = std::get_if<RequestHead>(&whole)) check(*head, input.size());

    RequestParser parser(limits);
    Outcome pieces;
    for (std::size_t have = 0; std::holds_alternative<NeedMore>(pieces);) {
        have = std::min(have + step, input.size());
        const std::string copy(input.substr(0, have));
        pieces = parser.parse(copy);
        (void)parser.request_line_of(copy);
        if (have == input.size()) break;
    }
    require(describe(pieces) == describe(whole));
    return 0;
}
