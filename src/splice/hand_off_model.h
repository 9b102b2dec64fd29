// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

// The hand-off of one tunnel as a model, for handoff_model_test.cc: both directions, and the acknowledgements
// that join them. Windows, congestion, SACK (which promises nothing), timestamps, resets by the ends and
// turning back are not in it.
namespace hawser::splice::handoff_model {

// The protocol's rules, to be taken away one by one. docs/splice.md tells them in words.
struct Rules {
    // Before the cut.
    bool reads_everything = true;    // the relay has read and written all that the sockets received
    bool sends_everything = true;    // everything written was sent once (SIOCOUTQNSD = 0)
    bool heads_acknowledged = true;  // by both ends, all that our sockets sent before the tunnel began
    bool counts_writes = true;       // what is sent ends at the last write (TCP_QUEUE_SEQ), not at snd_nxt
    bool notices_fin = true;         // FIONREAD does not count a FIN: the relay must have read it
    // In transit.
    bool forwards_straddling = true;    // a segment that begins before the cut and ends behind it
    bool holds_acknowledgments = true;  // a socket hears at most that everything it had sent has arrived
    bool raises_hold = true;            // ... and what the relay wrote since the cut counts
    bool believes_record = true;        // acknowledgements that only the program saw count
    // Before SPLICED.
    bool waits_for_early = true;         // what passed the program before the flip has reached its socket
    bool waits_for_acknowledged = true;  // the ends have everything that our sockets sent
    // Before the sockets close.
    bool waits_for_late = true;  // what passed the program in transit has reached its socket
};

// What the ends have to say, up from the client and down to it, in bytes.
struct Load {
    int up = 0, down = 0;  // at most most_bytes
    bool heads = false;    // the first byte is the handshake, which differs on both sides of the gateway
    bool fins = false;     // the last byte is a FIN
};
constexpr int most_bytes = 4;

// Sender → near socket → relay → far socket → receiver, or past the sockets. The near socket of one direction
// is the far one of the other. Bytes are numbered from 0 in each direction; bit i of a set is byte i.
struct Direction {
    std::uint8_t heard = 0;      // acknowledged, as the sender knows
    std::uint8_t near_has = 0;   // set
    std::uint8_t read = 0;       // by the relay
    std::uint8_t written = 0;    // to the far socket
    std::uint8_t sent = 0;       // by the far socket, at least once
    std::uint8_t far_heard = 0;  // acknowledged, as the far socket knows
    std::uint8_t seen = 0;       // acknowledged, as the program knows
    std::uint8_t has = 0;        // set: the receiver's
    std::uint8_t cut = 0, hold = 0;
    std::int8_t delta = 0;   // the receiver's number of a byte, less the sender's
    std::uint8_t wrong = 0;  // the receiver took a byte for another
};

enum class Phase : std::uint8_t { relay, numbers_read, transit, spliced, closed };

struct State {
    std::array<Direction, 2> ways;  // 0 is up
    Phase phase = Phase::relay;
    bool early = true;   // there may be packets that passed before the flip and have not reached their socket
    bool late = true;    // the same of those that passed in transit
    bool reset = false;  // an end believed a reset that our stack sent
    Direction& operator[](int way) { return ways[static_cast<std::size_t>(way)]; }
    const Direction& operator[](int way) const { return ways[static_cast<std::size_t>(way)]; }
};

// Bytes [begin, end) of the sender's own direction, none in a pure ACK, and how much it has of the other.
struct Packet {
    int begin = 0, end = 0, acknowledged = 0;
    [[nodiscard]] bool pure() const { return begin == end; }
};

inline int in_order(std::uint8_t set) { return std::countr_one(set); }

inline void raise(std::uint8_t& value, int to) {
    value = static_cast<std::uint8_t>(std::max<int>(value, to));
}

// What can happen. `way` is the direction whose bytes a packet carries. Steps of relay and hand-off are false
// when they may not be taken now.
class Protocol {
  public:
    Protocol(const Load& load, const Rules& rules) : load_(load), rules_(rules), sizes_{load.up, load.down} {}

