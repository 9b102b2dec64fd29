// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>

namespace hawser::im {

// What a client may cost. Every value is a command-line option of the same name.
struct Limits {
    std::size_t max_connections = 10'000;     // WebSocket and HTTP together; further ones get 503
    std::size_t max_frame_bytes = 16 * 1024;  // of one WebSocket message, inflated; past it close 1009
    std::size_t max_rooms = 100'000;          // direct ones included; kept in memory on every replica
    double rate = 20;                         // requests a second of one session, 0: unlimited
    double burst = 60;                        // requests at once
    unsigned strikes = 40;                    // refused requests in a row, then close 1008
    std::size_t queue_bytes = 1024 * 1024;    // waiting to be written to one client; past it close 1013
    std::chrono::milliseconds write_timeout{20'000};      // without progress on a write: cut
    std::chrono::milliseconds handshake_timeout{10'000};  // for the headers of a request
    std::chrono::milliseconds auth_timeout{10'000};       // from the 101 to the sign-in; past it close 1008
    std::chrono::milliseconds idle_timeout{60'000};       // nothing heard, not even the pong to our ping: cut
    std::size_t max_body_bytes = 64 * 1024;               // of a REST request
};

// WebSocket close codes that the service sends (RFC 6455 §7.4.1 and the IANA registry).
enum class CloseCode : unsigned short {
    normal = 1000,
    going_away = 1001,
    unsupported_data = 1003,
    policy = 1008,
    service_restart = 1012,
    try_again_later = 1013,
};

// The allowance of one session: `rate` a second, at most `burst` saved up. Starts full. Rate 0: unlimited.
class Allowance {
  public:
    using Clock = std::chrono::steady_clock;
    Allowance(double rate, double burst) : rate_(rate), burst_(burst), left_(burst) {}

    // Takes one; nothing is taken when there is none.
    bool take(Clock::time_point now);
    // How long until take() succeeds.
    [[nodiscard]] std::chrono::milliseconds wait() const;

  private:
    double rate_;
    double burst_;
    double left_;
    Clock::time_point at_{};
};

}  // namespace hawser::im
