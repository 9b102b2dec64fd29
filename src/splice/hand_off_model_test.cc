// SPDX-License-Identifier: Apache-2.0
// Explores every interleaving of the hand-off's model: no byte that was acknowledged is ever held nowhere, no
// byte stands in another's place, no end is reset, and from every state the tunnel comes to its end. Then the
// rules that make it so are taken away one by one, and the explorer finds what goes wrong.
//
// The network is as bad as can be and forgets nothing. Whatever an end may ever have sent can arrive at any
// time, in any order, never or often; a segment is any run of bytes, new or old, with any acknowledgement
// that its end has had reason for until now. So no packets under way are stored, and losses and doubles need
// no bound. What lies between the program and a local socket is such a network too, until a grace has passed.
#include "splice/hand_off_model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hawser::splice::handoff_model {
namespace {

struct Key {
    std::uint64_t up = 0, down = 0;
    bool operator==(const Key&) const = default;
};

Key pack(const State& s) {
    Key key;
    for (const int way : {0, 1}) {
        const Direction& d = s[way];
        const auto add = [&bits = way == 0 ? key.up : key.down](int value) {
            bits = bits << 4 | static_cast<unsigned>(value);
        };
        for (const int value :
             {d.heard, d.near_has, d.read, d.written, d.sent, d.far_heard, d.seen, d.has, d.cut, d.hold})
            add(value);
        add(d.delta + most_bytes);
        add(d.wrong);
        add(way == 0 ? static_cast<int>(s.phase) : s.early | s.late << 1 | s.reset << 2);
    }
    return key;
}

State unpack(Key key) {
    State s;
    s.phase = static_cast<Phase>(key.up & 15);
    s.early = (key.down & 1) != 0;
    s.late = (key.down & 2) != 0;
    s.reset = (key.down & 4) != 0;
    for (const int way : {0, 1}) {
        Direction& d = s[way];
        const auto take = [&bits = way == 0 ? key.up : key.down] {
            return static_cast<std::uint8_t>((bits >>= 4) & 15);
        };
        d.wrong = take();
        d.delta = static_cast<std::int8_t>(take() - most_bytes);
        for (auto* value : {&d.hold, &d.cut, &d.has, &d.seen, &d.far_heard, &d.sent, &d.written, &d.read,
                            &d.near_has, &d.heard})
            *value = take();
    }
    return s;
}

// Open addressing over the keys alone: a std::unordered_map of millions of states would take too much.
class Visited {
  public:
    static constexpr std::uint32_t absent = ~0U;

    // The key's index, and whether it is new.
    std::pair<std::uint32_t, bool> add(const Key& key) {
        if (keys_.size() * 2 >= places_.size()) grow();
        std::uint32_t& place = place_of(key);
        if (place != absent) return {place, false};
        place = static_cast<std::uint32_t>(keys_.size());
        keys_.push_back(key);
        return {place, true};
    }
    std::uint32_t find(const Key& key) { return place_of(key); }
    const Key& operator[](std::size_t i) const { return keys_[i]; }
    [[nodiscard]] std::size_t size() const { return keys_.size(); }

  private:
    std::uint32_t& place_of(const Key& key) {
        std::uint64_t hash = key.up * 0x9e3779b97f4a7c15ULL ^ std::rotl(key.down * 0xc2b2ae3d27d4eb4fULL, 29);
        hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
        for (std::size_t at = hash >> shift_;; at = (at + 1) & (places_.size() - 1))
            if (places_[at] == absent || keys_[places_[at]] == key) return places_[at];
    }
    void grow() {
        --shift_;
        places_.assign(places_.size() * 2, absent);
        for (std::uint32_t i = 0; i < keys_.size(); ++i) place_of(keys_[i]) = i;
    }

    unsigned shift_ = 64 - 16;
    std::vector<Key> keys_;
    std::vector<std::uint32_t> places_ = std::vector<std::uint32_t>(1 << 16, absent);
};

struct Result {
    std::map<std::string, std::string> faults;  // each with a shortest way to it
    std::size_t states = 0, closed = 0;
};

class Explorer {
  public:
    Explorer(const Load& load, const Rules& rules)
        : protocol_(load, rules), symmetric_(load.up == load.down) {}

