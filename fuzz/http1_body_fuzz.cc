// SPDX-License-Identifier: Apache-2.0
// A body decodes to the same payload whether it comes whole or in pieces, every step makes progress, and what
// was decoded survives being chunked again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/http1/body.h"

namespace {

using namespace hawser::gateway::http1;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Result {
    std::string data, trailers;
    std::size_t consumed = 0;
    bool done = false, invalid = false;
};

Result decode(const Framing& framing, std::string_view input, std::size_t size) {
    BodyDecoder decoder(framing);
    Result result;
    result.done = decoder.done();
    for (std::size_t at = 0; at < input.size() && !result.done && !result.invalid; at += size) {
        const std::string piece(input.substr(at, size));
        std::string_view rest = piece;
        while (!rest.empty() && !result.done && !result.invalid) {
            const auto step = decoder.next(rest);
            require(step.consumed > 0 || step.invalid);
            require(step.consumed <= rest.size());
            require(step.payload.empty() ||
                    (step.payload.data() >= rest.data() &&
                     step.payload.data() + step.payload.size() <= rest.data() + step.consumed));
            require(step.done == decoder.done());
            result.data.append(step.payload);
            result.consumed += step.consumed;
            result.done = step.done;
            result.invalid = step.invalid;
            rest.remove_prefix(step.consumed);
        }
    }
    result.trailers = decoder.trailers();
    require(result.trailers.size() <= 8194);
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    Framing framing;
    framing.kind = (data[0] & 7) == 0 ? Framing::Kind::length : Framing::Kind::chunked;
    framing.length = data[0];
    const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);

    const Result whole = decode(framing, input, std::max<std::size_t>(input.size(), 1));
    const Result pieces = decode(framing, input, 1 + data[1] % 16);
    require(whole.done == pieces.done && whole.invalid == pieces.invalid && whole.data == pieces.data);
    require(!whole.done || (whole.consumed == pieces.consumed && whole.trailers == pieces.trailers));
    if (!whole.done || whole.data.empty()) return 0;

    char head[18];
    const std::string again = std::string(head, write_chunk_head(whole.data.size(), head)) + whole.data +
                              "\r\n" + std::string(last_chunk);
    const Result back = decode({Framing::Kind::chunked, 0}, again, again.size());
    require(back.done && back.data == whole.data && back.consumed == again.size());
    return 0;
}
