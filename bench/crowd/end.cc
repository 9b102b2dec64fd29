// SPDX-License-Identifier: Apache-2.0
#include "bench/crowd/end.h"

#include <algorithm>
#include <string_view>

#include "bench/wire/frame.h"
#include "bench/wire/handshake.h"

namespace hawser::bench {

namespace {

// More than a message needs; with window scale 7 it is 1 MiB.
constexpr std::uint16_t window = 8192;

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const std::uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Everything of `out` but the addresses, from what the end knows; its sequence number is the next one.
void fill(const End& end, std::uint8_t flags, std::uint32_t now, Segment& out) {
    out.sequence = end.send_next;
    out.acknowledgment = (flags & tcp_ack) != 0 ? end.receive_next : 0;
    out.flags = flags;
    out.window = window;
    out.tsval = now;
    out.tsecr = end.peer_timestamp;
    out.payload = {};
}

void turn_round(const Segment& in, Segment& out) {
    out.source = in.destination;
    out.source_port = in.destination_port;
    out.destination = in.source;
    out.destination_port = in.source_port;
}

// What happens to both ends alike; true when `in` is done with. `answers`: `out` is to be sent.
bool take_common(End& end, const Segment& in, std::uint32_t now, Segment& out, bool& answers) {
    answers = false;
    if (in.has(tcp_rst)) {
        if (end.state != EndState::closed) end.state = EndState::broken;
        return true;
    }
    // Never a SYN here. RFC 9293 section 3.10.7.4: what is not the next is acknowledged, be it a keepalive
    // (one byte below), the other end's sending once more, or beyond a loss.
    const bool is_repeated = !in.payload.empty() && in.sequence + in.length() == end.receive_next;
    if (in.sequence != end.receive_next && !is_repeated) {
        fill(end, tcp_ack, now, out);
        answers = true;
        return true;
    }
    if (in.tsval != 0) end.peer_timestamp = in.tsval;
    if (in.has(tcp_fin) && in.payload.empty()) {
        end.receive_next += 1;
        end.state = EndState::broken;
        fill(end, tcp_ack | tcp_fin, now, out);
        end.send_next += 1;
        answers = true;
        return true;
    }
    return in.payload.empty();
}

struct OneFrame {
    std::vector<std::uint8_t> bytes;
    FrameHeader header;
    bool whole = false;

    bool begin(const FrameHeader& h) {
        header = h;
        return !whole;
    }
    bool payload(const FrameHeader&, std::span<std::uint8_t> piece, std::uint64_t) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
        return true;
    }
    bool end(const FrameHeader&) { return whole = true; }
};

// The unmasked payload of one whole frame and nothing else; empty when that is not what there is.
std::vector<std::uint8_t> message_in(std::span<const std::uint8_t> bytes, bool masked) {
    std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
    OneFrame frame;
    FrameReader reader;
    if (!reader.read(copy, frame) || !frame.whole || frame.header.masked != masked) return {};
    if (masked) apply_mask(frame.bytes, frame.header.key, 0);
    return std::move(frame.bytes);
}

}  // namespace

bool CrowdServer::take(End& end, const Segment& in, std::uint32_t now, Segment& out) {
    turn_round(in, out);
    if (in.has(tcp_syn)) {
        // A new one of this 4-tuple, or the same again.
        if (end.state != EndState::syn || end.receive_next != in.sequence + 1) {
            end.send_next = (in.sequence ^ 0x5bd1e995U) + 1;
            end.receive_next = in.sequence + 1;
            end.state = EndState::syn;
        }
        end.peer_timestamp = in.tsval;
        fill(end, tcp_syn | tcp_ack, now, out);
        --out.sequence;
        return true;
    }
    if (end.state == EndState::closed) {
        if (in.has(tcp_rst)) return false;
        fill({.send_next = in.acknowledgment}, tcp_rst, now, out);
        return true;
    }
    bool answers = false;
    if (take_common(end, in, now, out, answers)) return answers;
    return answer_payload(end, in, now, out);
}

bool CrowdServer::answer_payload(End& end, const Segment& in, std::uint32_t now, Segment& out) {
    if (!make_reply(in.payload)) {
        end.state = EndState::broken;
        fill(end, tcp_rst | tcp_ack, now, out);
        return true;
    }
    if (in.sequence == end.receive_next) {
        end.receive_next += static_cast<std::uint32_t>(in.payload.size());
        end.send_next += static_cast<std::uint32_t>(reply_.size());
    }
    end.state = EndState::open;
    fill(end, tcp_ack | tcp_psh, now, out);
    out.sequence = end.send_next - static_cast<std::uint32_t>(reply_.size());
    out.payload = reply_;
    return true;
}

