// SPDX-License-Identifier: Apache-2.0
#include "splice/hand_off.h"

#include <algorithm>
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
    for (const End* end : {&client_, &endpoint_}) context_.program.forget(end->key, id_);
    tables().records.erase(id_);
}

const char* KernelHandOff::check(const tunnel::Tunnel& tunnel) const {
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
    // Its handshake may have been under way when the listener's MSS became smaller, which cuts both on the socket.
    const std::uint32_t now = context_.smallest_mss.get(), told = context_.smallest_mss.told(tunnel.started);
    if (told > now && told > e.send_mss && c.advertised_mss <= now) return "mss";
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
    if (const char* why = check(tunnel)) {
        const std::uint32_t mss = endpoint_.facts.send_mss;
        // What a client's own MSS has not cut is the path's.
        if (client_.facts.advertised_mss > mss && client_.facts.send_mss > mss)
            context_.smallest_mss.lower(mss);
        return why;
    }
    const auto& tables = this->tables();
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
        if (!old) continue;
        if ((old->flags & layout::flow_closed) == 0) return "4-tuple is taken";
        context_.program.forget(end->key, old->id);
    }
    if (tables.records.insert(tunnel.id, record) != 0) return "table is full";
    if (tables.flows.put(client_.key, flow) != 0 || tables.flows.put(endpoint_.key, flow) != 0) {
        context_.program.forget(client_.key, tunnel.id);
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
    relayed_ = relayed;
    if (phase_ == Phase::closing) {
        if (Clock::now() - spliced_at_ < grace) return Step::transit;
        // An acknowledgement of theirs may have met the program while it did not know yet that it is of a FIN.
        if (relayed.client_finished || relayed.endpoint_finished) tell(layout::state_spliced);
        close();
    }
    if (phase_ == Phase::over) return Step::spliced;
    if (phase_ == Phase::transit) return try_to_finish();
    bool busy = true;
    const Step step = relayed.quiet ? try_to_cut(busy) : Step::wait;
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
    const auto found = tables().flows.find(end.key);
    if (!found) return false;
    flow = *found;
    if (flow.last_seen == 0) return false;
    if (!end.facts.timestamps) return true;
    return flow.tsval != 0 && monotonic_ns() - flow.last_seen < fresh_ns;
}

// Neither a byte nor a FIN has come to the socket that the relay does not know of.
bool KernelHandOff::is_silent(const End& end) {
    if (unread(end.fd) != 0) return false;
    const auto facts = facts_of(end.fd);
    return facts && !facts->peer_finished;
}

tunnel::HandOff::Step KernelHandOff::try_to_cut(bool& busy) {
    if (unsent(client_.fd) != 0 || unsent(endpoint_.fd) != 0) return Step::wait;
    // The handshakes of the two connections differ: until each end has its own, the other's must not reach it
    // as the head of a segment that is repeated.
    if (unacknowledged(client_.fd) > static_cast<std::int64_t>(relayed_.from_endpoint.bytes) ||
        unacknowledged(endpoint_.fd) > static_cast<std::int64_t>(relayed_.from_client.bytes))
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
    if (!is_silent(client_) || !is_silent(endpoint_)) return Step::wait;
    const auto& tables = this->tables();
    const int failed =
        tables.flows.replace(client_.key, flow_of(client_, endpoint_, from_client, from_endpoint, true)) |
        tables.flows.replace(endpoint_.key, flow_of(endpoint_, client_, from_endpoint, from_client, false));
    if (failed != 0) return lost();
    // From here on the program counts what comes. Asked again: nothing was read meanwhile, so what is not
    // there now was not there when the numbers were.
    if (!is_silent(client_) || !is_silent(endpoint_)) {
        tables.flows.replace(client_.key, from_client);
        tables.flows.replace(endpoint_.key, from_endpoint);
        return Step::wait;
    }
    for (End* end : {&client_, &endpoint_}) end->now = end->cut;
    if (!tell(layout::state_transit)) return lost();
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
    // Both ends talk to a VIP that is here: another node can carry it on.
    if (client_.local.ip == endpoint_.local.ip) {
        const Vips::Place place = context_.vips.find(client_.local.ip);
        flow.vip = place.here ? place.index : 0;
        flow.term = place.term;
    }
    return flow;
}