    Result explore() {
        Result result;
        visit(protocol_.start(), {});
        for (; at_ < visited_.size(); ++at_) {
            current_ = visited_[at_];
            const State s = unpack(current_);
            if (s.phase == Phase::closed) ++result.closed;
            if (const char* fault = Protocol::fault(s)) {
                if (!result.faults.contains(fault)) result.faults[fault] = story_of(at_);
            } else {
                successors(s);
            }
        }
        result.states = visited_.size();
        for (const bool coalesced : {false, true}) {
            if (!result.faults.empty()) break;
            if (const auto at = find_stuck(coalesced); at != Visited::absent)
                result.faults["it never ends"] = story_of(at);
        }
        return result;
    }

  private:
    struct Step {
        const char* name = nullptr;
        int way = 0;
        Packet packet;
    };

    // Directions that carry as much are alike: of two states that mirror each other one is looked at, which
    // halves the work. In a story they may change places.
    [[nodiscard]] Key key_of(const State& s) const {
        const Key key = pack(s);
        if (!symmetric_ || key.up >> 4 <= key.down >> 4) return key;
        State mirrored = s;
        std::swap(mirrored.ways[0], mirrored.ways[1]);
        return pack(mirrored);
    }

    void visit(const State& s, const Step& step) {
        const Key key = key_of(s);
        if (key == current_ || !visited_.add(key).second) return;
        before_.push_back(static_cast<std::uint32_t>(at_));
        steps_.push_back(step);
    }

    void successors(const State& s) {
        const auto when = [&](bool may, const State& next, const char* name, int way = 0,
                              const Packet& p = {}) {
            if (may) visit(next, {name, way, p});
        };
        State n = s;
        const auto fresh = [&]() -> State& { return n = s; };
        for (const int way : {0, 1}) {
            each_packet(protocol_.size(way), in_order(s[1 - way].has), [&](const Packet& p) {
                protocol_.meet_program(fresh(), way, p);
                when(true, n, "meets the program", way, p);
                when(Protocol::arrive_early(fresh(), way, p), n, "arrives early", way, p);
                when(protocol_.arrive_late(fresh(), way, p), n, "arrives late", way, p);
            });
            each_packet(s[way].sent, in_order(s[1 - way].near_has), [&](const Packet& p) {
                protocol_.from_socket(fresh(), way, p);
                when(true, n, "of our socket arrives", way, p);
            });
            when(Protocol::read(fresh(), way), n, "relay reads", way);
            when(Protocol::write(fresh(), way), n, "relay writes", way);
            when(Protocol::send(fresh(), way), n, "socket sends", way);
        }
        when(protocol_.read_numbers(fresh()), n, "numbers are read");
        when(Protocol::flip(fresh()), n, "flip");
        when(protocol_.raise_hold(fresh()), n, "hold is raised");
        when(Protocol::end_early(fresh()), n, "grace is over");
        when(protocol_.splice(fresh()), n, "SPLICED");
        when(Protocol::end_late(fresh()), n, "second grace is over");
        when(protocol_.close(fresh()), n, "sockets close");
    }

    template <class Use>
    static void each_packet(int bytes, int acknowledged, Use use) {
        for (int a = 0; a <= acknowledged; ++a) {
            use(Packet{0, 0, a});
            for (int begin = 0; begin < bytes; ++begin)
                for (int end = begin + 1; end <= bytes; ++end) use(Packet{begin, end, a});
        }
    }

    // All packets under way are lost, and from now on none is: a state from which that does not lead to the
    // end. `coalesced`: senders repeat everything that is not acknowledged in one segment, otherwise byte by
    // byte. States only grow, so that a round which changes nothing is the only way not to get on.
    std::uint32_t find_stuck(bool coalesced) {
        std::vector<bool> good(visited_.size());
        std::vector<std::uint32_t> path;
        for (std::uint32_t i = 0; i < visited_.size(); ++i) {
            path.clear();
            for (auto now = i; !good[now];) {
                path.push_back(now);
                State s = unpack(visited_[now]);
                if (protocol_.done(s)) break;
                fair_round(s, coalesced);
                const auto next = visited_.find(key_of(s));
                EXPECT_NE(next, Visited::absent) << "a step that was not explored";
                if (next == now || next == Visited::absent) return now;
                now = next;
            }
            for (const auto at : path) good[at] = true;
        }
        return Visited::absent;
    }