    [[nodiscard]] State start() const {
        State s;
        // The gateway has read one head and written the other.
        for (Direction& d : s.ways)
            if (load_.heads) d.near_has = d.read = d.written = 1;
        return s;
    }
    [[nodiscard]] int size(int way) const { return sizes_[static_cast<std::size_t>(way)]; }

    struct Reached {
        bool socket = false;  // that took it
        bool receiver = false;
    };
    // A packet of the sender meets the program and goes where that sends it.
    Reached meet_program(State& s, int way, const Packet& p) const {
        if (s.phase < Phase::transit) return {to_socket(s, way, p), false};
        raise(s[1 - way].seen, p.acknowledged);
        if (s.phase != Phase::transit) {
            forward(s, way, p);
            return {false, true};
        }
        Reached reached;
        if (p.pure() || is_old(s, way, p)) reached.socket = to_socket(s, way, held(s, way, p));
        if (!is_old(s, way, p)) {
            forward(s, way, p);
            reached.receiver = true;
        }
        return reached;
    }
    // It had passed the program before the flip.
    static bool arrive_early(State& s, int way, const Packet& p) {
        if (s.phase < Phase::transit || !s.early) return false;
        to_socket(s, way, p);
        return true;
    }
    // It had passed the program in transit.
    bool arrive_late(State& s, int way, const Packet& p) const {
        if (s.phase < Phase::spliced || !s.late || !(p.pure() || is_old(s, way, p))) return false;
        to_socket(s, way, held(s, way, p));
        return true;
    }
    // A packet of the far socket reaches the receiver.
    void from_socket(State& s, int way, const Packet& p) const {
        take(s[way], size(way), p, 0, false);
        hear(s, 1 - way, p.acknowledged);
    }

    static bool read(State& s, int way) {
        if (s.phase >= Phase::spliced || s[way].read >= in_order(s[way].near_has)) return false;
        ++s[way].read;
        return true;
    }
    static bool write(State& s, int way) {
        if (s.phase >= Phase::spliced || s[way].written >= s[way].read) return false;
        ++s[way].written;
        return true;
    }
    // The far socket sends a byte for the first time.
    static bool send(State& s, int way) {
        if (s.phase == Phase::closed || s[way].sent >= s[way].written) return false;
        ++s[way].sent;
        return true;
    }
    bool read_numbers(State& s) const {
        if (s.phase != Phase::relay) return false;
        for (const int way : {0, 1}) {
            const Direction& d = s[way];
            if (rules_.reads_everything && !is_copied(d, way)) return false;
            if (rules_.sends_everything && d.sent != d.written) return false;
            if (load_.heads && rules_.heads_acknowledged && d.far_heard == 0) return false;
        }
        for (Direction& d : s.ways) {
            d.cut = static_cast<std::uint8_t>(in_order(d.near_has));
            d.hold = sent(d);
            d.delta = static_cast<std::int8_t>(d.hold - d.cut);
        }
        s.phase = Phase::numbers_read;
        return true;
    }
    static bool flip(State& s) {
        if (s.phase != Phase::numbers_read) return false;
        for (Direction& d : s.ways) d.seen = d.far_heard;
        s.phase = Phase::transit;
        return true;
    }
    bool raise_hold(State& s) const {
        if (!rules_.raises_hold || s.phase != Phase::transit) return false;
        bool any = false;
        for (Direction& d : s.ways) {
            any = any || d.hold < sent(d);
            raise(d.hold, sent(d));
        }
        return any;
    }
    static bool end_early(State& s) {
        if (s.phase < Phase::transit || !s.early) return false;
        s.early = false;
        return true;
    }
    bool splice(State& s) const {
        if (s.phase != Phase::transit || (rules_.waits_for_early && s.early)) return false;
        for (const int way : {0, 1}) {
            const Direction& d = s[way];
            if (!is_copied(d, way)) return false;
            const int heard = rules_.believes_record ? std::max(d.far_heard, d.seen) : d.far_heard;
            if (rules_.waits_for_acknowledged && heard < sent(d)) return false;
        }
        s.phase = Phase::spliced;
        return true;
    }
    static bool end_late(State& s) {
        if (s.phase < Phase::spliced || !s.late) return false;
        s.late = false;
        return true;
    }
    bool close(State& s) const {
        if (s.phase != Phase::spliced || (rules_.waits_for_late && s.late)) return false;
        s.phase = Phase::closed;
        return true;
    }