tunnel::HandOff::Step KernelHandOff::try_to_finish() {
    // What the relay has passed on since the cut, our sockets have sent too: its acknowledgements are theirs
    // to hear of, or they would repeat it for ever. And what they still received is the relay's.
    if (read_numbers() && !tell(layout::state_transit)) return lost();
    if (!relayed_.quiet || Clock::now() - cut_at_ < grace) return Step::transit;
    if (unread(client_.fd) > 0 || unread(endpoint_.fd) > 0) return Step::transit;
    for (const End* end : {&client_, &endpoint_}) {
        // FIONREAD does not tell of a FIN: the relay must have read it, and passed it on.
        const auto facts = facts_of(end->fd);
        const bool finished = end == &client_ ? relayed_.client_finished : relayed_.endpoint_finished;
        if (facts && facts->peer_finished && !finished) return Step::transit;
        // Everything that our socket was ever given has arrived: it says so, or the program has seen it
        // acknowledged.
        if (unacknowledged(end->fd) == 0) continue;
        const auto flow = tables().flows.find(end->key);
        if (!flow || !reached(flow->acknowledged, end->now.send_next)) return Step::transit;
    }
    if (!tell(layout::state_spliced)) return lost();
    // What the program had given to the sockets may still be on its way to them: it must find them.
    phase_ = Phase::closing;
    spliced_at_ = Clock::now();
    return Step::transit;
}

tunnel::HandOff::Step KernelHandOff::lost() {
    why_not_ = "table lost it";
    return Step::refused;
}

// Whether they have changed.
bool KernelHandOff::read_numbers() {
    bool changed = false;
    for (End* end : {&client_, &endpoint_}) {
        const auto numbers = numbers_of(end->fd);
        if (!numbers) continue;
        changed |= numbers->send_next != end->now.send_next || numbers->receive_next != end->now.receive_next;
        end->now = *numbers;
    }
    return changed;
}

// False: the tables have lost the tunnel.
bool KernelHandOff::tell(layout::tunnel_state state) const {
    const auto facts = [](const End& end, bool finished) {
        const int outstanding = unacknowledged(end.fd);
        return layout::socket_facts{end.now.receive_next, end.now.send_next,
                                    end.now.send_next - static_cast<std::uint32_t>(std::max(outstanding, 0)),
                                    finished ? 1U : 0U};
    };
    layout::change change{};
    change.id = id_;
    change.client = client_.key;
    change.of_client = facts(client_, relayed_.client_finished);
    change.of_endpoint = facts(endpoint_, relayed_.endpoint_finished);
    change.state = state;
    change.bytes_in = relayed_.from_client.bytes;
    change.bytes_out = relayed_.from_endpoint.bytes;
    change.frames_in = static_cast<std::uint32_t>(relayed_.from_client.frames);
    change.frames_out = static_cast<std::uint32_t>(relayed_.from_endpoint.frames);
    return context_.program.change(change);
}

void KernelHandOff::close() {
    close_silently(client_.fd);
    close_silently(endpoint_.fd);
    phase_ = Phase::over;
    context_.inventory.begun(client_.key, id_);
}

bool KernelHandOff::end(tunnel::CloseReason reason, std::optional<tunnel::Side> by) {
    read_numbers();
    if (!tell(layout::state_spliced)) {
        forget();  // what is left of it
        phase_ = Phase::over;
        return false;
    }
    close();
    context_.inventory.end_soon(client_.key, id_, reason, by);
    return true;
}

}  // namespace hawser::splice