// The same request has the same reply, so that one that was lost can be made again.
bool CrowdServer::make_reply(std::span<const std::uint8_t> request) {
    reply_.clear();
    if (head_end(text_of(request)) == request.size()) {
        const Opening opening = answer(text_of(request));
        reply_.assign(opening.response.begin(), opening.response.end());
        return opening.accepted;
    }
    const auto message = message_in(request, true);
    if (message.empty()) return false;
    reply_.resize(largest_header);
    reply_.resize(encode({.length = message.size()}, reply_.data()));
    reply_.insert(reply_.end(), message.begin(), message.end());
    return true;
}

CrowdClient::CrowdClient(const std::string& host) : tape_(crowd_message) {
    const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
    request_ = opening_request(host, "/echo", key);
    accept_ = accept_for(key);
    const FrameHeader header{.length = crowd_message, .key = {1, 2, 3, 4}, .masked = true};
    frame_.resize(largest_header + crowd_message);
    const std::size_t at = encode(header, frame_.data());
    copy_masked(tape_.message(0, crowd_message), frame_.data() + at, header.key, 0);
    frame_.resize(at + crowd_message);
}

void CrowdClient::open(End& end, std::uint32_t now, Segment& out) {
    // Another one each time, far from that of an earlier connection of these ports.
    end = {.send_next = (now << 12) ^ (out.source << 20) ^ (std::uint32_t{out.source_port} << 4),
           .state = EndState::syn};
    fill(end, tcp_syn, now, out);
    ++end.send_next;
}

void CrowdClient::echo(End& end, std::uint32_t now, Segment& out) {
    end.state = EndState::echoing;
    fill(end, tcp_ack | tcp_psh, now, out);
    out.payload = frame_;
    end.send_next += static_cast<std::uint32_t>(frame_.size());
}

bool CrowdClient::resend(const End& end, std::uint32_t now, Segment& out) const {
    switch (end.state) {
        case EndState::syn:
            fill(end, tcp_syn, now, out);
            --out.sequence;
            return true;
        case EndState::asked:
        case EndState::echoing:
            fill(end, tcp_ack | tcp_psh, now, out);
            out.payload =
                end.state == EndState::asked ? bytes_of(request_) : std::span<const std::uint8_t>(frame_);
            out.sequence -= static_cast<std::uint32_t>(out.payload.size());
            return true;
        default:
            return false;
    }
}

bool CrowdClient::take(End& end, const Segment& in, std::uint32_t now, Segment& out) {
    turn_round(in, out);
    if (end.state == EndState::closed) return false;
    if (in.has(tcp_syn)) {
        if (!in.has(tcp_ack) || in.acknowledgment != end.send_next || end.state != EndState::syn) {
            // Its acknowledgement was lost, or it is nothing of ours: the answer is the same.
            fill(end, tcp_ack, now, out);
            return end.state != EndState::syn;
        }
        end.receive_next = in.sequence + 1;
        end.peer_timestamp = in.tsval;
        end.state = EndState::asked;
        fill(end, tcp_ack | tcp_psh, now, out);
        out.payload = bytes_of(request_);
        end.send_next += static_cast<std::uint32_t>(request_.size());
        return true;
    }
    if (end.state == EndState::syn && !in.has(tcp_rst)) return false;
    bool answers = false;
    if (take_common(end, in, now, out, answers)) return answers;
    if (in.sequence == end.receive_next && !take_payload(end, in)) {
        end.state = EndState::broken;
        fill(end, tcp_rst | tcp_ack, now, out);
        return true;
    }
    fill(end, tcp_ack, now, out);
    return true;
}

// Advances past the payload; false when it is not what the end waits for.
bool CrowdClient::take_payload(End& end, const Segment& in) {
    if (end.state == EndState::asked) {
        const auto head = text_of(in.payload);
        if (head_end(head) != head.size() || !check_response(head, accept_).empty()) return false;
    } else {
        const auto expected = tape_.message(0, crowd_message);
        const auto message = message_in(in.payload, false);
        if (end.state != EndState::echoing ||
            !std::equal(message.begin(), message.end(), expected.begin(), expected.end()))
            return false;
    }
    end.receive_next += static_cast<std::uint32_t>(in.payload.size());
    end.state = EndState::open;
    return true;
}

}  // namespace hawser::bench