    // Ends and sockets repeat the first byte that is not acknowledged (as TCP does after a timeout) and
    // answer what they get; nobody speaks otherwise.
    void fair_round(State& s, bool coalesced) const {
        for (const int way : {0, 1}) {
            const int first = s[way].heard, size = protocol_.size(way);
            if (first < size) {
                const auto reached = protocol_.meet_program(
                    s, way, {first, coalesced ? size : first + 1, in_order(s[1 - way].has)});
                if (reached.receiver) answer(s, way);
                if (reached.socket) protocol_.from_socket(s, 1 - way, {0, 0, in_order(s[way].near_has)});
            }
            while (Protocol::read(s, way)) {
            }
            while (Protocol::write(s, way)) {
            }
            while (Protocol::send(s, way)) {
            }
            if (s.phase != Phase::closed && s[way].far_heard < s[way].sent) {
                const int from = s[way].far_heard;
                protocol_.from_socket(s, way, {from, from + 1, in_order(s[1 - way].near_has)});
                answer(s, way);
            }
        }
        // One step of the hand-off, the first that is allowed.
        [[maybe_unused]] const bool any = protocol_.read_numbers(s) || Protocol::flip(s) ||
                                          protocol_.raise_hold(s) || Protocol::end_early(s) ||
                                          protocol_.splice(s) || Protocol::end_late(s) || protocol_.close(s);
    }
    void answer(State& s, int way) const { protocol_.meet_program(s, 1 - way, {0, 0, in_order(s[way].has)}); }

    [[nodiscard]] std::string story_of(std::size_t at) const {
        std::string story;
        for (; at != 0; at = before_[at]) {
            const auto& [name, way, p] = steps_[at];
            std::array<char, 80> line{};
            std::snprintf(line.data(), line.size(), "  %-4s [%d,%d) ack %d %s\n", way == 0 ? "up" : "down",
                          p.begin, p.end, p.acknowledged, name);
            story.insert(0, line.data());
        }
        return story;
    }

