// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/crowd/segment.h"
#include "bench/wire/message.h"

namespace hawser::bench {

enum class EndState : std::uint8_t {
    closed,   // or never opened
    syn,      // client: SYN sent; server: SYN answered
    asked,    // client: the opening handshake is sent
    open,     // a tunnel
    echoing,  // client: a message is sent and not yet back
    broken,   // it was a tunnel, and was reset, ended or sent what it should not
};

// One end of a tunnel: all that is kept of it. One message at a time is under way, so nothing else has to be
// remembered to send it again.
struct End {
    std::uint32_t send_next = 0, receive_next = 0;
    std::uint32_t peer_timestamp = 0;  // its last TSval, for our TSecr
    EndState state = EndState::closed;
};

// The endpoint's part: every opening handshake is accepted, every message comes back.
class CrowdServer {
  public:
    // Takes a segment that came for `end`; true when `out` is to be sent in answer. `out` is valid until the
    // next call. `now`: our clock for TSval, any unit from 1 ms to 1 s.
    bool take(End& end, const Segment& in, std::uint32_t now, Segment& out);

  private:
    bool answer_payload(End& end, const Segment& in, std::uint32_t now, Segment& out);
    [[nodiscard]] bool make_reply(std::span<const std::uint8_t> request);

    std::vector<std::uint8_t> reply_;
};

// The client's part. What is not answered is sent again by resend(): losses are its caller's to notice.
class CrowdClient {
  public:
    // `host`: of the Host header.
    explicit CrowdClient(const std::string& host);

    // The addresses and ports of `out` are the caller's to fill in before, in all three.
    void open(End& end, std::uint32_t now, Segment& out);
    // Sends a message to an open tunnel.
    void echo(End& end, std::uint32_t now, Segment& out);
    // What the end waits for an answer to, once more; false when it waits for nothing.
    bool resend(const End& end, std::uint32_t now, Segment& out) const;

    bool take(End& end, const Segment& in, std::uint32_t now, Segment& out);

  private:
    bool take_payload(End& end, const Segment& in);

    MessageTape tape_;
    std::string request_, accept_;
    std::vector<std::uint8_t> frame_;
};

// Bytes of payload in a crowd's message.
inline constexpr std::size_t crowd_message = 64;

}  // namespace hawser::bench
