// SPDX-License-Identifier: Apache-2.0
#include "splice/inventory.h"

#include <bpf/libbpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "splice/address.h"
#include "splice/segment.h"

namespace hawser::splice {

namespace {

// Both FINs are acknowledged, but the last acknowledgement may have been lost on its way: its sender repeats
// it.
constexpr net::Duration quiet_time{10'000};
constexpr std::uint64_t second_ns = 1'000'000'000;
// Looking at tunnels may take this part of a core; probes have a limit of their own.
constexpr int sweep_share = 10;
constexpr std::size_t most_at_once = 1'024;  // flows that are buried in one piece of a sweep

std::uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * second_ns + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t payload_of(const layout::flow& flow) {
    const std::uint64_t fin = (flow.flags & layout::flow_fin) != 0 ? 1 : 0;
    const std::uint64_t all = flow.sequence_end - flow.sequence_base;
    return all > fin ? all - fin : 0;
}

std::uint64_t age(std::uint64_t now, std::uint64_t then) { return now > then ? now - then : 0; }

bool is_l4(const layout::record& record) { return (record.flags & layout::record_l4) != 0; }

}  // namespace

void Inventory::RingFree::operator()(::ring_buffer* ring) const { ring_buffer__free(ring); }

Inventory::Inventory(net::Loop& loop, Program& program, Names& names, const Vips& vips, Callbacks callbacks,
                     Limits limits)
    : loop_(loop),
      program_(program),
      tables_(program.tables()),
      names_(names),
      vips_(vips),
      callbacks_(std::move(callbacks)),
      limits_(limits) {}

Inventory::~Inventory() {
    if (ring_fd_ >= 0) loop_.unwatch(ring_fd_, *this);
}

net::Result<void> Inventory::open() {
    const auto on_sample = [](void* self, void* data, std::size_t size) {
        layout::event event;
        if (size < sizeof event) return 0;
        std::memcpy(&event, data, sizeof event);
        static_cast<Inventory*>(self)->on_event(event);
        return 0;
    };
    ring_.reset(ring_buffer__new(tables_.events, on_sample, this, nullptr));
    if (!ring_) return net::system_error("ring buffer", errno);
    ring_fd_ = ring_buffer__epoll_fd(ring_.get());
    // Level: the program wakes us for a record only if it sees that we have read all before it, and we stop
    // before one that is not complete. When both happen at one time on two cores, nobody wakes us.
    if (auto watched = loop_.watch(ring_fd_, *this, EPOLLIN, net::Loop::Trigger::level); !watched)
        return watched.error();
    loop_.timers().set(*this, loop_.now());
    return {};
}

void Inventory::on_events(std::uint32_t) { ring_buffer__consume(ring_.get()); }

void Inventory::on_timer() {
    const std::uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
    const std::uint64_t slice = static_cast<std::uint64_t>(limits_.slice.count()) * 1'000'000;
    if (!sweep_) begin_sweep();
    const std::chrono::duration<double> since = loop_.now() - probes_counted_;
    const auto rate = static_cast<double>(limits_.probes_per_second);
    probes_left_ = std::min(rate, probes_left_ + rate * since.count());
    probes_counted_ = loop_.now();
    std::uint64_t took = 0;
    bool more = true;
    do {
        more = go_on_with_sweep();
        took = now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
    } while (more && took < slice);
    send_probes();
    const auto rest = std::chrono::ceil<net::Duration>(std::chrono::nanoseconds(took * (sweep_share - 1)));
    loop_.timers().set(*this, loop_.now() + (more ? rest : std::max<net::Duration>(limits_.sweep, rest)));
}

void Inventory::on_event(const layout::event& event) {
    const auto record = tables_.records.find(event.id);
    const auto client = tables_.flows.find(event.key);
    // One that ends in transit is the relay's until its sockets are closed; the next sweep finds it then.
    if (!record || record->state != layout::state_spliced || !client || client->id != event.id) return;
    const auto pair = pair_of(event.key, *client);
    if (!pair) return;
    if (event.kind == layout::event_closed) return finish(*pair, event.id, *record, std::nullopt);
    if (sharing_.begun) sharing_.begun(*pair, event.id, *record);
    if (callbacks_.opened) callbacks_.opened(value_of(*pair, event.id, *record));
}

void Inventory::begun(const layout::flow_key& client, std::uint64_t id) {
    if (!sharing_.begun) return;
    loop_.post([=, this] {
        const auto flow = tables_.flows.find(client);
        const auto record = tables_.records.find(id);
        const auto pair = flow && flow->id == id ? pair_of(client, *flow) : std::nullopt;
        if (record && pair && !finished_.contains(id)) sharing_.begun(*pair, id, *record);
    });
}

void Inventory::moved(const FlowPair& pair, std::uint64_t id, const layout::record& record) {
    Tail tail = tail_of(id);
    tables_.records.erase(id);
    if (tail.home == nullptr) return;
    tunnel::Tunnel t = value_of(pair, id, record);
    t.reason = tunnel::CloseReason::moved;
    tail.home->ended(t, std::move(tail.epilogue));
}

std::optional<FlowPair> Inventory::pair_of(const layout::flow_key& client_key,
                                                  const layout::flow& client) const {
    FlowPair pair{client_key, key_of_answer(client, client_key.protocol), client, {}};
    const auto endpoint = tables_.flows.find(pair.endpoint_key);
    if (!endpoint || endpoint->id != client.id) return std::nullopt;
    pair.endpoint = *endpoint;
    return pair;
}

std::optional<FlowPair> Inventory::pair_by_id(std::uint64_t id) const {
    std::optional<FlowPair> found;
    tables_.flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
        if (flow.id == id && (flow.flags & layout::flow_from_client) != 0 && !found)
            found = pair_of(key, flow);
    });
    return found;
}

