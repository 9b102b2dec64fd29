// SPDX-License-Identifier: Apache-2.0
#include "splice/hand_off.h"

#include <ctime>

#include "net/socket.h"
#include "splice/address.h"
#include "splice/segment.h"

namespace hawser::splice {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// A TSval is taken for the peer's clock of now when it was seen so lately. By what it is older, one
// measurement of the round trip comes out too long, and our own sockets seem behind the clock that the peer
// has heard of: what they repeat then is acknowledged, not delivered (RFC 7323 section 5.3), and had been
// delivered before.
constexpr std::uint64_t fresh_ns = 250'000'000;
constexpr milliseconds poke_again{40};
// Neither probe brought a packet past the program: it is not on their way.
constexpr milliseconds give_up_unseen{3'000};
// A packet that had passed the program before the flip has reached its socket: packets wait for a softirq,
// not longer.
constexpr milliseconds grace{10};
// So often may there be a byte under way before the window is narrowed, and so long may that last.
constexpr unsigned tries_before_narrowing = 60;
constexpr milliseconds give_up_busy{10'000};
constexpr int narrow_bytes = 8 * 1024;

std::uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

bool reached(std::uint32_t number, std::uint32_t wanted) {
    return static_cast<std::int32_t>(number - wanted) >= 0;
}

// The upper half is free: it only has to be large enough for what is taken off.
std::uint64_t extended(std::uint32_t sequence) { return (std::uint64_t{1} << 32) + sequence; }

}  // namespace

std::unique_ptr<KernelHandOff> KernelHandOff::begin(const Context& context, const tunnel::Tunnel& tunnel,
                                                    int client, int endpoint, const char*& why_not) {
    std::unique_ptr<KernelHandOff> out(new KernelHandOff(context));
    out->client_.fd = client;
    out->endpoint_.fd = endpoint;
    why_not = out->prepare(tunnel);
    if (why_not != nullptr) return nullptr;
    return out;
}

KernelHandOff::~KernelHandOff() {
    if (phase_ == Phase::relay && id_ != 0) {
        narrow(false);
        forget();
    }
}

void KernelHandOff::forget() {
    context_.tables.flows.erase(client_.key);
    context_.tables.flows.erase(endpoint_.key);
    context_.tables.records.erase(id_);
}

const char* KernelHandOff::check() const {
    const ConnectionFacts& c = client_.facts;
    const ConnectionFacts& e = endpoint_.facts;
    if (!c.established || !e.established) return "closing";
    if (client_.peer.ip.is_v4() != endpoint_.peer.ip.is_v4()) return "address families differ";
    // The kernel may give a port of its own away while a splice uses it.
    if (!context_.ports.has(endpoint_.local.port)) return "no port";
    if (context_.interfaces.is_ours(client_.peer.ip) || context_.interfaces.is_ours(endpoint_.peer.ip))
        return "local";
    // A segment without timestamps, where they were agreed upon, may be dropped (RFC 7323 section 3.2).
    if (c.timestamps != e.timestamps) return "timestamps on one side";
    // Each end sends segments as large as we told it. A client whose own MSS is small has made us tell the
    // endpoint, and we know no more of the endpoint's than that (TCP_MAXSEG cuts both): such a client sends
    // small segments itself, and the program refuses others (largest_segment).
    if (e.advertised_mss > c.send_mss) return "mss";
    if (c.advertised_mss > e.send_mss && c.send_mss > e.send_mss) return "mss";
    if (const char* why = context_.interfaces.why_not(client_.local.ip, client_.peer.ip)) return why;
    return context_.interfaces.why_not(endpoint_.local.ip, endpoint_.peer.ip);
}

const char* KernelHandOff::prepare(const tunnel::Tunnel& tunnel) {
    for (End* end : {&client_, &endpoint_}) {
        const auto facts = facts_of(end->fd);
        if (!facts) return "closing";
        end->facts = *facts;
        end->peer = net::peer_address(end->fd);
        end->local = net::local_address(end->fd);
        end->key = make_key(end->peer, end->local, IPPROTO_TCP);
    }
    if (const char* why = check()) {
        const std::uint32_t mss = endpoint_.facts.send_mss;
        // What a client's own MSS has not cut is the path's.
        if (client_.facts.advertised_mss > mss && client_.facts.send_mss > mss)
            context_.smallest_mss.lower(mss);
        return why;
    }
    const auto& tables = context_.tables;
    idle_seconds_ = static_cast<std::uint32_t>((tunnel.idle_timeout.count() + 999) / 1000);
    layout::record record{};
    record.state = layout::state_relay;
    record.started = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(tunnel.started.time_since_epoch()).count());
    record.route = context_.names.put(tunnel.route);
    record.service = context_.names.put(tunnel.service);
    record.endpoint = context_.names.put(tunnel.endpoint_name);
    record.protocol = context_.names.put(tunnel.protocol);
    record.client = to_table(tunnel.client.ip);
    record.client_port = tunnel.client.port;
    record.idle_seconds = idle_seconds_;
    layout::flow flow{};
    flow.id = tunnel.id;
    for (const End* end : {&client_, &endpoint_}) {
        const auto old = tables.flows.find(end->key);
        if (old && (old->flags & layout::flow_closed) == 0) return "4-tuple is taken";
    }
    if (tables.records.insert(tunnel.id, record) != 0) return "table is full";
    if (tables.flows.put(client_.key, flow) != 0 || tables.flows.put(endpoint_.key, flow) != 0) {
        tables.flows.erase(client_.key);
        tables.records.erase(tunnel.id);
        return "table is full";
    }
    id_ = tunnel.id;
    begun_ = Clock::now();
    for (End* end : {&client_, &endpoint_}) {
        end->poked = begun_;
        probe(end->fd);
    }
    return nullptr;
}

// Linux answers one probe in 500 ms (tcp_invalid_ratelimit): later the nearer end is asked when the other's
// answer is there, so that both are fresh at one time.
void KernelHandOff::poke(bool client_is_fresh, bool endpoint_is_fresh) {
    const bool client_is_farther = client_.facts.round_trip_us >= endpoint_.facts.round_trip_us;
    const bool asks_client = !client_is_fresh && (client_is_farther || endpoint_is_fresh);
    const bool asks_endpoint = !endpoint_is_fresh && (!client_is_farther || client_is_fresh);
    const auto now = Clock::now();
    for (End* end : {asks_client ? &client_ : nullptr, asks_endpoint ? &endpoint_ : nullptr}) {
        if (end == nullptr || now - end->poked < poke_again) continue;
        end->poked = now;
        probe(end->fd);
    }
}

void KernelHandOff::narrow(bool yes) {
    for (End* end : {&client_, &endpoint_}) {
        if (end->narrowed == yes) continue;
        end->narrowed = yes;
        narrow_window(end->fd, yes ? narrow_bytes : 0);
    }
}

tunnel::HandOff::Step KernelHandOff::advance(const Relayed& relayed) {
    if (phase_ == Phase::closing) {
        if (Clock::now() - spliced_at_ < grace) return Step::transit;
        close();
    }
    if (phase_ == Phase::over) return Step::spliced;
    if (phase_ == Phase::transit) return try_to_finish(relayed);
    bool busy = true;
    const Step step = relayed.quiet ? try_to_cut(relayed, busy) : Step::wait;
    if (step != Step::wait) return step;
    if (busy && ++tries_ == tries_before_narrowing) {
        why_not_ = "busy";
        narrow(true);
    }
    if (Clock::now() - begun_ > give_up_busy) {
        if (why_not_ == std::string_view("starting")) why_not_ = "busy";
        return Step::refused;
    }
    return Step::wait;
}

bool KernelHandOff::has_been_seen(const End& end, layout::flow& flow) {
    const auto found = context_.tables.flows.find(end.key);
    if (!found) return false;
    flow = *found;
    if (flow.last_seen == 0) return false;
    if (!end.facts.timestamps) return true;
    return flow.tsval != 0 && monotonic_ns() - flow.last_seen < fresh_ns;
}

tunnel::HandOff::Step KernelHandOff::try_to_cut(const Relayed& relayed, bool& busy) {
    if (unsent(client_.fd) != 0 || unsent(endpoint_.fd) != 0) return Step::wait;
    // The handshakes of the two connections differ: until each end has its own, the other's must not reach it
    // as the head of a segment that is repeated.
    if (unacknowledged(client_.fd) > static_cast<std::int64_t>(relayed.from_endpoint.bytes) ||
        unacknowledged(endpoint_.fd) > static_cast<std::int64_t>(relayed.from_client.bytes))
        return Step::wait;
    layout::flow from_client{}, from_endpoint{};
    const bool client_is_fresh = has_been_seen(client_, from_client);
    const bool endpoint_is_fresh = has_been_seen(endpoint_, from_endpoint);
    if (!client_is_fresh || !endpoint_is_fresh) {
        busy = false;
        if (Clock::now() - begun_ > give_up_unseen &&
            (from_client.last_seen == 0 || from_endpoint.last_seen == 0)) {
            why_not_ = "packets do not pass here";
            return Step::refused;
        }
        poke(client_is_fresh, endpoint_is_fresh);
        return Step::wait;
    }
    for (End* end : {&client_, &endpoint_}) {
        const auto numbers = numbers_of(end->fd);
        if (!numbers) {
            why_not_ = "closing";
            return Step::refused;
        }
        end->cut = *numbers;
    }
    // Asked after the numbers: nothing was read meanwhile, so what is not there now was not there then.
    if (unread(client_.fd) != 0 || unread(endpoint_.fd) != 0) return Step::wait;
    for (const End* end : {&client_, &endpoint_}) {
        const auto facts = facts_of(end->fd);
        if (facts && facts->established) continue;
        why_not_ = "closing";
        return Step::refused;
    }
    const auto& tables = context_.tables;
    const auto record = tables.records.find(id_);
    const int failed =
        tables.flows.replace(client_.key, flow_of(client_, endpoint_, from_client, from_endpoint, true)) |
        tables.flows.replace(endpoint_.key, flow_of(endpoint_, client_, from_endpoint, from_client, false));
    if (failed != 0 || !record) {
        why_not_ = "table lost it";
        return Step::refused;
    }
    layout::record flipped = *record;
    flipped.state = layout::state_transit;
    for (End* end : {&client_, &endpoint_}) {
        end->sent = end->cut.send_next;
        end->received = end->cut.receive_next;
    }
    put_numbers(flipped);
    flipped.bytes_in = relayed.from_client.bytes;
    flipped.bytes_out = relayed.from_endpoint.bytes;
    flipped.frames_in = static_cast<std::uint32_t>(relayed.from_client.frames);
    flipped.frames_out = static_cast<std::uint32_t>(relayed.from_endpoint.frames);
    if (tables.records.replace(id_, flipped) != 0) {
        why_not_ = "table lost it";
        return Step::refused;
    }
    phase_ = Phase::transit;
    cut_at_ = Clock::now();
    return Step::transit;
}

layout::flow KernelHandOff::flow_of(const End& from, const End& to, const layout::flow& seen_from,
                                    const layout::flow& seen_to, bool from_client) const {
    layout::flow flow{};
    flow.source = to_table(to.local.ip);
    flow.source_port = htons(to.local.port);
    flow.destination = to_table(to.peer.ip);
    flow.destination_port = htons(to.peer.port);
    flow.state = layout::state_relay;
    if (from_client) flow.flags |= layout::flow_from_client;
    flow.sequence_delta = to.cut.send_next - from.cut.receive_next;
    flow.acknowledgment_delta = to.cut.receive_next - from.cut.send_next;
    if (from.facts.timestamps) {
        flow.flags |= layout::flow_timestamps;
        // Both TSvals are of the last milliseconds. Not aged: a clock slower than ours would then seem to
        // step back, and PAWS (RFC 7323 section 5) would drop what it says.
        flow.tsval_delta = to.cut.timestamp - seen_from.tsval;
        flow.tsecr_delta = seen_to.tsval - from.cut.timestamp;
        flow.tsval = seen_from.tsval;
    }
    if (!from.facts.sack || !to.facts.sack) flow.flags |= layout::flow_blank_sack;
    flow.window_scale = from.facts.peer_window_scale;
    flow.window_shift = static_cast<signed char>(from.facts.peer_window_scale - to.facts.our_window_scale);
    flow.idle_seconds = idle_seconds_;
    flow.id = id_;
    flow.sequence_end = flow.sequence_base = extended(from.cut.receive_next);
    const int outstanding = unacknowledged(from.fd);
    flow.acknowledged = from.cut.send_next - static_cast<std::uint32_t>(outstanding > 0 ? outstanding : 0);
    flow.window = 65535U << flow.window_scale;
    flow.largest_segment = to.facts.send_mss;
    flow.last_seen = flow.last_data = monotonic_ns();
    return flow;
}

tunnel::HandOff::Step KernelHandOff::try_to_finish(const Relayed& relayed) {
    follow_sockets();
    if (!relayed.quiet || Clock::now() - cut_at_ < grace) return Step::transit;
    if (unread(client_.fd) > 0 || unread(endpoint_.fd) > 0) return Step::transit;
    for (const End* end : {&client_, &endpoint_}) {
        // FIONREAD does not tell of a FIN: the relay must have read it, and passed it on.
        const auto facts = facts_of(end->fd);
        const bool finished = end == &client_ ? relayed.client_finished : relayed.endpoint_finished;
        if (facts && !facts->established && !finished) return Step::transit;
        // Everything that our socket was ever given has arrived: it says so, or the program has seen it
        // acknowledged.
        if (unacknowledged(end->fd) == 0) continue;
        const auto numbers = numbers_of(end->fd);
        const auto flow = context_.tables.flows.find(end->key);
        if (!numbers || !flow || !reached(flow->acknowledged, numbers->send_next)) return Step::transit;
    }
    settle(client_, endpoint_);
    settle(endpoint_, client_);
    const auto record = context_.tables.records.find(id_);
    if (!record) {
        why_not_ = "table lost it";
        return Step::refused;
    }
    layout::record flipped = *record;
    flipped.state = layout::state_spliced;
    if (context_.tables.records.replace(id_, flipped) != 0) {
        why_not_ = "table lost it";
        return Step::refused;
    }
    // What the program had given to the sockets may still be on its way to them: it must find them.
    phase_ = Phase::closing;
    spliced_at_ = Clock::now();
    return Step::transit;
}

// What the relay has passed on since the cut, our sockets have sent too: its acknowledgements are theirs to
// hear of, or they would repeat it for ever. And what they still received is the relay's.
void KernelHandOff::follow_sockets() {
    bool changed = false;
    for (End* end : {&client_, &endpoint_}) {
        const auto numbers = numbers_of(end->fd);
        if (!numbers) return;
        changed |= numbers->send_next != end->sent || numbers->receive_next != end->received;
        end->sent = numbers->send_next;
        end->received = numbers->receive_next;
    }
    if (!changed) return;
    if (auto record = context_.tables.records.find(id_)) {
        put_numbers(*record);
        context_.tables.records.replace(id_, *record);
    }
}

void KernelHandOff::put_numbers(layout::record& record) const {
    record.cut_client = client_.received;
    record.cut_endpoint = endpoint_.received;
    record.sent_client = client_.sent;
    record.sent_endpoint = endpoint_.sent;
}

void KernelHandOff::close() {
    close_silently(client_.fd);
    close_silently(endpoint_.fd);
    phase_ = Phase::over;
}

// What came to the socket after the cut, because it had passed the program before: the flow has not counted
// it.
void KernelHandOff::settle(const End& from, const End& to) {
    const auto numbers = numbers_of(from.fd);
    if (!numbers || numbers->receive_next == from.cut.receive_next) return;
    auto flow = context_.tables.flows.find(from.key);
    if (!flow) return;
    const std::uint32_t missing = numbers->receive_next - static_cast<std::uint32_t>(flow->sequence_end);
    if (static_cast<std::int32_t>(missing) > 0) flow->sequence_end += missing;
    const auto facts = facts_of(from.fd);
    const auto sent = numbers_of(to.fd);
    if (facts && !facts->established && (flow->flags & layout::flow_fin) == 0 && sent) {
        // Its FIN was among it, and the relay has passed it on.
        flow->flags |= layout::flow_fin;
        if (auto back = context_.tables.flows.find(to.key)) {
            back->flags |= layout::flow_peer_fin;
            back->peer_fin_end = sent->send_next;
            context_.tables.flows.replace(to.key, *back);
        }
    }
    context_.tables.flows.replace(from.key, *flow);
}

void KernelHandOff::reset() {
    const auto& tables = context_.tables;
    for (const End* end : {&client_, &endpoint_}) {
        auto flow = tables.flows.find(end->key);
        const auto other = tables.flows.find(end == &client_ ? endpoint_.key : client_.key);
        if (!flow || !other) continue;
        send_reset(end->key, *flow, *other);
    }
    close();
    // What comes now meets no socket, and the stack refuses it.
    forget();
    id_ = 0;
}

}  // namespace hawser::splice
