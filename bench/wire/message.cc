// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/message.h"

#include <cstring>

namespace hawser::bench {

MessageTape::MessageTape(std::size_t longest_message) : tape_(longest_message + 256) {
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (auto& byte : tape_) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<std::uint8_t>(state >> 32);
    }
}

std::span<const std::uint8_t> MessageTape::message(std::uint64_t number, std::size_t size) const {
    return std::span(tape_).subspan(number % 256, size);
}

bool MessageTape::matches(std::uint64_t number, std::uint64_t offset,
                          std::span<const std::uint8_t> piece) const {
    const std::uint64_t start = number % 256 + offset;
    if (start > tape_.size() || piece.size() > tape_.size() - start) return false;
    return std::memcmp(tape_.data() + start, piece.data(), piece.size()) == 0;
}

}  // namespace hawser::bench