tunnel::Tunnel Inventory::value_of(const FlowPair& pair, std::uint64_t id, const layout::record& record) const {
    tunnel::Tunnel t;
    t.id = id;
    const bool udp = pair.client_key.protocol == IPPROTO_UDP;
    t.kind = is_l4(record) ? (udp ? tunnel::Kind::udp : tunnel::Kind::tcp) : tunnel::Kind::upgrade;
    t.protocol = is_l4(record) ? std::string(to_string(t.kind)) : names_.find(record.protocol);
    t.route = names_.find(record.route);
    t.service = names_.find(record.service);
    t.endpoint_name = names_.find(record.endpoint);
    // An L4 service knows its endpoints as "namespace/pod|address:port", which makes each of them another.
    t.endpoint_name = t.endpoint_name.substr(0, t.endpoint_name.find('|'));
    t.client = {from_table(record.client), record.client_port};
    t.frontend = from_table(pair.client_key.destination, pair.client_key.destination_port);
    t.endpoint = from_table(pair.client.destination, pair.client.destination_port);
    t.idle_timeout = std::chrono::seconds(record.idle_seconds);
    const std::uint64_t monotonic = now_ns(CLOCK_MONOTONIC), real = now_ns(CLOCK_REALTIME);
    const std::uint64_t started = is_l4(record) ? real - age(monotonic, record.started) : record.started;
    t.started = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(started)));
    t.duration = std::chrono::milliseconds(age(real, started) / 1'000'000);
    t.idle = std::chrono::milliseconds(
        age(monotonic, std::max(pair.client.last_data, pair.endpoint.last_data)) / 1'000'000);
    t.from_client.bytes = record.bytes_in;
    t.from_endpoint.bytes = record.bytes_out;
    if ((record.flags & layout::record_closed) == 0) {
        t.from_client.bytes += payload_of(pair.client);
        t.from_endpoint.bytes += payload_of(pair.endpoint);
    }
    t.from_client.frames = record.frames_in;
    t.from_endpoint.frames = record.frames_out;
    t.splice = "spliced";
    return t;
}

void Inventory::take_over(std::uint64_t id, tunnel::Home& home, std::unique_ptr<tunnel::Epilogue> epilogue) {
    const std::lock_guard guard(mutex_);
    tails_[id] = {&home, std::move(epilogue)};
    if (id <= last_id_) return;
    last_id_ = id;
    tables_.last_id.put(0, id);
}

std::unique_ptr<tunnel::Epilogue> Inventory::give_back(std::uint64_t id) { return tail_of(id).epilogue; }

void Inventory::forget_tails() {
    const std::lock_guard guard(mutex_);
    tails_.clear();
}

