// SPDX-License-Identifier: Apache-2.0
// Datagrams that were cut into fragments: the first one has the ports, the later ones go where it went.
#include <ctime>

#include "splice/testing_icmp.h"
#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

// A part of an IP packet: `size` bytes of what follows its IP header, from `at` on.
Bytes part_of(const Bytes& frame, std::uint32_t id, std::size_t at, std::size_t size) {
    const bool v4 = detail::get16(frame, 12) == 0x0800;
    const std::size_t l4 = v4 ? 34 : 54;
    size = std::min(size, frame.size() - l4 - at);
    const unsigned more = l4 + at + size < frame.size() ? 1 : 0;
    Bytes out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(l4));
    const auto from = frame.begin() + static_cast<std::ptrdiff_t>(l4 + at);
    if (v4) {
        detail::put16(out, 16, static_cast<unsigned>(20 + size));
        detail::put16(out, 18, id);
        detail::put16(out, 20, more << 13 | static_cast<unsigned>(at / 8));
        detail::put16(out, 24, 0);
        detail::put16(out, 24, 0xffffU & ~detail::fold(detail::sum(out, 14, 34)));
    } else {
        detail::put16(out, 18, static_cast<unsigned>(8 + size));
        out.resize(62);
        out[54] = std::exchange(out[20], 44);
        detail::put16(out, 56, static_cast<unsigned>(at) | more);
        detail::put32(out, 58, id);
    }
    out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(size));
    return out;
}

// All of it, as a sender does.
std::vector<Bytes> cut(const Bytes& frame, std::uint32_t id, std::size_t size) {
    std::vector<Bytes> out;
    const std::size_t whole = frame.size() - (detail::get16(frame, 12) == 0x0800 ? 34 : 54);
    for (std::size_t at = 0; at < whole; at += size) out.push_back(part_of(frame, id, at, size));
    return out;
}

// The node's table of ports, which is the program's own.
class Ports {
  public:
    explicit Ports(int program) {
        std::array<std::uint32_t, 64> ids{};
        bpf_prog_info info{};
        std::uint32_t size = sizeof info;
        info.nr_map_ids = ids.size();
        info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
        if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return;
        for (std::uint32_t i = 0; i < info.nr_map_ids; ++i) {
            net::Fd map(bpf_map_get_fd_by_id(ids[i]));
            bpf_map_info facts{};
            size = sizeof facts;
            if (bpf_obj_get_info_by_fd(map.get(), &facts, &size) == 0 &&
                std::string(facts.name) == "fragments")
                map_ = std::move(map);
        }
    }
    // All of them were met so long ago.
    void age(std::uint64_t seconds) {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        each([&](const Key& key) {
            std::array<std::uint64_t, 2> value{};
            bpf_map_lookup_elem(map_.get(), key.data(), value.data());
            value[0] = (static_cast<std::uint64_t>(now.tv_sec) - seconds) * 1'000'000'000;
            bpf_map_update_elem(map_.get(), key.data(), value.data(), BPF_EXIST);
        });
    }
    void clear() {
        each([&](const Key& key) { bpf_map_delete_elem(map_.get(), key.data()); });
    }
    [[nodiscard]] std::size_t size() {
        std::size_t out = 0;
        each([&](const Key&) { ++out; });
        return out;
    }

  private:
    using Key = std::array<std::uint8_t, 40>;
    void each(const std::function<void(const Key&)>& visit) {
        std::vector<Key> keys;
        Key key{};
        for (bool any = bpf_map_get_next_key(map_.get(), nullptr, key.data()) == 0; any;
             any = bpf_map_get_next_key(map_.get(), key.data(), key.data()) == 0)
            keys.push_back(key);
        for (const Key& each : keys) visit(each);
    }
    net::Fd map_;
};

class Fragments : public ServiceTest {
  protected:
    static constexpr std::size_t part = 1'448;