    const Protocol protocol_;
    const bool symmetric_;
    Visited visited_;
    std::vector<std::uint32_t> before_;
    std::vector<Step> steps_;
    std::size_t at_ = 0;  // the state whose successors are visited
    Key current_{};       // most packets change nothing
};

using Faults = std::set<std::string>;
const Faults none;
const std::string lost = "an acknowledged byte that nobody has", displaced = "a byte in another's place",
                  reset = "an end believes a reset of ours", stuck = "it never ends";

// Enough for old, straddling and new segments.
constexpr Load one_way{.up = 3, .fins = true};
constexpr Load both_ways{.up = 2, .down = 1, .fins = true};
constexpr Load with_heads{.up = 2, .down = 2, .heads = true};

Faults faults(const Load& load, const Rules& rules) {
    const Result result = Explorer(load, rules).explore();
    std::printf("%d bytes up, %d down: %zu states, %zu of them with closed sockets\n", load.up, load.down,
                result.states, result.closed);
    Faults out;
    for (const auto& [fault, story] : result.faults) {
        std::printf("%s:\n%s", fault.c_str(), story.c_str());
        out.insert(fault);
    }
    EXPECT_GT(result.closed, 0U);
    return out;
}

TEST(HandOffModel, EveryByteOfOneDirectionArrivesOnceAndTheHandOffEnds) {
    EXPECT_EQ(faults({.up = 4, .fins = true}, {}), none);
}

TEST(HandOffModel, EveryByteOfBothDirectionsArrivesOnceAndTheHandOffEnds) {
    EXPECT_EQ(faults({.up = 2, .down = 2, .fins = true}, {}), none);
}

TEST(HandOffModel, HandshakesThatDifferOnBothSidesStayApart) {
    EXPECT_EQ(faults({.up = 3, .down = 2, .heads = true, .fins = true}, {}), none);
}

TEST(HandOffModel, NumbersReadWhileBytesAreUnreadShiftWhatFollows) {
    EXPECT_EQ(faults(one_way, {.reads_everything = false}), (Faults{displaced, lost}));
}

TEST(HandOffModel, NumbersThatEndAtTheLastByteSentShiftWhatFollowsWhileBytesAreUnsent) {
    EXPECT_EQ(faults(one_way, {.sends_everything = false, .counts_writes = false}),
              (Faults{displaced, lost}));
}

// With TCP_QUEUE_SEQ, SIOCOUTQNSD = 0 is no condition of safety: unsent bytes only make the transit longer.
TEST(HandOffModel, UnsentBytesDoNoHarmWhenTheNumbersEndAtTheLastWrite) {
    EXPECT_EQ(faults(one_way, {.sends_everything = false}), none);
    EXPECT_EQ(faults(both_ways, {.sends_everything = false}), none);
}

TEST(HandOffModel, AnAcknowledgementOfAllThatWasSentIsNotOneOfWhatWasWrittenInTransit) {
    EXPECT_EQ(faults(one_way, {.counts_writes = false}), Faults{lost});
}

// An end that repeats its handshake and new bytes in one segment tells the other end a foreign handshake.
TEST(HandOffModel, AHandshakeThatIsNotAcknowledgedAtTheCutCanBeReplacedByTheOtherSides) {
    EXPECT_EQ(faults(with_heads, {.heads_acknowledged = false}), Faults{displaced});
}

TEST(HandOffModel, AFinThatTheSocketHasAndTheRelayHasNotReadIsLost) {
    EXPECT_EQ(faults(one_way, {.notices_fin = false}), Faults{lost});
}

TEST(HandOffModel, ASegmentThatBeginsOldAndEndsNewIsLostInTheSocket) {
    EXPECT_EQ(faults(one_way, {.forwards_straddling = false}), Faults{lost});
}

TEST(HandOffModel, WithoutTheGraceAPacketOfBeforeTheFlipIsLostOrResetsItsSender) {
    EXPECT_EQ(faults(one_way, {.waits_for_early = false}), (Faults{lost, reset}));
    EXPECT_EQ(faults(both_ways, {.waits_for_early = false}), (Faults{lost, reset}));
}

TEST(HandOffModel, WithoutWaitingForAcknowledgementsWhatTheSocketsSentIsLost) {
    EXPECT_EQ(faults(one_way, {.waits_for_acknowledged = false}), Faults{lost});
    EXPECT_EQ(faults(both_ways, {.waits_for_acknowledged = false}), Faults{lost});
}

// The clone of the very acknowledgement that ends the wait may find the socket closed.
TEST(HandOffModel, SocketsThatCloseAtOnceResetTheSenderOfAPacketThatPassedInTransit) {
    EXPECT_EQ(faults(one_way, {.waits_for_late = false}), Faults{reset});
    EXPECT_EQ(faults(both_ways, {.waits_for_late = false}), Faults{reset});
}

// The second of two early segments is lost. Its sender has it acknowledged; the socket repeats the first one
// for ever, because it never hears that it has arrived.
TEST(HandOffModel, ASocketThatHearsNothingPastTheCutNeverRepeatsASecondByte) {
    EXPECT_EQ(faults(one_way, {.raises_hold = false}), Faults{stuck});
}

// The socket ignores those of what it never sent, and the program's record ends the wait.
TEST(HandOffModel, AcknowledgementsThatAreNotHeldDownDoNoHarm) {
    EXPECT_EQ(faults(one_way, {.holds_acknowledgments = false}), none);
    EXPECT_EQ(faults(both_ways, {.holds_acknowledgments = false}), none);
}

TEST(HandOffModel, AcknowledgementsThatOnlyTheProgramSawNeedNotCountWhenTheyAreHeldDown) {
    EXPECT_EQ(faults(one_way, {.believes_record = false}), none);
    EXPECT_EQ(faults(both_ways, {.believes_record = false}), none);
}

TEST(HandOffModel, AcknowledgementsNeitherHeldDownNorRecordedLeaveTheSocketWaiting) {
    EXPECT_EQ(faults(one_way, {.holds_acknowledgments = false, .believes_record = false}), Faults{stuck});
}

}  // namespace
}  // namespace hawser::splice::handoff_model