Inventory::Tail Inventory::tail_of(std::uint64_t id) {
    const std::lock_guard guard(mutex_);
    const auto at = tails_.find(id);
    if (at == tails_.end()) return {};
    Tail tail = std::move(at->second);
    tails_.erase(at);
    return tail;
}

std::vector<tunnel::Tunnel> Inventory::list(std::uint64_t after, std::size_t limit) const {
    // The lowest ids first, their values only then: a million tunnels are two numbers each.
    std::vector<std::pair<std::uint64_t, layout::flow_key>> lowest;
    const auto by_id = [](const auto& a, const auto& b) { return a.first < b.first; };
    tables_.flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
        constexpr std::uint32_t wanted = layout::flow_from_client;
        if (flow.id <= after || (flow.flags & (wanted | layout::flow_closed)) != wanted) return;
        if (flow.state == layout::state_killed || is_elsewhere(flow)) return;
        if (lowest.size() < limit) {
            lowest.emplace_back(flow.id, key);
            std::push_heap(lowest.begin(), lowest.end(), by_id);
        } else if (limit > 0 && flow.id < lowest.front().first) {
            std::pop_heap(lowest.begin(), lowest.end(), by_id);
            lowest.back() = {flow.id, key};
            std::push_heap(lowest.begin(), lowest.end(), by_id);
        }
    });
    std::sort(lowest.begin(), lowest.end(), by_id);
    std::vector<tunnel::Tunnel> out;
    out.reserve(lowest.size());
    for (const auto& [id, key] : lowest) {
        const auto client = tables_.flows.find(key);
        const auto record = tables_.records.find(id);
        if (!client || client->id != id || !record || record->state != layout::state_spliced) continue;
        if (const auto pair = pair_of(key, *client)) out.push_back(value_of(*pair, id, *record));
    }
    return out;
}

std::optional<tunnel::Tunnel> Inventory::find(std::uint64_t id) const {
    const auto record = tables_.records.find(id);
    if (!record || record->state != layout::state_spliced) return std::nullopt;
    const auto pair = pair_by_id(id);
    if (!pair || (pair->client.flags & layout::flow_closed) != 0 || is_elsewhere(pair->client)) return std::nullopt;
    return value_of(*pair, id, *record);
}

bool Inventory::kill(std::uint64_t id) {
    const auto record = tables_.records.find(id);
    if (!record || record->state != layout::state_spliced) return false;
    const auto pair = pair_by_id(id);
    if (!pair || (pair->client.flags & layout::flow_closed) != 0 || is_elsewhere(pair->client)) return false;
    loop_.post([this, pair = *pair, id] { end(pair, id, tunnel::CloseReason::killed); });
    return true;
}

std::uint64_t Inventory::highest_id() const {
    std::uint64_t highest = tables_.last_id.find(0).value_or(0);
    tables_.records.each([&highest](std::uint64_t id, const layout::record&) {
        if (id >> 51 == 0) highest = std::max(highest, id);  // of this node's relays
    });
    return highest;
}

Inventory::Counts Inventory::counts() const {
    const std::lock_guard guard(mutex_);
    return counts_;
}

void Inventory::end_soon(const layout::flow_key& client, std::uint64_t id, tunnel::CloseReason reason,
                         std::optional<tunnel::Side> by) {
    loop_.post([=, this] {
        const auto flow = tables_.flows.find(client);
        const auto record = tables_.records.find(id);
        const auto pair = flow && flow->id == id ? pair_of(client, *flow) : std::nullopt;
        if (!record || !pair) return;  // the sweep finds what is left of it
        if ((flow->flags & layout::flow_closed) != 0) return finish(*pair, id, *record, std::nullopt);
        end(*pair, id, reason, by);
    });
}

// A tunnel that came with its VIP, and of which no packet has been here since: perhaps another node believes to have
// the VIP, and both ends believe that node. That it is silent here says nothing then.
bool Inventory::is_heard_of(const FlowPair& pair, std::optional<tunnel::CloseReason> reason) const {
    if (reason != tunnel::CloseReason::timed_out && reason != tunnel::CloseReason::idle) return true;
    if (pair.client.vip == 0) return true;
    const std::uint32_t term = vips_.find(pair.client.vip).term;
    return pair.client.term == term || pair.client.heard_in == term || pair.endpoint.heard_in == term;
}

