// SPDX-License-Identifier: Apache-2.0
// A model of the hand-off, explored exhaustively: one direction of a tunnel over a network that loses,
// doubles and reorders, with every interleaving of packets, sockets, relay and hand-off. It shows that no
// acknowledged byte is ever held nowhere, that bytes stand where they belong, and that from every state all
// bytes can still arrive. The rules that make it so are taken away one by one, and each time the explorer
// finds what goes wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace hawser::splice {
namespace {

constexpr int bytes = 2;  // that the sender has: one of before the hand-off, one of after, in any split
constexpr std::size_t room = 2;  // packets at a time on each way

struct Rules {
    bool grace = true;  // what passed the program before the flip has reached the socket before it closes
    bool wait_until_acknowledged = true;
    bool read_everything = true;     // the relay holds nothing when the numbers are read
    bool straddling_goes_on = true;  // a segment that begins old and ends new is forwarded
    bool hold_acknowledgments = true;
};

// A segment or an acknowledgement; 0 = no packet.
struct Packet {
    std::uint8_t there = 0, begin = 0, end = 0, early = 0;  // early: passed the program before the flip
    auto operator<=>(const Packet&) const = default;
};
using Way = std::array<Packet, room>;

enum Phase : std::uint8_t { relay, numbers_read, transit, checked, spliced };

// S, the sender, has socket C on the node; T, the receiver, has B. Only bytes of S and acknowledgements of T.
struct State {
    Way s_to_node{}, to_socket{}, node_to_t{}, t_to_node{}, to_b{}, node_to_s{};
    std::uint8_t s_next = 0, s_acknowledged = 0;
    std::uint8_t c_received = 0;  // bit per byte
    std::uint8_t relayed = 0;     // read from C, written to B
    std::uint8_t b_sent = 0, b_acknowledged = 0;
    std::uint8_t seen_acknowledged = 0;  // by the program, T's highest
    std::uint8_t t_received = 0;
    std::uint8_t t_wrong = 0;  // a byte stands where another belongs
    std::uint8_t cut = 0, sent = 0, shift = 0;
    std::uint8_t phase = relay;
    auto operator<=>(const State&) const = default;
};

struct Hash {
    std::size_t operator()(const State& s) const {
        std::array<std::uint8_t, sizeof(State)> raw{};
        std::memcpy(raw.data(), &s, sizeof s);
        std::uint64_t hash = 1469598103934665603ULL;
        for (const auto byte : raw) hash = (hash ^ byte) * 1099511628211ULL;
        return hash;
    }
};

std::uint8_t in_order(std::uint8_t received) {
    std::uint8_t n = 0;
    while (n < bytes && (received >> n & 1) != 0) ++n;
    return n;
}

// Two segments of S may be under way, and overtake each other and those on the other ways; of every other
// kind one.
bool put(Way& way, Packet packet, bool two = false) {
    packet.there = 1;
    if (!two && way.back().there != 0) return false;
    if (std::find(way.begin(), way.end(), packet) != way.end())
        return false;  // it may be sent again when it was taken
    if (way.front().there != 0) return false;
    way.front() = packet;
    std::sort(way.begin(), way.end());  // empty places first
    return true;
}

class Explorer {
  public:
    explicit Explorer(Rules rules) : rules_(rules) {}

    // "" or what goes wrong.
    std::string explore() {
        visit({});
        for (std::size_t at = 0; at < states_.size(); ++at) {
            const State state = states_[at];
            if (auto fault = fault_of(state); !fault.empty()) return fault;
            from_ = at;
            successors(state);
        }
        // Backwards from the end: whatever cannot reach it is stuck.
        std::vector<bool> good(states_.size());
        std::deque<std::size_t> work;
        for (std::size_t i = 0; i < states_.size(); ++i)
            if (done(states_[i])) {
                good[i] = true;
                work.push_back(i);
            }
        std::vector<std::vector<std::uint32_t>> before(states_.size());
        for (const auto& [a, b] : edges_) before[b].push_back(a);
        while (!work.empty()) {
            const auto at = work.front();
            work.pop_front();
            for (const auto earlier : before[at]) {
                if (good[earlier]) continue;
                good[earlier] = true;
                work.push_back(earlier);
            }
        }
        const auto stuck = std::find(good.begin(), good.end(), false);
        return stuck == good.end() ? "" : "bytes that can never arrive";
    }
    [[nodiscard]] std::size_t size() const { return states_.size(); }
    [[nodiscard]] std::size_t spliced_states() const {
        return static_cast<std::size_t>(
            std::count_if(states_.begin(), states_.end(), [](const State& s) { return s.phase == spliced; }));
    }

