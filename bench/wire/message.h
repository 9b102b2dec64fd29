// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hawser::bench {

// The contents of the messages that are sent: byte i of message number n is byte (n mod 256) + i of one fixed
// pseudo-random tape, so that a byte lost, doubled, swapped or taken from another message shows.
class MessageTape {
  public:
    explicit MessageTape(std::size_t longest_message);

    // The payload of message `number`; `size` is at most the longest of the constructor. Valid as long as the
    // tape.
    [[nodiscard]] std::span<const std::uint8_t> message(std::uint64_t number, std::size_t size) const;
    // Whether `piece` is what stands at `offset` of message `number`; false also past the longest message.
    [[nodiscard]] bool matches(std::uint64_t number, std::uint64_t offset,
                               std::span<const std::uint8_t> piece) const;

  private:
    std::vector<std::uint8_t> tape_;
};

}  // namespace hawser::bench
