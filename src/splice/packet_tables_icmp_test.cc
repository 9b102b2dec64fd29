// SPDX-License-Identifier: Apache-2.0
// ICMP errors about what tunnels have sent: to the end that they are for, in its words (RFC 5508 section 4).
#include "splice/testing_icmp.h"
#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

class IcmpPackets : public TunnelTest {
  protected:
    struct Kind {
        const char* sentence;
        std::uint8_t type, code;
        std::uint32_t rest;
    };
    static std::vector<Kind> kinds() {
        if (GetParam())
            return {{"fragmentation needed", 3, 4, 1'400}, {"host unreachable", 3, 1, 0},
                    {"port unreachable", 3, 3, 0},         {"administratively prohibited", 3, 13, 0},
                    {"time exceeded", 11, 0, 0},           {"parameter problem", 12, 0, 0x05000000}};
        return {{"packet too big", 2, 0, 1'400}, {"no route", 1, 0, 0},
                {"port unreachable", 1, 4, 0},   {"administratively prohibited", 1, 1, 0},
                {"time exceeded", 3, 0, 0},      {"parameter problem", 4, 1, 6}};
    }
    [[nodiscard]] net::IpAddress router(int side) const {
        return *net::IpAddress::parse(tunnel_.v4 ? "10." + std::to_string(side) + ".0.5"
                                                 : "fd0" + std::to_string(side) + "::5");
    }
    // As it left the node, and has come two hops far.
    [[nodiscard]] Packet sent_up() const {
        Packet p = translated_up(tunnel_, tunnel_.from_client());
        p.ttl = 61;
        return p;
    }
    // An error about sent_up().
    [[nodiscard]] IcmpError error() const {
        const bool v4 = GetParam();
        IcmpError e{router(2), tunnel_.upstream.ip, 0, 0, 0, quote_of(sent_up())};
        e.type = v4 ? 3 : 1;
        e.code = 1;
        return e;
    }
    void expect_passed(const Bytes& input) {
        const Outcome outcome = node_->run(input, "pod0");
        EXPECT_EQ(outcome.verdict, passed);
        EXPECT_EQ(outcome.bytes, input);
    }
};
INSTANTIATE_TEST_SUITE_P(Families, IcmpPackets, ::testing::Values(true, false), family_name);

TEST_P(IcmpPackets, AboutWhatWentToTheEndpointReachTheClient) {
    tunnel_.put(node_->tables());
    for (const Kind& kind : kinds()) {
        for (const auto& from : {router(2), tunnel_.endpoint.ip}) {
            SCOPED_TRACE(std::string(kind.sentence) + " from " + from.text());
            IcmpError e{from, tunnel_.upstream.ip, kind.type, kind.code, kind.rest, quote_of(sent_up())};
            const Outcome outcome = node_->run(bytes_of(e), "pod0");
            // A router stays itself; the endpoint is known to the client as the frontend.
            if (from == tunnel_.endpoint.ip) e.source = tunnel_.frontend.ip;
            e.destination = tunnel_.client.ip;
            e.ttl = 63;
            e.macs = Node::towards("client0", 2);
            Packet as_client_sent = tunnel_.from_client();
            as_client_sent.ttl = 61;
            e.quote = quote_of(as_client_sent);
            EXPECT_EQ(outcome.verdict, redirected);
            EXPECT_EQ(outcome.bytes, bytes_of(e));
        }
    }
    EXPECT_EQ(node_->program().count(layout::counter_icmp), 2 * kinds().size());
    EXPECT_EQ(flow(tunnel_.up_key()).flags & layout::flow_closed, 0U) << "the ends decide what they mean";
}

TEST_P(IcmpPackets, AboutWhatWentToTheClientReachTheEndpoint) {
    tunnel_.put(node_->tables());
    for (const Kind& kind : kinds()) {
        for (const auto& from : {router(1), tunnel_.client.ip}) {
            SCOPED_TRACE(std::string(kind.sentence) + " from " + from.text());
            const Packet sent = translated_down(tunnel_, tunnel_.from_endpoint());
            IcmpError e{from, tunnel_.frontend.ip, kind.type, kind.code, kind.rest, quote_of(sent)};
            const Outcome outcome = node_->run(bytes_of(e), "client0");
            if (from == tunnel_.client.ip) e.source = tunnel_.upstream.ip;
            e.destination = tunnel_.endpoint.ip;
            e.ttl = 63;
            e.macs = Node::towards("pod0", 3);
            Packet as_endpoint_sent = tunnel_.from_endpoint();
            as_endpoint_sent.ttl = 63;
            e.quote = quote_of(as_endpoint_sent);
            EXPECT_EQ(outcome.verdict, redirected);
            EXPECT_EQ(outcome.bytes, bytes_of(e));
        }
    }
}

TEST_P(IcmpPackets, ThatQuoteMoreKeepTheRest) {
    tunnel_.put(node_->tables());
    for (const std::size_t more : {9U, 20U, 32U, 37U}) {
        SCOPED_TRACE(more);
        IcmpError e = error();
        e.quote = quote_of(sent_up(), more);
        const Outcome outcome = node_->run(bytes_of(e), "pod0");
        EXPECT_EQ(outcome.verdict, redirected);
        const Packet out = parsed(outcome);  // both checksums are right
        EXPECT_EQ(out.destination.ip, tunnel_.client.ip);
        EXPECT_TRUE(std::equal(out.payload.end() - static_cast<std::ptrdiff_t>(more - 8), out.payload.end(),
                               e.quote.end() - static_cast<std::ptrdiff_t>(more - 8)));
    }
}

TEST_P(IcmpPackets, AboutAServiceAreTranslatedToo) {
    for (const std::uint8_t protocol : {std::uint8_t{IPPROTO_TCP}, std::uint8_t{IPPROTO_UDP}}) {
        for (const bool is_nascent : {false, true}) {
            SCOPED_TRACE(std::to_string(protocol) + (is_nascent ? " nascent" : ""));
            node_->reset();
            layout::flow there =
                Tunnel::flow(tunnel_.upstream, tunnel_.endpoint, layout::flow_from_client | layout::flow_l4);
            layout::flow back = Tunnel::flow(tunnel_.frontend, tunnel_.client, layout::flow_l4);
            there.idle_seconds = back.idle_seconds = 60;
            const auto& table = is_nascent ? node_->tables().nascent : node_->tables().flows;
            table.put(make_key(tunnel_.client, tunnel_.frontend, protocol), there);
            table.put(make_key(tunnel_.endpoint, tunnel_.upstream, protocol), back);
            Packet sent = tunnel_.from_client();
            sent.protocol = protocol;
            if (protocol == IPPROTO_UDP) sent.options.clear();
            const Packet as_client_sent = sent;
            sent.source = tunnel_.upstream;
            sent.destination = tunnel_.endpoint;
            IcmpError e = error();
            e.quote = quote_of(sent);
            const Outcome outcome = node_->run(bytes_of(e), "pod0");
            e.destination = tunnel_.client.ip;
            e.ttl = 63;
            e.macs = Node::towards("client0", 2);
            e.quote = quote_of(as_client_sent);
            EXPECT_EQ(outcome.verdict, redirected);
            // A quoted UDP checksum stays what it was: nobody can verify it by the quote.
            if (protocol == IPPROTO_UDP) {
                const std::size_t at = e.quote.size() - 2;
                detail::put16(e.quote, at, detail::get16(quote_of(sent), at));
            }
            EXPECT_EQ(outcome.bytes, bytes_of(e));
        }
    }
}

TEST_P(IcmpPackets, ForAProcessOfTheNodeComeInByTheWayThatItExpects) {
    tunnel_.down.flags |= layout::flow_to_local;
    tunnel_.down.local_interface = if_nametoindex("client0");
    tunnel_.put(node_->tables());
    const Outcome outcome = node_->run(bytes_of(error()), "pod0");
    EXPECT_EQ(outcome.verdict, redirected);
    const Packet out = parsed(outcome);
    const auto own = Node::mac("client0");
    EXPECT_TRUE(std::equal(own.begin(), own.end(), out.macs.begin()));
    EXPECT_EQ(out.destination.ip, tunnel_.client.ip);
}

TEST_P(IcmpPackets, WithoutAHopLeftAreDropped) {
    tunnel_.put(node_->tables());
    IcmpError e = error();
    e.ttl = 1;
    EXPECT_EQ(node_->run(bytes_of(e), "pod0").verdict, dropped);
}

TEST_P(IcmpPackets, WithAWrongChecksumStayWrong) {
    tunnel_.put(node_->tables());
    Bytes damaged = bytes_of(error());
    damaged.back() ^= 1;
    std::string wrong;
    packet_of(node_->run(damaged, "pod0").bytes, wrong);
    EXPECT_EQ(wrong, "L4 checksum; ");
}

TEST_P(IcmpPackets, AboutATunnelInTheRelayAreTheStacks) {
    tunnel_.record.state = layout::state_relay;
    tunnel_.up.state = tunnel_.down.state = layout::state_relay;
    tunnel_.put(node_->tables());
    expect_passed(bytes_of(error()));
    tunnel_.record.state = layout::state_transit;
    tunnel_.put(node_->tables());
    expect_passed(bytes_of(error()));
}

TEST_P(IcmpPackets, ThatAreNotAboutATunnelPassUntouched) {
    tunnel_.put(node_->tables());
    const bool v4 = GetParam();
    const std::pair<const char*, void (*)(IcmpError&, Packet&)> rows[] = {
        {"another port of ours", [](IcmpError&, Packet& sent) { sent.source.port = 1; }},
        {"another port of theirs", [](IcmpError&, Packet& sent) { sent.destination.port = 1; }},
        {"another protocol", [](IcmpError&, Packet& sent) { sent.protocol = 132; }},
        {"an echo request", [](IcmpError& e, Packet& sent) { e.type = sent.source.ip.is_v4() ? 8 : 128; }},
        {"an echo reply", [](IcmpError& e, Packet& sent) { e.type = sent.source.ip.is_v4() ? 0 : 129; }},
        {"a redirect", [](IcmpError& e, Packet& sent) { e.type = sent.source.ip.is_v4() ? 5 : 137; }},
        {"a type that there is not", [](IcmpError& e, Packet&) { e.type = 77; }},
        {"a packet that somebody else has sent",
         [](IcmpError& e, Packet& sent) {
             e.destination = *net::IpAddress::parse(sent.source.ip.is_v4() ? "10.1.0.1" : "fd01::1");
         }},
    };
    for (const auto& [sentence, change] : rows) {
        SCOPED_TRACE(sentence);
        IcmpError e = error();
        Packet sent = sent_up();
        change(e, sent);
        e.quote = quote_of(sent);
        expect_passed(bytes_of(e));
    }
    IcmpError cut = error();
    cut.quote.pop_back();
    expect_passed(bytes_of(cut));
    cut.quote.clear();
    expect_passed(bytes_of(cut));
    if (!v4) return;
    IcmpError with_options = error();
    with_options.quote[0] = 0x46;
    expect_passed(bytes_of(with_options));
    Bytes fragment = bytes_of(error());
    fragment[20] = 0x20;
    expect_passed(fragment);
}

TEST_P(IcmpPackets, ThatLeaveTheNodeAreNotLookedAt) {
    tunnel_.put(node_->tables());
    const Bytes input = bytes_of(error());
    const Outcome outcome = node_->run(input, "pod0", Hook::egress);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
}

}  // namespace
}  // namespace hawser::splice::testing
