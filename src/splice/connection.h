// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "net/address.h"

namespace hawser::splice {

// What a connected TCP socket tells of itself: what the kernel says in TCP_INFO, and in repair mode
// (CAP_NET_ADMIN).
struct ConnectionFacts {
    bool established = false;
    bool peer_finished = false;  // the peer's FIN has come, or the connection is no more
    bool timestamps = false, sack = false, window_scaling = false;
    std::uint8_t peer_window_scale = 0;  // of the windows that the peer writes
    std::uint8_t our_window_scale = 0;   // of those that we write
    std::uint32_t send_mss = 0;          // payload and options that a segment to the peer may have
    std::uint32_t advertised_mss = 0;    // that we told the peer
    std::uint32_t round_trip_us = 0;     // smoothed
};
std::optional<ConnectionFacts> facts_of(int fd);

// Numbers that name one instant; nobody may write to the socket meanwhile.
struct ConnectionNumbers {
    std::uint32_t send_next = 0;     // one past the last byte given to the socket
    std::uint32_t receive_next = 0;  // one past the last byte that came in order
    std::uint32_t timestamp = 0;     // our TSval now
};
std::optional<ConnectionNumbers> numbers_of(int fd);

// Makes the peer answer: a segment that it has already (a window probe).
void probe(int fd);
// Ends the connection on this side without a word to the peer; the descriptor stays open, and is dead.
void close_silently(int fd);
// So much at most may the peer send ahead, about; 0 = as the kernel likes.
void narrow_window(int fd, int bytes);

[[nodiscard]] int unread(int fd);          // FIONREAD
[[nodiscard]] int unsent(int fd);          // SIOCOUTQNSD
[[nodiscard]] int unacknowledged(int fd);  // SIOCOUTQ

}  // namespace hawser::splice
