// SPDX-License-Identifier: Apache-2.0
// What another node says: any bytes, in pieces of any size.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "replication/message.h"

namespace {

using namespace hawser::replication;

struct Taken {
    std::vector<Message> messages;
    std::string failure;
    bool operator==(const Taken&) const = default;
};

Taken take(std::span<const std::uint8_t> bytes, std::size_t most) {
    Taken out;
    Decoder decoder;
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(most, bytes.size()));
        bytes = bytes.subspan(piece.size());
        decoder.feed(piece);
        for (;;) {
            auto message = decoder.next();
            if (!message) {
                out.failure = message.error().text();
                if (out.failure.empty() || decoder.next()) std::abort();  // an error has words, and stays
                return out;
            }
            if (!*message) break;
            out.messages.push_back(std::move(**message));
        }
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    const Taken whole = take(bytes, std::max<std::size_t>(bytes.size(), 1));
    if (take(bytes, 1 + std::size_t{data[0]}) != whole) std::abort();
    // What was taken is said again in the same words, and within the limit of a message.
    Bytes again;
    for (const auto& message : whole.messages) {
        const std::size_t before = again.size();
        encode(message, again);
        if (again.size() - before > 4 + largest_message) std::abort();
    }
    if (take(again, again.size()) != Taken{whole.messages, ""}) std::abort();
    return 0;
}
