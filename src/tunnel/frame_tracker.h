// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace hawser::tunnel {

// Follows the WebSocket frames (RFC 6455 §5.2) of one direction of a tunnel without touching a byte: counts
// them, remembers the close code, knows where a frame ends. about 40 bytes of state. A stream that cannot be
// WebSocket frames (RSV1-3 all with unknown opcodes, a 64-bit length with its top bit set, a fragmented or
// long control frame) turns the tracker off: from then on it counts nothing and is never at a boundary.
class FrameTracker {
  public:
    // Returns how many of these bytes end at the last boundary among them; 0 when no frame ends in them.
    std::size_t feed(const char* bytes, std::size_t size);

    [[nodiscard]] std::uint64_t frames() const { return frames_; }
    // The status code of the Close frame, if one has passed; 1005 if it carried none (RFC 6455 §7.1.5).
    [[nodiscard]] std::optional<std::uint16_t> close_code() const {
        return close_code_ != 0 ? std::optional(close_code_) : std::nullopt;
    }
    // True between two frames: a control frame may be written here (also between fragments of a message,
    // §5.4).
    [[nodiscard]] bool at_boundary() const {
        return !broken_ && header_have_ == 0 && remaining_ == 0 && close_code_ == 0;
    }
    [[nodiscard]] bool broken() const { return broken_; }

  private:
    void begin_frame();
    void payload(const std::uint8_t* bytes, std::size_t size);

    std::uint64_t frames_ = 0;
    std::uint64_t remaining_ = 0;  // payload bytes still to come
    std::array<std::uint8_t, 14> header_{};
    std::uint8_t header_have_ = 0;
    std::uint8_t close_have_ = 0;  // payload bytes of the Close frame seen, up to 2
    bool in_close_ = false;
    bool broken_ = false;
    std::uint16_t close_code_ = 0;
};

// An unfragmented Close frame with a code and a reason of at most 123 bytes. Masked for the direction to a
// server (RFC 6455 §5.3; the mask need not be random where the payload is our own text).
std::string make_close_frame(std::uint16_t code, std::string_view reason, bool masked);

}  // namespace hawser::tunnel