    void SetUp() override {
        ServiceTest::SetUp();
        if (node_ == nullptr) return;
        ports_.emplace(node_->program().program(Hook::ingress));
        ports_->clear();
        apply({service(external_ip(), 53, {pod(3)}), service(external_ip(), 54, {pod(4)}),
               service(external_ip(), 55, {}), service(cluster_ip(), 53, {ip("10.2.0.1", "fd02::1")})});
    }
    static Frontend service(const net::IpAddress& address, std::uint16_t port,
                            const std::vector<net::IpAddress>& pods) {
        const std::string id = "default/web:" + std::to_string(port) + "/UDP@" + address.text();
        return udp(
            frontend(FrontendKind::external_ip, address, port, group(pods, Scheduler::rr, id.c_str())));
    }
    static Packet large(const net::SocketAddress& from, const net::SocketAddress& to,
                        std::size_t size = 4'000) {
        Packet p = datagram(from, to);
        p.payload.resize(size);
        for (std::size_t i = 0; i < size; ++i) p.payload[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
        return p;
    }
    Packet question(std::uint16_t port = 53) const { return large(client_, {external_ip(), port}); }

    // What the question becomes on its way to its endpoint.
    Packet expected(const net::IpAddress& endpoint, std::uint16_t port = 53) {
        Packet p = question(port);
        const auto flow = node_->tables().nascent.find(make_key(client_, {external_ip(), port}, IPPROTO_UDP));
        if (!flow) throw std::runtime_error("no flow");
        p.source = {from_table(flow->source), ntohs(flow->source_port)};
        p.destination = {endpoint, 9080};
        p.ttl = 63;
        p.macs = Node::towards("pod0", static_cast<std::uint8_t>(endpoint.bytes()[15]));
        return p;
    }
    void expect(std::uint32_t verdict, const Bytes& input, const Bytes& output, const std::string& sentence,
                const Arrival& arrival = {}) {
        const Outcome outcome = node_->run(input, arrival);
        EXPECT_EQ(outcome.verdict, verdict) << sentence;
        EXPECT_EQ(outcome.bytes, output) << sentence;
    }
    void expect_passed(const Bytes& packet, const std::string& sentence) {
        expect(passed, packet, packet, sentence);
        expect(passed, packet, packet, sentence, {.hook = Hook::egress});
    }
    // Parts of one datagram, in turn.
    void expect_carried(const std::vector<Bytes>& input, const std::vector<Bytes>& output,
                        const Arrival& arrival = {}) {
        ASSERT_EQ(input.size(), output.size());
        for (std::size_t i = 0; i < input.size(); ++i)
            expect(redirected, input[i], output[i], "part " + std::to_string(i), arrival);
    }
    const net::SocketAddress client_{client(2), 40'000};
    std::optional<Ports> ports_;
};
INSTANTIATE_TEST_SUITE_P(Families, Fragments, ::testing::Values(true, false), family_of_services);

TEST_P(Fragments, FollowTheirFirstOneThereAndBack) {
    const std::vector<Bytes> input = cut(bytes_of(question()), 0xbeef, part);
    ASSERT_EQ(input.size(), 3U);  // first, middle, last
    const Outcome first = node_->run(input[0]);
    EXPECT_EQ(first.verdict, redirected);
    const Packet there = expected(pod(3));
    const std::vector<Bytes> output = cut(bytes_of(there), 0xbeef, part);
    EXPECT_EQ(first.bytes, output[0]);
    expect(redirected, input[1], output[1], "the middle one");
    expect(redirected, input[2], output[2], "the last one");
    expect(redirected, input[2], output[2], "the last one again");
    expect(redirected, input[1], output[1], "the middle one behind the last");

    Packet answer = large(there.destination, there.source, 3'000);
    const std::vector<Bytes> said = cut(bytes_of(answer), 0x10002, part);
    answer.source = {external_ip(), 53};
    answer.destination = client_;
    answer.ttl = 63;
    answer.macs = Node::towards("client0", 2);
    expect_carried(said, cut(bytes_of(answer), 0x10002, part), {.interface = "pod0"});
}

TEST_P(Fragments, CountTheBytesOfTheirDatagram) {
    for (const Bytes& each : cut(bytes_of(question()), 1, part)) node_->run(each);
    const auto flow = node_->tables().nascent.find(make_key(client_, {external_ip(), 53}, IPPROTO_UDP));
    ASSERT_TRUE(flow);
    EXPECT_EQ(flow->bytes, 4'000U);
    EXPECT_EQ(flow->packets, 3U);
    EXPECT_EQ(node_->tables().nascent.size(), 2U);
}

TEST_P(Fragments, OfEverySizeAreCarried) {
    for (const std::size_t size : {8U, 16U, 504U, 1'448U}) {
        SCOPED_TRACE(size);
        const auto id = static_cast<std::uint32_t>(size);
        const std::vector<Bytes> input = cut(bytes_of(question()), id, size);
        node_->run(input[0]);
        expect_carried(input, cut(bytes_of(expected(pod(3))), id, size));
    }
}

TEST_P(Fragments, WithoutTheirFirstOneAreTheStacks) {
    const std::vector<Bytes> input = cut(bytes_of(question()), 7, part);
    expect_passed(input[1], "nothing was seen of this datagram");
    expect_passed(input[2], "nor now");
    node_->run(input[0]);
    const auto with = [&](auto change) {
        Packet other = question();
        change(other);
        return part_of(bytes_of(other), 7, part, part);
    };
    expect_passed(part_of(bytes_of(question()), 8, part, part), "another id");
    expect_passed(with([](Packet& p) { p.source.ip = client(3); }), "another source");
    expect_passed(with([](Packet& p) { p.destination.ip = cluster_ip(); }), "another destination");
    expect_passed(with([](Packet& p) { p.protocol = IPPROTO_TCP; }), "another protocol");
    EXPECT_EQ(node_->run(input[1]).verdict, redirected);
    EXPECT_EQ(node_->tables().nascent.size(), 2U);
}

TEST_P(Fragments, OfWhatIsNotServedAreTheStacks) {
    const std::vector<Bytes> input = cut(bytes_of(large(client_, {node(), 5'000})), 7, part);
    for (const Bytes& each : input) expect_passed(each, "no frontend");
    EXPECT_EQ(node_->tables().nascent.size(), 0U);
    // The flow has ended between two parts: a later one does not begin another.
    const std::vector<Bytes> served = cut(bytes_of(question()), 8, part);
    node_->run(served[0]);
    node_->tables().nascent.erase(make_key(client_, {external_ip(), 53}, IPPROTO_UDP));
    expect_passed(served[1], "no flow");
}

TEST_P(Fragments, AreWaitedForHalfAMinute) {
    const std::vector<Bytes> input = cut(bytes_of(question()), 7, part);
    node_->run(input[0]);
    ports_->age(29);
    EXPECT_EQ(node_->run(input[1]).verdict, redirected);
    ports_->age(31);
    expect_passed(input[1], "its id may be another datagram's by now");
    node_->run(input[0]);
    EXPECT_EQ(node_->run(input[1]).verdict, redirected);
}

TEST_P(Fragments, OfAnIdThatIsUsedAgainFollowTheNewDatagram) {
    const std::vector<Bytes> before = cut(bytes_of(question(53)), 7, part);
    const std::vector<Bytes> now = cut(bytes_of(question(54)), 7, part);
    node_->run(before[0]);
    node_->run(now[0]);
    expect_carried(now, cut(bytes_of(expected(pod(4), 54)), 7, part));
    // Also when it is not ours.
    node_->run(part_of(bytes_of(large(client_, {external_ip(), 56})), 7, 0, part));
    expect_passed(now[1], "of a datagram to no service");
    EXPECT_EQ(ports_->size(), 1U);
}

TEST_P(Fragments, ThatCutTheUdpHeaderAreTheStacks) {
    const Bytes whole = bytes_of(question());
    for (std::size_t size = 0; size < 8; ++size)
        expect_passed(part_of(whole, 7, 0, size), std::to_string(size) + " bytes of the header");
    expect_passed(part_of(whole, 7, 8, part), "and what follows it");
    EXPECT_EQ(ports_->size(), 0U);
}

TEST_P(Fragments, ThatOverlapTheHeaderOfTcpAreTheStacks) {
    // RFC 3128: the first part is a harmless ACK, the second writes a SYN over it.
    Packet p = segment(client_, {external_ip(), 53}, ack);
    p.payload = Bytes(100, 'x');
    const Bytes whole = bytes_of(p);
    for (const std::size_t size : {8U, 16U, 24U, 64U})
        expect_passed(part_of(whole, 7, 0, size), "a first part of " + std::to_string(size));
    expect_passed(part_of(whole, 7, 8, 112), "offset 1");
    expect_passed(part_of(whole, 7, 64, 56), "the last part");
    EXPECT_EQ(node_->tables().nascent.size(), 0U);
    EXPECT_EQ(ports_->size(), 0U);
}

TEST_P(Fragments, ThatOverlapAreTheReceiversMatter) {
    const Bytes whole = bytes_of(question());
    node_->run(part_of(whole, 7, 0, part));
    const Bytes out = bytes_of(expected(pod(3)));
    // Behind the eight bytes of the UDP header, so that no port and no checksum is written over.
    expect(redirected, part_of(whole, 7, 8, 64), part_of(out, 7, 8, 64), "offset 1");
    expect(redirected, part_of(whole, 7, part - 8, part), part_of(out, 7, part - 8, part), "in the middle");
}

TEST_P(Fragments, OfADatagramWithoutAChecksumHaveNoneBehindIt) {
    const auto unsummed = [](Bytes frame) {
        detail::put16(frame, (GetParam() ? 34U : 54U) + 6, 0);
        return frame;
    };
    const std::vector<Bytes> input = cut(unsummed(bytes_of(question())), 7, part);
    node_->run(input[0]);
    expect_carried(input, cut(unsummed(bytes_of(expected(pod(3)))), 7, part));
}

TEST_P(Fragments, WithAWrongChecksumStayWrong) {
    const auto spoilt = [](Bytes frame) {
        frame.back() ^= 1;  // a byte of the last part, which the first part's checksum is about
        return frame;
    };
    const std::vector<Bytes> input = cut(spoilt(bytes_of(question())), 7, part);
    node_->run(input[0]);
    expect_carried(input, cut(spoilt(bytes_of(expected(pod(3)))), 7, part));
}

TEST_P(Fragments, WithoutAHopLeftAreDropped) {
    Packet p = question();
    const std::vector<Bytes> good = cut(bytes_of(p), 7, part);
    EXPECT_EQ(node_->run(good[0]).verdict, redirected);
    p.ttl = 1;
    for (const Bytes& each : cut(bytes_of(p), 7, part)) EXPECT_EQ(node_->run(each).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_ttl), 3U);
}

TEST_P(Fragments, TooLargeForTheWayOnAreAnsweredForTheFirstOne) {
    ASSERT_EQ(std::system(GetParam() ? "ip route replace 10.2.0.3/32 dev pod0 mtu lock 1300"
                                     : "ip -6 route replace fd02::3/128 dev pod0 mtu lock 1300"),
              0);
    const std::vector<Bytes> input = cut(bytes_of(question()), 7, part);
    const Outcome first = node_->run(input[0]);
    const Outcome middle = node_->run(input[1]);
    const Outcome last = node_->run(input[2]);
    ASSERT_EQ(std::system(GetParam() ? "ip route del 10.2.0.3/32" : "ip -6 route del fd02::3/128"), 0);
    // The quote has the fragment header, and the ports.
    const Bytes quote = quote_of(input[0], GetParam() ? 8 : 16);
    EXPECT_EQ(first.verdict, redirected);
    EXPECT_EQ(first.bytes, bytes_of(too_big(question(), 1'300, quote)));
    EXPECT_EQ(middle.verdict, dropped);
    EXPECT_EQ(last.verdict, redirected) << "it is small enough";
    EXPECT_EQ(node_->program().count(layout::counter_too_big), 2U);
}

TEST_P(Fragments, WithoutEndpointsAreRefusedForTheFirstOne) {
    const std::vector<Bytes> input = cut(bytes_of(question(55)), 7, part);
    IcmpError e;
    e.source = external_ip();
    e.destination = client(2);
    e.type = GetParam() ? 3 : 1;
    e.code = GetParam() ? 3 : 4;
    e.quote = quote_of(input[0], GetParam() ? 8 : 16);
    e.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
    expect(redirected, input[0], bytes_of(e), "port unreachable");
    expect_passed(input[1], "the rest");
}

TEST_P(Fragments, ToAnEndpointOnTheNodeArePutTogetherByItsStack) {
    const net::SocketAddress front{cluster_ip(), 53}, endpoint{ip("10.2.0.1", "fd02::1"), 9080};
    Packet p = large(client_, front);
    const std::vector<Bytes> asked = cut(bytes_of(p), 7, part);
    p.destination = endpoint;
    const std::vector<Bytes> heard = cut(bytes_of(p), 7, part);
    Packet answer = large(endpoint, client_);
    const std::vector<Bytes> said = cut(bytes_of(answer), 9, part);
    answer.source = front;
    const std::vector<Bytes> sent = cut(bytes_of(answer), 9, part);
    for (std::size_t i = 0; i < asked.size(); ++i) expect(passed, asked[i], heard[i], "there");
    for (std::size_t i = 0; i < said.size(); ++i)
        expect(passed, said[i], sent[i], "back", {.hook = Hook::egress});
}

TEST_P(Fragments, OfAProcessOfTheNodeGoToThePodAndComeBackByTheWayItExpects) {
    const net::SocketAddress from{node(), 40'000}, front{external_ip(), 53};
    Packet p = large(from, front);
    const std::vector<Bytes> asked = cut(bytes_of(p), 7, part);
    const Arrival out{.hook = Hook::egress};
    EXPECT_EQ(node_->run(asked[0], out).verdict, redirected);
    const auto flow = node_->tables().nascent.find(make_key(from, front, IPPROTO_UDP));
    ASSERT_TRUE(flow);
    p.source = {from_table(flow->source), ntohs(flow->source_port)};
    p.destination = {pod(3), 9080};
    p.macs = Node::towards("pod0", 3);
    expect_carried(asked, cut(bytes_of(p), 7, part), out);

    Packet answer = large(p.destination, p.source);
    const std::vector<Bytes> said = cut(bytes_of(answer), 9, part);
    answer.source = front;
    answer.destination = from;
    const auto own = Node::mac("client0");
    std::copy(own.begin(), own.end(), answer.macs.begin());
    std::copy(own.begin(), own.end(), answer.macs.begin() + 6);
    expect_carried(said, cut(bytes_of(answer), 9, part), {.interface = "pod0"});
}

TEST_P(Fragments, SummedUpByTheDeviceKeepARightSum) {
    const std::vector<Bytes> input = cut(bytes_of(question()), 7, part);
    const Arrival summed{.flags = summed_by_device};
    try {
        node_->run(input[1], summed);  // passes untouched
    } catch (const std::runtime_error&) {
        GTEST_SKIP() << "the kernel's test runs have no CHECKSUM_COMPLETE (Linux 6.16 has)";
    }
    for (const Bytes& each : input) EXPECT_EQ(node_->run(each, summed).verdict, redirected);
    EXPECT_EQ(node_->run(bytes_of(large(client_, {external_ip(), 53}, 100)), summed).verdict, redirected);
}

TEST_P(Fragments, ErrorsAboutTheFirstOneReachItsSender) {
    const std::vector<Bytes> input = cut(bytes_of(question()), 7, part);
    std::vector<Bytes> sent;
    for (const Bytes& each : input) sent.push_back(node_->run(each).bytes);
    const std::size_t more = GetParam() ? 8 : 16;
    IcmpError e;
    e.source = pod(3);
    e.destination = ip("10.2.0.1", "fd02::1");
    e.type = GetParam() ? 3 : 2;
    e.code = GetParam() ? 4 : 0;
    e.rest = 1'400;
    e.quote = quote_of(sent[0], more);
    const Outcome outcome = node_->run(bytes_of(e), "pod0");
    e.source = external_ip();
    e.destination = client(2);
    e.ttl = 63;
    e.macs = Node::towards("client0", 2);
    Bytes asked = input[0];
    asked[GetParam() ? 22 : 21] = 63;  // as it left the node
    if (GetParam()) {
        detail::put16(asked, 24, 0);
        detail::put16(asked, 24, 0xffffU & ~detail::fold(detail::sum(asked, 14, 34)));
    }
    e.quote = quote_of(asked, more);
    // A quoted UDP checksum stays what it was: nobody can verify it by the quote.
    std::copy_n(quote_of(sent[0], more).end() - 2, 2, e.quote.end() - 2);
    EXPECT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(outcome.bytes, bytes_of(e));

    // One about a later part has no ports, whatever stands where they would.
    e.source = pod(3);
    e.destination = ip("10.2.0.1", "fd02::1");
    e.quote = quote_of(sent[0], more);
    e.quote[GetParam() ? 7 : 43] |= 8;
    const Bytes about_later = bytes_of(e);
    expect(passed, about_later, about_later, "an error about a later part", {.interface = "pod0"});
}

class FragmentHeaders : public Fragments {};
INSTANTIATE_TEST_SUITE_P(V6, FragmentHeaders, ::testing::Values(false), family_of_services);

TEST_P(FragmentHeaders, OfADatagramThatIsWholeAreKept) {
    // RFC 6946: a translator from IPv4 may put one there.
    const Packet p = large(client_, {external_ip(), 53}, 100);
    const Bytes whole = part_of(bytes_of(p), 7, 0, 1'000);
    EXPECT_EQ(node_->run(whole).verdict, redirected);
    Packet out = expected(pod(3));
    out.payload = p.payload;
    expect(redirected, whole, part_of(bytes_of(out), 7, 0, 1'000), "an atomic fragment");
}

TEST_P(FragmentHeaders, BehindAndInFrontOfOthersAreTheStacks) {
    const Bytes first = part_of(bytes_of(question()), 7, 0, part);
    for (const int next : {0, 6, 43, 44, 50, 51, 58, 59, 60, 135}) {
        Bytes p = first;
        p[54] = static_cast<std::uint8_t>(next);
        expect_passed(p, "behind it stands " + std::to_string(next));
    }
    Bytes p = first;
    p[20] = 60;
    p.insert(p.begin() + 54, {44, 0, 1, 4, 0, 0, 0, 0});  // destination options, 8 bytes of padding
    detail::put16(p, 18, detail::get16(p, 18) + 8);
    expect_passed(p, "in front of it stand options");
    for (std::size_t size = 54; size < 62; ++size) {
        p.assign(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(size));
        expect_passed(p, "shorter than it says");
        detail::put16(p, 18, static_cast<unsigned>(size - 54));
        if (size > 54) expect_passed(p, "cut short");
    }
    EXPECT_EQ(ports_->size(), 0U);
}

}  // namespace
}  // namespace hawser::splice::testing