  private:
    static bool done(const State& s) { return in_order(s.t_received) == bytes && s.s_acknowledged == bytes; }

    static std::string fault_of(const State& s) {
        if (s.t_wrong != 0) return "a byte in another's place";
        for (int i = 0; i < s.s_acknowledged; ++i) {
            if ((s.t_received >> i & 1) != 0) continue;
            // Sockets that live hold what they have received and what T has not acknowledged.
            if (s.phase != spliced && (s.c_received >> i & 1) != 0) continue;
            return "an acknowledged byte that nobody has";
        }
        return "";
    }

    void visit(const State& s) {
        const auto [at, fresh] = index_.try_emplace(s, static_cast<std::uint32_t>(states_.size()));
        if (fresh) states_.push_back(s);
        if (states_.size() > 1) edges_.emplace_back(static_cast<std::uint32_t>(from_), at->second);
    }

    // Every packet of a way may be lost or taken. Doubles are what its sender repeats.
    template <class Take>
    void each(const State& s, Way State::*way, Take take) {
        for (std::size_t i = 0; i < room; ++i) {
            const Packet packet = (s.*way)[i];
            if (packet.there == 0) continue;
            State without = s;
            (without.*way)[i] = {};
            std::sort((without.*way).begin(), (without.*way).end());
            visit(without);
            take(without, packet);
            visit(without);
        }
    }

    // The program meets a segment of S.
    void segment(State& s, Packet p) const {
        if (s.phase < transit) {
            p.early = 1;
            put(s.to_socket, p);
            return;
        }
        const bool old = rules_.straddling_goes_on ? p.end <= s.cut : p.begin < s.cut;
        if (s.phase != spliced && old) {
            put(s.to_socket, p);
            return;
        }
        put(s.node_to_t, Packet{0, static_cast<std::uint8_t>(p.begin - s.shift),
                                static_cast<std::uint8_t>(p.end - s.shift), s.shift});
    }

    // The program meets an acknowledgement of T.
    void acknowledgment(State& s, Packet p) const {
        if (s.phase < transit) {
            put(s.to_b, p);
            return;
        }
        s.seen_acknowledged = std::max(s.seen_acknowledged, p.end);
        if (s.phase != spliced) {
            Packet held = p;
            if (rules_.hold_acknowledgments) held.end = std::min(p.end, s.sent);
            put(s.to_b, held);
        }
        put(s.node_to_s, p);
    }