// Ends a living tunnel: RST to both ends, and to whatever either still sends.
void Inventory::end(const FlowPair& pair, std::uint64_t id, tunnel::CloseReason reason,
                    std::optional<tunnel::Side> by) {
    const auto record = tables_.records.find(id);
    if (!record || finished_.contains(id)) return;
    const bool tcp = pair.client_key.protocol == IPPROTO_TCP;
    layout::change killed{};
    killed.id = id;
    killed.client = pair.client_key;
    killed.state = layout::state_killed;
    program_.change(killed);
    if (tcp && is_heard_of(pair, reason)) {
        send_reset(pair.client_key, pair.client, pair.endpoint);
        send_reset(pair.endpoint_key, pair.endpoint, pair.client);
    }
    finish(pair, id, *record, reason, by);
}

// The tunnel has ended: says so once, and lets its flows lie until nobody asks for them any more.
void Inventory::finish(const FlowPair& pair, std::uint64_t id, const layout::record& record,
                       std::optional<tunnel::CloseReason> reason, std::optional<tunnel::Side> by) {
    if (!finished_.insert(id).second) return;
    ended_.push_back({loop_.now(), pair.client_key, id});
    tunnel::Tunnel t = value_of(pair, id, record);
    if (reason) {
        t.reason = *reason;
        t.closed_by = by;
    } else {
        // The record of a tunnel that ended while the hand-off wrote it may not say so: then the flows do.
        const bool reset_by_client = (pair.client.flags & layout::flow_reset) != 0;
        const bool reset_by_endpoint = (pair.endpoint.flags & layout::flow_reset) != 0;
        const bool reset = (record.flags & layout::record_reset) != 0 || reset_by_client || reset_by_endpoint;
        t.reason = reset ? tunnel::CloseReason::reset : tunnel::CloseReason::finished;
        if ((record.flags & layout::record_by_client) != 0 || reset_by_client)
            t.closed_by = tunnel::Side::client;
        else if ((record.flags & layout::record_by_endpoint) != 0 || reset_by_endpoint)
            t.closed_by = tunnel::Side::endpoint;
    }
    if (sharing_.ended && !is_elsewhere(pair.client) && is_heard_of(pair, reason)) sharing_.ended(pair, id, record);
    Tail tail = tail_of(id);
    tables_.records.erase(id);
    if (tail.home != nullptr)
        tail.home->ended(t, std::move(tail.epilogue));
    else if (callbacks_.closed)
        callbacks_.closed(t);
}

bool Inventory::bury() {
    for (std::size_t i = 0; i < most_at_once; ++i) {
        if (ended_.empty() || loop_.now() - ended_.front().since < quiet_time) return false;
        const Ended& dead = ended_.front();
        program_.forget(dead.client_key, dead.id);
        finished_.erase(dead.id);
        ended_.pop_front();
    }
    return true;
}

void Inventory::look_at(const layout::flow_key& key, const layout::flow& flow, std::uint64_t now) {
    if ((flow.flags & layout::flow_from_client) == 0 || finished_.contains(flow.id)) return;
    const auto record = tables_.records.find(flow.id);
    const auto pair = pair_of(key, flow);
    if (!record || !pair) {
        // Half of a tunnel: a process or a client's new SYN took the rest. Not one that is being made right
        // now.
        if (age(now, std::max(flow.last_seen, flow.last_data)) < 5 * second_ns) return;
        if (flow.state == layout::state_relay && !record && flow.last_seen == 0) return;
        return program_.forget(key, flow.id);
    }
    if (record->state != layout::state_spliced) return;
    constexpr std::uint32_t over = layout::flow_closed;
    if ((record->flags & layout::record_closed) != 0 || (flow.flags & over) != 0)
        return finish(*pair, flow.id, *record, std::nullopt);

    const bool udp = key.protocol == IPPROTO_UDP;
    Counts& counts = sweep_->counts;
    const Vips::Place place = flow.vip == 0 ? Vips::Place{} : vips_.find(flow.vip);
    if (flow.vip != 0 && !place.here) {
        ++counts.standby;
        return;
    }
    ++(!is_l4(*record) ? counts.l7 : udp ? counts.l4_udp : counts.l4_tcp);
    if ((flow.flags & layout::flow_counted) != 0) ++sweep_->loads[record->endpoint];
    bool has_tail = false;
    {
        const std::lock_guard guard(mutex_);
        has_tail = tails_.contains(flow.id);
    }
    if (!has_tail) ++sweep_->services[record->service];

    const std::uint64_t last = std::max({flow.last_data, pair->endpoint.last_data, place.since});
    const std::uint64_t idle_ns = std::uint64_t{flow.idle_seconds} * second_ns;
    if (idle_ns != 0 && age(now, last) >= idle_ns) {
        if (!udp) return end(*pair, flow.id, tunnel::CloseReason::idle);
        finish(*pair, flow.id, *record, tunnel::CloseReason::idle);
        return program_.forget(key, flow.id);
    }
    if (udp) return;
    probe_if_silent(pair->client_key, pair->client, *pair, *record, now, place.since);
    if (!finished_.contains(flow.id))
        probe_if_silent(pair->endpoint_key, pair->endpoint, *pair, *record, now, place.since);
}

