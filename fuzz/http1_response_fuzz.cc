// SPDX-License-Identifier: Apache-2.0
// A response head parses to the same whether it comes whole or in pieces, and what comes out is inside its
// buffer.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/http1/parser.h"

namespace {

using namespace hawser::gateway::http1;
using Outcome = std::variant<NeedMore, ResponseHead, ParseError>;

void require(bool condition) {
    if (!condition) std::abort();
}

void check(const ResponseHead& head, std::size_t input_size) {
    require(head.size <= input_size);
    require(head.status >= 100 && head.status <= 999 && head.minor_version <= 1);
    for (const Field& field : head.fields.all()) {
        require(!field.name.empty() && field.name.find_first_of(" \t\r\n:") == std::string_view::npos);
        require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
        require(field.name.data() >= head.bytes.get());
        require(field.value.data() + field.value.size() <= head.bytes.get() + head.size);
    }
    require(!head.keep_alive || head.framing.kind != Framing::Kind::until_close);
}

std::string describe(const Outcome& outcome) {
    if (std::holds_alternative<ParseError>(outcome)) return "error";
    if (std::holds_alternative<NeedMore>(outcome)) return "more";
    const auto& head = std::get<ResponseHead>(outcome);
    std::string out = std::to_string(head.status) + "|" + std::string(head.reason) + "|" +
                      std::to_string(head.size) + "|" + std::to_string(static_cast<int>(head.framing.kind)) +
                      std::to_string(head.framing.length);
    for (const Field& field : head.fields.all())
        out.append("|").append(field.name).append("=").append(field.value);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const bool was_head = (data[0] & 1) != 0;
    const std::size_t max_size = 32 + 2 * std::size_t{data[0]};
    const std::size_t step = 1 + data[1] % 16;
    const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);

    const Outcome whole = ResponseParser(max_size, was_head).parse(input);
    if (const auto* head = std::get_if<ResponseHead>(&whole)) check(*head, input.size());

    ResponseParser parser(max_size, was_head);
    Outcome pieces;
    for (std::size_t have = 0; std::holds_alternative<NeedMore>(pieces);) {
        have = std::min(have + step, input.size());
        const std::string copy(input.substr(0, have));
        pieces = parser.parse(copy);
        if (have == input.size()) break;
    }
    require(describe(pieces) == describe(whole));
    return 0;
}