    void successors(const State& s) {
        const bool sockets = s.phase != spliced;
        // S sends: something new, or anything not acknowledged again, also together with something new.
        for (std::uint8_t begin = s.s_acknowledged; begin <= s.s_next; ++begin) {
            for (std::uint8_t end = begin + 1; end <= std::min<int>(s.s_next + 1, bytes); ++end) {
                State next = s;
                next.s_next = std::max(next.s_next, end);
                if (put(next.s_to_node, {0, begin, end, 0}, true)) visit(next);
            }
        }
        each(s, &State::s_to_node, [this](State& n, const Packet& p) { segment(n, p); });
        each(s, &State::t_to_node, [this](State& n, const Packet& p) { acknowledgment(n, p); });
        each(s, &State::to_socket, [sockets](State& n, const Packet& p) {
            if (!sockets) return;
            for (int i = p.begin; i < p.end; ++i) n.c_received |= static_cast<std::uint8_t>(1 << i);
        });
        each(s, &State::to_b, [sockets](State& n, const Packet& p) {
            // A socket ignores what acknowledges more than it has sent.
            if (sockets && p.end <= n.b_sent) n.b_acknowledged = std::max(n.b_acknowledged, p.end);
        });
        each(s, &State::node_to_t, [](State& n, const Packet& p) {
            if (p.early != 0) n.t_wrong = 1;  // shifted
            for (int i = p.begin; i < p.end; ++i) n.t_received |= static_cast<std::uint8_t>(1 << i);
        });
        each(s, &State::node_to_s, [](State& n, const Packet& p) {
            if (p.end <= n.s_next) n.s_acknowledged = std::max(n.s_acknowledged, p.end);
        });
        State next = s;
        if (in_order(s.t_received) > 0 && put(next.t_to_node, {0, 0, in_order(s.t_received), 0})) visit(next);
        if (!sockets) return;
        // C acknowledges; the relay copies a byte; B sends or repeats one.
        next = s;
        if (in_order(s.c_received) > 0 && put(next.node_to_s, {0, 0, in_order(s.c_received), 0})) visit(next);
        if (s.relayed < in_order(s.c_received)) {
            next = s;
            ++next.relayed;
            visit(next);
        }
        for (std::uint8_t begin = s.b_acknowledged; begin < s.relayed; ++begin) {
            next = s;
            if (begin > s.b_sent) break;
            next.b_sent = std::max<std::uint8_t>(next.b_sent, begin + 1);
            if (put(next.node_to_t, {0, begin, static_cast<std::uint8_t>(begin + 1), 0})) visit(next);
        }
        hand_off(s);
    }

    void hand_off(const State& s) {
        State next = s;
        const bool read = s.relayed == in_order(s.c_received);
        if (s.phase == relay && (read || !rules_.read_everything) && s.b_sent == s.relayed) {
            next.cut = in_order(s.c_received);
            next.sent = s.relayed;
            next.shift =
                next.cut - s.relayed;  // the difference is right only when nothing is between the two
            next.phase = numbers_read;
            visit(next);
        } else if (s.phase == numbers_read) {
            next.phase = transit;
            visit(next);
        } else if (s.phase == transit) {
            const bool quiet = std::none_of(s.to_socket.begin(), s.to_socket.end(),
                                            [](const Packet& p) { return p.there != 0 && p.early != 0; });
            const bool acknowledged = s.b_acknowledged >= s.relayed || s.seen_acknowledged >= s.relayed;
            if (!read || (rules_.grace && !quiet) || (rules_.wait_until_acknowledged && !acknowledged))
                return;
            next.phase = checked;
            visit(next);
        } else if (s.phase == checked) {
            next.phase = spliced;
            visit(next);
        }
    }

    const Rules rules_;
    std::vector<State> states_;
    std::unordered_map<State, std::uint32_t, Hash> index_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> edges_;
    std::size_t from_ = 0;
};

TEST(HandOffModel, LosesNoByteInAnyInterleavingAndIsNeverStuck) {
    Explorer explorer({});
    EXPECT_EQ(explorer.explore(), "");
    EXPECT_GT(explorer.spliced_states(), 1000U);
    std::printf("%zu states, %zu of them spliced\n", explorer.size(), explorer.spliced_states());
}

TEST(HandOffModel, WithoutTheGraceAByteIsLost) {
    EXPECT_EQ(Explorer({.grace = false}).explore(), "an acknowledged byte that nobody has");
}

TEST(HandOffModel, WithoutWaitingForAcknowledgementsAByteIsLost) {
    EXPECT_EQ(Explorer({.wait_until_acknowledged = false}).explore(), "an acknowledged byte that nobody has");
}

TEST(HandOffModel, NumbersReadWhileTheRelayHoldsAByteShiftAllThatFollows) {
    EXPECT_EQ(Explorer({.read_everything = false}).explore(), "a byte in another's place");
}

TEST(HandOffModel, ASegmentThatBeginsOldAndEndsNewMustNotGoToTheSocket) {
    EXPECT_EQ(Explorer({.straddling_goes_on = false}).explore(), "an acknowledged byte that nobody has");
}

// The socket ignores them, and the program's own record ends the wait: holding down saves retransmissions.
TEST(HandOffModel, AcknowledgementsThatAreNotHeldDownDoNoHarm) {
    EXPECT_EQ(Explorer({.hold_acknowledgments = false}).explore(), "");
}

}  // namespace
}  // namespace hawser::splice
