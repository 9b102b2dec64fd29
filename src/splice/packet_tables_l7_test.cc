// SPDX-License-Identifier: Apache-2.0
// What the program makes of the packets of spliced tunnels: each row an input, an output and a sentence.
#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

class L7Packets : public TunnelTest {};
INSTANTIATE_TEST_SUITE_P(Families, L7Packets, ::testing::Values(true, false), family_name);

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

// An option of SACK blocks with edges `first`, first + 0x10000, ... (RFC 2018).
Bytes sack(std::uint32_t first, int blocks) {
    Bytes out{5, static_cast<std::uint8_t>(2 + 8 * blocks)};
    for (int edge = 0; edge < 2 * blocks; ++edge, first += 0x10000)
        for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(first >> shift));
    return out;
}

// The option in front of which so many NOPs stand, and behind which there are more.
Bytes padded(std::size_t nops, const Bytes& option) {
    Bytes out(nops, 1);
    append(out, option);
    while (out.size() % 4 != 0) out.push_back(1);
    return out;
}

struct Row {
    const char* sentence;
    void (*input)(Packet&);
    void (*expected)(Packet&) = nullptr;
    void (*flow)(layout::flow&) = nullptr;
};

constexpr auto untouched = static_cast<void (*)(Packet&)>(nullptr);
void without_timestamps(layout::flow& f) { f.flags &= ~static_cast<std::uint32_t>(layout::flow_timestamps); }
void without_sack(layout::flow& f) { f.flags |= layout::flow_blank_sack; }

