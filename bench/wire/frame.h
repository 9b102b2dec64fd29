// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hawser::bench {

using MaskKey = std::array<std::uint8_t, 4>;

enum Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// The head of a WebSocket frame (RFC 6455 section 5.2), without extensions.
struct FrameHeader {
    std::uint64_t length = 0;  // of the payload
    MaskKey key{};             // meaningful when masked
    std::uint8_t opcode = binary;
    bool fin = true;
    bool masked = false;
};

inline constexpr std::size_t largest_header = 14;

// Writes the header in its shortest form; returns its size, 2 to 14 bytes.
std::size_t encode(const FrameHeader& header, std::uint8_t* out);

// XORs `data` with the key in place (section 5.3); `offset` is where `data` begins in the payload.
void apply_mask(std::span<std::uint8_t> data, MaskKey key, std::uint64_t offset);
// The same from `from` to `to`, which must have room for as many bytes and must not overlap it.
void copy_masked(std::span<const std::uint8_t> from, std::uint8_t* to, MaskKey key, std::uint64_t offset);

// Cuts a byte stream into frames, whatever the pieces in which it arrives. Holds a header at most, never
// payload.
//
// The visitor is told of each frame in order:
//   bool begin(const FrameHeader&)
//   bool payload(const FrameHeader&, std::span<std::uint8_t> piece, std::uint64_t offset)   still masked; not
//   empty bool end(const FrameHeader&)
// and stops the reading by returning false.
class FrameReader {
  public:
    // False when the visitor stopped it or the bytes are not WebSocket; error() is empty in the first case.
    // A reader that returned false must not be used again.
    template <class Visitor>
    bool read(std::span<std::uint8_t> bytes, Visitor&& visitor) {
        while (!bytes.empty()) {
            if (!in_payload_) {
                bytes = bytes.subspan(take_header(bytes));
                if (!error_.empty()) return false;
                if (!in_payload_) return true;
                if (!visitor.begin(header_)) return false;
            }
            const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), header_.length - at_));
            if (!piece.empty() && !visitor.payload(header_, piece, at_)) return false;
            at_ += piece.size();
            bytes = bytes.subspan(piece.size());
            if (at_ < header_.length) return true;
            in_payload_ = false;
            if (!visitor.end(header_)) return false;
        }
        return true;
    }

    [[nodiscard]] std::string_view error() const { return error_; }

  private:
    // Takes bytes into the header; sets in_payload_ when it is complete. Returns how many it took.
    std::size_t take_header(std::span<const std::uint8_t> bytes);
    void decode_header();

    FrameHeader header_;
    std::uint64_t at_ = 0;
    std::string_view error_;
    std::array<std::uint8_t, largest_header> raw_{};
    std::uint8_t have_ = 0;
    bool in_payload_ = false;
};

}  // namespace hawser::bench