void Inventory::probe_if_silent(const layout::flow_key& key, const layout::flow& flow, const FlowPair& pair,
                                const layout::record& record, std::uint64_t now, std::uint64_t since) {
    const auto after = static_cast<std::uint64_t>(limits_.probe_after.count()) * second_ns;
    const auto interval = static_cast<std::uint64_t>(limits_.probe_interval.count()) * second_ns;
    // Ids leave the highest bit free.
    const std::uint64_t name = flow.id | ((flow.flags & layout::flow_from_client) != 0 ? 1ULL << 63 : 0);
    if (age(now, std::max(flow.last_seen, since)) < after) {
        if (!probed_.empty()) probed_.erase(name);
        return;
    }
    auto at = probed_.find(name);
    if (at != probed_.end()) {
        at->second.sweep = sweeps_;
        if (flow.last_seen > at->second.sent_at) at->second = {0, 0, sweeps_};
        if (age(now, at->second.sent_at) < interval) return;
        if (at->second.sent >= static_cast<std::uint32_t>(limits_.probes)) {
            probed_.erase(at);
            constexpr std::uint32_t finished = layout::flow_fin | layout::flow_peer_fin;
            if ((flow.flags & finished) == finished) return finish(pair, flow.id, record, std::nullopt);
            return end(pair, flow.id, tunnel::CloseReason::timed_out);
        }
    }
    if (probes_left_ < 1) return;
    probes_left_ -= 1;
    if (at == probed_.end()) at = probed_.emplace(name, Probed{}).first;
    at->second = {now, at->second.sent + 1, sweeps_};
    const bool client = (flow.flags & layout::flow_from_client) != 0;
    probes_.push_back({key, flow, client ? pair.endpoint : pair.client});
}

// The network's whole path may be run through in each call: not while a look at the tunnels is timed.
void Inventory::send_probes() {
    for (const Probe& probe : probes_) send_probe(probe.key, probe.flow, probe.other);
    probes_.clear();
}

Inventory::Sweep::Sweep(const Tables& tables, bool all_records) : flows(tables.flows) {
    if (all_records) records.emplace(tables.records);
}

void Inventory::sweep() {
    begin_sweep();
    probes_left_ = static_cast<double>(limits_.probes_per_second);
    while (go_on_with_sweep()) {
    }
    send_probes();
}

void Inventory::begin_sweep() {
    sweep_.emplace(tables_, ++sweeps_ % 10 == 0);
    if (sweep_->records) sweep_->seen.reserve(tunnels_ + tunnels_ / 16);
    tables_.loads.each(
        [this](std::uint64_t endpoint, std::uint64_t load) { sweep_->loads_before[endpoint] = load; });
}