    // Null, or what must never be.
    [[nodiscard]] static const char* fault(const State& s) {
        if (s.reset) return "an end believes a reset of ours";
        for (const Direction& d : s.ways) {
            if (d.wrong != 0) return "a byte in another's place";
            for (int i = 0; i < d.heard; ++i) {
                if ((d.has >> i & 1) != 0) continue;
                // Near socket, relay and far socket keep a byte until the receiver has acknowledged it.
                const bool kept = s.phase != Phase::closed && i < in_order(d.near_has) && i >= d.far_heard;
                if (!kept) return "an acknowledged byte that nobody has";
            }
        }
        return nullptr;
    }
    [[nodiscard]] bool done(const State& s) const {
        for (const int way : {0, 1})
            if (in_order(s[way].has) != size(way) || s[way].heard != size(way)) return false;
        return s.phase == Phase::closed;
    }

  private:
    [[nodiscard]] std::uint8_t sent(const Direction& d) const {
        return rules_.counts_writes ? d.written : d.sent;
    }
    [[nodiscard]] bool is_copied(const Direction& d, int way) const {
        const int received = in_order(d.near_has);
        const bool unnoticed = load_.fins && !rules_.notices_fin && size(way) > 0 && received == size(way);
        return d.written == d.read && d.read >= received - (unnoticed ? 1 : 0);
    }
    [[nodiscard]] bool is_old(const State& s, int way, const Packet& p) const {
        if (p.pure()) return false;
        return rules_.forwards_straddling ? p.end <= s[way].cut : p.begin < s[way].cut;
    }
    [[nodiscard]] Packet held(const State& s, int way, Packet p) const {
        if (rules_.holds_acknowledgments) p.acknowledged = std::min<int>(p.acknowledged, s[1 - way].hold);
        return p;
    }

    static bool to_socket(State& s, int way, const Packet& p) {
        Direction& back = s[1 - way];
        if (s.phase == Phase::closed) {
            // The stack answers what meets no socket with a reset that has the number which the packet
            // acknowledges. An end believes it if it is the very number that it waits for (RFC 5961
            // section 3.2).
            if (p.acknowledged == in_order(back.has)) s.reset = true;
            return false;
        }
        // The kernel throws a segment away that acknowledges what was never sent (RFC 9293 section 3.10.7.4).
        if (p.acknowledged > back.sent) return false;
        raise(back.far_heard, p.acknowledged);
        s[way].near_has |= static_cast<std::uint8_t>((1 << p.end) - (1 << p.begin));
        return true;
    }
    void forward(State& s, int way, const Packet& p) const {
        take(s[way], size(way), p, s[way].delta, true);
        hear(s, 1 - way, p.acknowledged - s[1 - way].delta);
    }
    // `direct`: it is the sender's packet, not the far socket's.
    void take(Direction& d, int size, const Packet& p, int delta, bool direct) const {
        for (int i = p.begin; i < p.end; ++i) {
            const int place = i + delta;
            if (place < 0 || place >= size || (d.has >> place & 1) != 0) continue;
            d.has |= static_cast<std::uint8_t>(1 << place);
            if (delta != 0 || (direct && load_.heads && i == 0)) d.wrong = 1;
        }
    }
    void hear(State& s, int way, int acknowledged) const {
        if (acknowledged <= size(way)) raise(s[way].heard, acknowledged);
    }

    const Load load_;
    const Rules rules_;
    const std::array<int, 2> sizes_;
};

}  // namespace hawser::splice::handoff_model
