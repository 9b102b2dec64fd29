// SPDX-License-Identifier: Apache-2.0
#include "tunnel/frame_tracker.h"

#include <algorithm>
#include <cstring>

namespace hawser::tunnel {

namespace {
constexpr std::uint8_t opcode_close = 8;
constexpr std::uint8_t mask_bit = 0x80;

std::uint8_t header_size(const std::array<std::uint8_t, 14>& header) {
    const std::uint8_t length = header[1] & 0x7f;
    const int extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    return static_cast<std::uint8_t>(2 + extended + ((header[1] & mask_bit) != 0 ? 4 : 0));
}
}  // namespace

std::size_t FrameTracker::feed(const char* bytes, std::size_t size) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(bytes);
    const auto* const begin = at;
    const auto* const end = at + size;
    const auto* boundary = at;
    while (at != end && !broken_) {
        if (remaining_ != 0) {
            const auto n = static_cast<std::size_t>(
                std::min<std::uint64_t>(remaining_, static_cast<std::uint64_t>(end - at)));
            if (in_close_) payload(at, n);
            remaining_ -= n;
            at += n;
            if (remaining_ == 0) boundary = at;
            continue;
        }
        const std::uint8_t want = header_have_ < 2 ? 2 : header_size(header_);
        const auto n = std::min<std::size_t>(want - header_have_, static_cast<std::size_t>(end - at));
        std::memcpy(header_.data() + header_have_, at, n);
        header_have_ = static_cast<std::uint8_t>(header_have_ + n);
        at += n;
        if (header_have_ >= 2 && header_have_ == header_size(header_)) begin_frame();
        if (header_have_ == 0 && remaining_ == 0) boundary = at;
    }
    return broken_ ? 0 : static_cast<std::size_t>(boundary - begin);
}

void FrameTracker::begin_frame() {
    header_have_ = 0;
    const std::uint8_t opcode = header_[0] & 0x0f;
    const std::uint8_t length = header_[1] & 0x7f;
    const bool control = (opcode & 8) != 0;
    const bool reserved = (opcode > 2 && opcode < 8) || opcode > 10;
    if (reserved || (control && (length > 125 || (header_[0] & 0x80) == 0))) {
        broken_ = true;
        return;
    }
    remaining_ = length;
    if (length >= 126) {
        remaining_ = 0;
        const int bytes = length == 126 ? 2 : 8;
        for (int i = 0; i < bytes; ++i)
            remaining_ = remaining_ << 8 | header_[2 + static_cast<std::size_t>(i)];
        if ((remaining_ >> 63) != 0) {
            broken_ = true;
            return;
        }
    }
    ++frames_;
    in_close_ = opcode == opcode_close;
    if (in_close_) {
        close_have_ = 0;
        if (remaining_ < 2) close_code_ = 1005;
    }
}

void FrameTracker::payload(const std::uint8_t* bytes, std::size_t size) {
    const bool masked = (header_[1] & mask_bit) != 0;
    const std::size_t key = static_cast<std::size_t>(header_size(header_)) - 4;
    for (std::size_t i = 0; i < size && close_have_ < 2; ++i, ++close_have_) {
        const std::uint8_t plain = masked ? bytes[i] ^ header_[key + close_have_] : bytes[i];
        // The first byte is parked in the header's opcode slot, which is not needed any more.
        if (close_have_ == 0)
            header_[0] = plain;
        else
            close_code_ = static_cast<std::uint16_t>(header_[0] << 8 | plain);
    }
    if (close_have_ == 2 && close_code_ == 0) close_code_ = 1005;  // code 0 is no code
}

std::string make_close_frame(std::uint16_t code, std::string_view reason, bool masked) {
    const std::string text(reason.substr(0, 123));
    std::string frame;
    frame += static_cast<char>(0x88);
    frame += static_cast<char>((masked ? mask_bit : 0) | (2 + text.size()));
    if (masked) frame.append(4, '\0');
    frame += static_cast<char>(code >> 8);
    frame += static_cast<char>(code & 0xff);
    return frame + text;
}

}  // namespace hawser::tunnel