bool Inventory::go_on_with_sweep() {
    if (bury()) return true;
    Sweep& sweep = *sweep_;
    const std::uint64_t now = now_ns(CLOCK_MONOTONIC);
    if (!sweep.flows_done) {
        sweep.flows_done = !sweep.flows.step([&](const layout::flow_key& key, const layout::flow& flow) {
            if (sweep.records && (flow.flags & layout::flow_from_client) != 0) sweep.seen.push_back(flow.id);
            look_at(key, flow, now);
        });
        if (!sweep.flows_done) return true;
        // Those whose tunnels have ended meanwhile.
        boost::unordered::erase_if(probed_, [this](const auto& probed) { return probed.second.sweep != sweeps_; });
        correct_loads();
        if (const std::uint64_t lost = program_.count(layout::counter_event_lost); lost != events_lost_) {
            events_lost_ = lost;
            finish_unheard();
            if (sharing_.missed) sharing_.missed();
        }
        std::sort(sweep.seen.begin(), sweep.seen.end());
    }
    if (sweep.records) {
        if (sweep.records->step(
                [this](std::uint64_t id, const layout::record& record) { finish_if_lonely(id, record); }))
            return true;
        lonely_ = std::move(sweep.lonely);
    }
    tunnels_ = sweep.counts.l7 + sweep.counts.l4_tcp + sweep.counts.l4_udp;
    for (const auto& [service, count] : sweep.services) sweep.counts.by_service[names_.find(service)] += count;
    {
        const std::lock_guard guard(mutex_);
        counts_ = std::move(sweep.counts);
    }
    sweep_.reset();
    return false;
}

// What the program's counting may have missed, such as tunnels that ended here. Tunnels have come and gone since
// the sweep began: what lies within that is no error.
void Inventory::correct_loads() const {
    tables_.loads.each([this](std::uint64_t endpoint, std::uint64_t load) {
        const auto before = sweep_->loads_before.find(endpoint);
        if (before == sweep_->loads_before.end()) return;
        const auto counted = sweep_->loads.find(endpoint);
        const auto now = static_cast<std::int64_t>(load), then = static_cast<std::int64_t>(before->second);
        const std::int64_t right = counted == sweep_->loads.end() ? 0 : counted->second;
        const std::int64_t error = now - (now - then) / 2 - right;
        if (std::abs(error) > std::abs(now - then))
            tables_.loads.replace(endpoint, static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - error)));
    });
}

// Tunnels that ended without a word, and whose flows the same client's next connections may have by now.
void Inventory::finish_unheard() {
    if (ring_) ring_buffer__consume(ring_.get());
    constexpr std::uint32_t over = layout::record_closed;
    tables_.records.each([this](std::uint64_t id, const layout::record& record) {
        if (record.state == layout::state_spliced && (record.flags & over) != 0)
            finish({}, id, record, std::nullopt);
    });
}

// A record whose flows a new connection of the same client has replaced: its last word has not been said. One
// that has just opened may be without for one sweep.
void Inventory::finish_if_lonely(std::uint64_t id, const layout::record& record) {
    if (record.state != layout::state_spliced || finished_.contains(id) ||
        std::binary_search(sweep_->seen.begin(), sweep_->seen.end(), id))
        return;
    if (!lonely_.contains(id)) {
        sweep_->lonely.insert(id);
        return;
    }
    finish({}, id, record,
           (record.flags & layout::record_closed) != 0 ? std::optional<tunnel::CloseReason>()
                                                       : tunnel::CloseReason::failed);
}

void Inventory::add_names_in_use(std::unordered_set<std::uint64_t>& keys) const {
    const auto add = [&keys](std::uint64_t, const layout::record& record) {
        for (const std::uint64_t key : {record.route, record.service, record.endpoint, record.protocol})
            keys.insert(key);
    };
    tables_.records.each(add);
    tables_.nascent_records.each(add);
}

void Inventory::drop_udp(const std::function<bool(std::uint64_t, std::uint64_t)>& is_gone) {
    const auto drop = [&](const auto& flows, const auto& records, bool nascent) {
        flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
            if (key.protocol != IPPROTO_UDP || (flow.flags & layout::flow_from_client) == 0) return;
            const auto record = records.find(flow.id);
            if (!record || !is_gone(record->service, record->endpoint)) return;
            const auto pair = nascent ? std::nullopt : pair_of(key, flow);
            if (is_elsewhere(flow)) {
                if (pair) moved(*pair, flow.id, *record);
            } else if (pair)
                finish(*pair, flow.id, *record, tunnel::CloseReason::drained);
            program_.forget(key, flow.id);
        });
    };
    drop(tables_.flows, tables_.records, false);
    drop(tables_.nascent, tables_.nascent_records, true);
}

}  // namespace hawser::splice