// `expected` starts as the plain translation of the input.
const Row upward[] = {
    {"a segment has its addresses, ports, numbers, timestamps and window translated", [](Packet&) {}},
    {"an ACK without data is translated too", [](Packet& p) { p.payload.clear(); }},
    {"an odd number of bytes is summed up right", [](Packet& p) { p.payload = Bytes(777, 0xee); }},
    {"a full segment", [](Packet& p) { p.payload = Bytes(1'428, 0xff); }},
    {"sequence numbers wrap around",
     [](Packet& p) {
         p.sequence = 0xffffff00;
         p.acknowledgment = 0xffffffff;
     },
     [](Packet& p) {
         p.sequence = 999'744;
         p.acknowledgment = 1'999'999;
     }},
    {"numbers of 0 are numbers like any other",
     [](Packet& p) {
         p.sequence = 0;
         p.acknowledgment = 0;
     }},
    {"a difference of -1 borrows through all words", [](Packet& p) { p.sequence = 0x10000; },
     [](Packet& p) {
         p.sequence = 0xffff;
         p.acknowledgment = 8'999;
     },
     [](layout::flow& f) { f.sequence_delta = f.acknowledgment_delta = 0xffffffff; }},
    {"deltas of 0 change addresses only", [](Packet&) {},
     [](Packet& p) {
         p.sequence = 5'000;
         p.acknowledgment = 9'000;
         p.options = timestamps(70'000, 80'000);
         p.window = 1'000;
     },
     [](layout::flow& f) {
         f.sequence_delta = f.acknowledgment_delta = f.tsval_delta = f.tsecr_delta = 0;
         f.window_shift = 0;
     }},
    {"timestamps wrap around", [](Packet& p) { p.options = timestamps(0xffffffff, 100); },
     [](Packet& p) { p.options = timestamps(2'999, 0xfffff0c4); }},
    {"a window shifted right loses its low bits", [](Packet& p) { p.window = 7; },
     [](Packet& p) { p.window = 1; }},
    {"a window too small for the shift is closed", [](Packet& p) { p.window = 3; },
     [](Packet& p) { p.window = 0; }},
    {"the largest shift to the right", [](Packet& p) { p.window = 65'535; }, [](Packet& p) { p.window = 3; },
     [](layout::flow& f) { f.window_shift = -14; }},
    {"a window shifted left stops at 65535", [](Packet& p) { p.window = 40'000; },
     [](Packet& p) { p.window = 65'535; }, [](layout::flow& f) { f.window_shift = 4; }},
    {"a window shifted left just fits", [](Packet& p) { p.window = 4'095; },
     [](Packet& p) { p.window = 65'520; }, [](layout::flow& f) { f.window_shift = 4; }},
    {"a window shifted left by the most is no more than 65535", [](Packet& p) { p.window = 4; },
     [](Packet& p) { p.window = 65'535; }, [](layout::flow& f) { f.window_shift = 14; }},
    {"a closed window stays closed", [](Packet& p) { p.window = 0; }, [](Packet& p) { p.window = 0; },
     [](layout::flow& f) { f.window_shift = 14; }},
    {"ECN bits and DSCP pass",
     [](Packet& p) {
         p.tos = 0xb9;
         p.flags = ack | 0xc0;
     }},
    {"congestion experienced passes", [](Packet& p) { p.tos = 3; }},
    {"the urgent pointer passes",
     [](Packet& p) {
         p.flags = ack | urg;
         p.urgent = 3;
     }},
    {"FIN and PSH pass", [](Packet& p) { p.flags = ack | fin | psh; }},
    {"without ACK the field stays as it is",
     [](Packet& p) {
         p.flags = psh;
         p.acknowledgment = 5;
     }},
    {"a segment without options", [](Packet& p) { p.options.clear(); }, untouched, without_timestamps},
    {"one without options where timestamps were agreed upon", [](Packet& p) { p.options.clear(); }},
    {"only NOPs", [](Packet& p) { p.options = Bytes(40, 1); }},
    {"timestamps before their NOPs",
     [](Packet& p) { p.options = {8, 10, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80, 1, 1}; },
     [](Packet& p) { p.options = {8, 10, 0, 1, 0x1d, 0x28, 0, 1, 0x28, 0xe0, 1, 1}; }},
    {"timestamps at an odd place",
     [](Packet& p) { p.options = {1, 8, 10, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80, 1}; },
     [](Packet& p) { p.options = {1, 8, 10, 0, 1, 0x1d, 0x28, 0, 1, 0x28, 0xe0, 1}; }},
    {"timestamps at the very end of the longest header",
     [](Packet& p) {
         p.options = Bytes(28, 1);
         append(p.options, timestamps(70'000, 80'000));
     },
     [](Packet& p) {
         p.options = Bytes(28, 1);
         append(p.options, timestamps(73'000, 76'000));
     }},
    {"timestamps that nobody agreed upon become NOPs", [](Packet&) {},
     [](Packet& p) { p.options = Bytes(12, 1); }, without_timestamps},
    {"and so do those at an odd place",
     [](Packet& p) { p.options = {1, 8, 10, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80, 1}; },
     [](Packet& p) { p.options = Bytes(12, 1); }, without_timestamps},
    {"three SACK blocks at an odd place, behind a timestamp at an odd place",
     [](Packet& p) {
         p.options = {1, 8, 10, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80};
         append(p.options, sack(1, 3));
         append(p.options, {1, 1, 1});
     },
     [](Packet& p) {
         p.options = {1, 8, 10, 0, 1, 0x1d, 0x28, 0, 1, 0x28, 0xe0};
         append(p.options, sack(2'000'001, 3));
         append(p.options, {1, 1, 1});
     }},
    {"SACK blocks wrap around", [](Packet& p) { p.options = padded(2, sack(0xffff0000, 1)); },
     [](Packet& p) { p.options = padded(2, sack(0xffff0000 + 2'000'000U, 1)); }},
    {"a SACK option of an impossible length becomes NOPs",
     [](Packet& p) { p.options = {5, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; },
     [](Packet& p) { p.options = Bytes(12, 1); }},
    {"options that nobody negotiated become NOPs",
     [](Packet& p) { p.options = {30, 8, 1, 2, 3, 4, 5, 6, 254, 4, 0xf9, 0x89}; },
     [](Packet& p) { p.options = Bytes(12, 1); }},
    {"what belongs on a SYN becomes NOPs",
     [](Packet& p) { p.options = {2, 4, 5, 0xb4, 3, 3, 7, 4, 2, 1, 1, 1}; },
     [](Packet& p) { p.options = Bytes(12, 1); }},
    {"an unknown option that fills the header becomes NOPs",
     [](Packet& p) {
         p.options = Bytes(40, 9);
         p.options[0] = 253;
         p.options[1] = 40;
     },
     [](Packet& p) { p.options = Bytes(40, 1); }},
    {"an unknown option before the timestamps",
     [](Packet& p) {
         p.options = {253, 2, 1, 1};
         append(p.options, timestamps(70'000, 80'000));
     },
     [](Packet& p) {
         p.options = Bytes(4, 1);
         append(p.options, timestamps(73'000, 76'000));
     }},
    {"what follows the end of options is left alone",
     [](Packet& p) { p.options = {1, 1, 1, 0, 9, 9, 9, 9}; }},
    {"an option that is longer than the header ends the reading",
     [](Packet& p) {
         p.options = {8, 77, 1, 1};
     }},
    {"an option of length 0 ends the reading",
     [](Packet& p) {
         p.options = {8, 0, 30, 2};
     }},
    {"an option of length 1 ends the reading",
     [](Packet& p) {
         p.options = {30, 1, 30, 2};
     }},
    {"an option whose length is missing ends the reading",
     [](Packet& p) {
         p.options = {1, 1, 1, 8};
     }},
};

TEST_P(L7Packets, OfAClientAreTranslatedForTheEndpoint) {
    for (const Row& row : upward) {
        SCOPED_TRACE(row.sentence);
        Tunnel tunnel = tunnel_;
        if (row.flow != nullptr) row.flow(tunnel.up);
        tunnel.put(node_->tables());
        Packet input = tunnel.from_client();
        row.input(input);
        Packet expected = translated_up(tunnel_, input);
        if (row.expected != nullptr) row.expected(expected);
        const Outcome outcome = up(input);
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(parsed(outcome), expected);
    }
}

TEST_P(L7Packets, WithOneToFourSackBlocksAnywhereNameTheOtherDirectionsNumbers) {
    tunnel_.put(node_->tables());
    unsigned cases = 0;
    for (int blocks = 1; blocks <= 4; ++blocks) {
        for (std::size_t nops = 0; nops + 2 + 8 * static_cast<std::size_t>(blocks) <= 40; ++nops, ++cases) {
            SCOPED_TRACE(std::to_string(blocks) + " blocks behind " + std::to_string(nops) + " NOPs");
            Packet input = tunnel_.from_client();
            input.options = padded(nops, sack(0x3000, blocks));
            Packet expected = translated_up(tunnel_, input);
            expected.options = padded(nops, sack(0x3000 + 2'000'000, blocks));
            EXPECT_EQ(parsed(up(input)), expected);
        }
    }
    EXPECT_EQ(cases, 31U + 23 + 15 + 7);
}

TEST_P(L7Packets, WithSackBlocksThatOnlyOneEndPermitsHaveThemBlanked) {
    without_sack(tunnel_.up);
    tunnel_.put(node_->tables());
    for (int blocks = 1; blocks <= 4; ++blocks) {
        for (const std::size_t nops : {0U, 1U, 2U, 3U}) {
            Packet input = tunnel_.from_client();
            input.options = padded(nops, sack(0x3000, blocks));
            Packet expected = translated_up(tunnel_, input);
            expected.options = Bytes(input.options.size(), 1);
            EXPECT_EQ(parsed(up(input)), expected) << blocks << " behind " << nops;
        }
    }
    Packet input = tunnel_.from_client();
    append(input.options, padded(2, sack(7, 2)));
    Packet expected = translated_up(tunnel_, input);
    expected.options = timestamps(73'000, 76'000);
    append(expected.options, Bytes(20, 1));
    EXPECT_EQ(parsed(up(input)), expected) << "behind timestamps, which stay";
}

TEST_P(L7Packets, OfAnEndpointAreTranslatedForTheClient) {
    tunnel_.put(node_->tables());
    const std::pair<const char*, void (*)(Packet&)> rows[] = {
        {"a segment", [](Packet&) {}},
        {"an ACK", [](Packet& p) { p.payload.clear(); }},
        {"a FIN", [](Packet& p) { p.flags = ack | fin; }},
        {"numbers that wrap around",
         [](Packet& p) {
             p.sequence = 5;
             p.acknowledgment = 5;
         }},
        {"a window that does not fit", [](Packet& p) { p.window = 9'000; }},
        {"ECN bits",
         [](Packet& p) {
             p.tos = 0xff;
             p.flags = ack | 0x40;
         }},
        {"no options", [](Packet& p) { p.options.clear(); }},
    };
    for (const auto& [sentence, change] : rows) {
        SCOPED_TRACE(sentence);
        Packet input = tunnel_.from_endpoint();
        change(input);
        const Outcome outcome = down(input);
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(parsed(outcome), translated_down(tunnel_, input));
    }
}

TEST_P(L7Packets, KeepTheirIdentificationAndFlowLabel) {
    tunnel_.put(node_->tables());
    Bytes input = bytes_of(tunnel_.from_client());
    if (GetParam()) {
        detail::put16(input, 18, 0x1234);
        detail::put16(input, 24, 0);
        detail::put16(input, 24, 0xffffU & ~detail::fold(detail::sum(input, 14, 34)));
    } else {
        detail::put16(input, 16, 0x5678);
        input[15] |= 5;
    }
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(parsed(outcome), translated_up(tunnel_, tunnel_.from_client()));
    EXPECT_TRUE(std::equal(input.begin() + 18, input.begin() + 20, outcome.bytes.begin() + 18) ||
                !GetParam());
    EXPECT_TRUE(std::equal(input.begin() + 15, input.begin() + 18, outcome.bytes.begin() + 15) || GetParam());
}

TEST_P(L7Packets, WithAWrongChecksumStayWrong) {
    tunnel_.put(node_->tables());
    std::string wrong;
    packet_of(up(tunnel_.from_client()).bytes, wrong);
    EXPECT_EQ(wrong, "");
    Bytes damaged = bytes_of(tunnel_.from_client());
    damaged.back() ^= 1;
    packet_of(node_->run(damaged).bytes, wrong);
    EXPECT_EQ(wrong, "L4 checksum; ");
    if (!GetParam()) return;
    damaged = bytes_of(tunnel_.from_client());
    damaged[24] ^= 0x40;
    packet_of(node_->run(damaged).bytes, wrong);
    EXPECT_EQ(wrong, "IP checksum; ");
}

TEST_P(L7Packets, LoseAHopAndAreDroppedWithoutOne) {
    tunnel_.put(node_->tables());
    const std::pair<int, std::uint32_t> rows[] = {
        {255, redirected}, {2, redirected}, {1, dropped}, {0, dropped}};
    for (const auto& [hops, verdict] : rows) {
        Packet p = tunnel_.from_client();
        p.ttl = static_cast<std::uint8_t>(hops);
        const Outcome outcome = up(p);
        EXPECT_EQ(outcome.verdict, verdict) << hops;
        if (verdict == redirected) {
            EXPECT_EQ(parsed(outcome).ttl, hops - 1);
        }
    }
    EXPECT_EQ(node_->program().count(layout::counter_dropped_ttl), 2U);
}

TEST_P(L7Packets, WithoutARouteAreDropped) {
    const net::SocketAddress nowhere{*net::IpAddress::parse(GetParam() ? "198.51.100.1" : "2001:db8:9::1"),
                                     1};
    tunnel_.up.destination = to_table(nowhere.ip);
    tunnel_.put(node_->tables());
    EXPECT_EQ(up(tunnel_.from_client()).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_route), 1U);
}

TEST_P(L7Packets, ToANeighbourThatIsNotKnownAreLeftToTheKernelToAskFor) {
    const net::SocketAddress stranger{*net::IpAddress::parse(GetParam() ? "10.2.0.77" : "fd02::77"), 9080};
    tunnel_.up.destination = to_table(stranger.ip);
    tunnel_.put(node_->tables());
    const Outcome outcome = up(tunnel_.from_client());
    EXPECT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(parsed(outcome).destination.ip, stranger.ip);
    EXPECT_EQ(parsed(outcome).ttl, 63);
}

TEST_P(L7Packets, AreCountedByWhatTheyAddToTheStream) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    up(p);
    up(p);  // repeated
    p.sequence += 5;
    up(p);
    p.sequence -= 3;  // overlaps
    up(p);
    const layout::flow f = flow(tunnel_.up_key());
    EXPECT_EQ(f.packets, 4U);
    EXPECT_EQ(f.sequence_end - f.sequence_base, 10U);
    EXPECT_EQ(f.tsval, 70'000U);
    EXPECT_EQ(f.bytes, 4U * (bytes_of(p).size() - 14));
    EXPECT_EQ(f.window, 1'000U << 3);
    EXPECT_EQ(f.acknowledged, 9'000U);
}

TEST_P(L7Packets, AreCountedOverTheWrapOfTheirNumbers) {
    tunnel_.up.sequence_end = tunnel_.up.sequence_base = (7ULL << 32) - 4;
    tunnel_.down.acknowledged = 0U - 4 + 1'000'000;
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.sequence = 0U - 4;
    p.payload = Bytes(1'000, 'x');
    up(p);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, (7ULL << 32) + 996);
}

TEST_P(L7Packets, BeyondTheWindowAreForwardedButNotBelieved) {
    const std::pair<const char*, void (*)(Packet&)> rows[] = {
        {"data", [](Packet& p) { p.sequence += 1U << 29; }},
        {"a FIN",
         [](Packet& p) {
             p.sequence += 1U << 29;
             p.flags = ack | fin;
         }},
        {"an acknowledgement",
         [](Packet& p) {
             p.sequence += 1U << 29;
             p.acknowledgment += 500;
             p.payload.clear();
         }},
    };
    for (const auto& [sentence, change] : rows) {
        SCOPED_TRACE(sentence);
        tunnel_.put(node_->tables());
        Packet p = tunnel_.from_client();
        change(p);
        EXPECT_EQ(up(p).verdict, redirected);
        const layout::flow f = flow(tunnel_.up_key());
        EXPECT_EQ(f.sequence_end, tunnel_.up.sequence_end);
        EXPECT_EQ(f.acknowledged, tunnel_.up.acknowledged);
        EXPECT_EQ(f.flags & layout::flow_fin, 0U);
    }
}

TEST_P(L7Packets, OvertakenWithinTheWindowAreBelieved) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.sequence += 20'000;
    up(p);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end + 20'005);
}

}  // namespace
}  // namespace hawser::splice::testing
