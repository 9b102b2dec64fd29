// SPDX-License-Identifier: Apache-2.0
#include "splice/replicas.h"

#include <netinet/in.h>

#include <algorithm>
#include <ctime>
#include <future>
#include <set>

#include "splice/address.h"

namespace hawser::splice {

namespace {

// Ids of tunnels that began at another node: above those of the relays, below those of the program.
constexpr std::uint64_t first_foreign_id = 1ULL << 51;
constexpr std::size_t most_ends = 131'072;  // that are remembered

std::uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// An L4 record's `started` is by the monotonic clock, which is every machine's own.
std::uint64_t other_clock(std::uint64_t time, clockid_t from, clockid_t to) {
    const std::uint64_t now = now_ns(from), age = now > time ? now - time : 0, there = now_ns(to);
    return there > age ? there - age : 0;
}

std::uint64_t hash_of(const Identity& identity) {
    return balance::mix(identity.origin, identity.id);
}

CarriedFlow carried(const layout::flow& flow) {
    CarriedFlow out;
    out.sequence_delta = flow.sequence_delta;
    out.acknowledgment_delta = flow.acknowledgment_delta;
    out.tsval_delta = flow.tsval_delta;
    out.tsecr_delta = flow.tsecr_delta;
    out.window_scale = flow.window_scale;
    out.window_shift = flow.window_shift;
    out.largest_segment = flow.largest_segment;
    out.sequence_end = flow.sequence_end;
    out.sequence_base = flow.sequence_base;
    out.acknowledged = flow.acknowledged;
    out.window = flow.window;
    out.tsval = flow.tsval;
    return out;
}

layout::flow flow_of(const CarriedFlow& in, const net::SocketAddress& source, const net::SocketAddress& destination,
                     std::uint32_t flags) {
    layout::flow out{};
    out.source = to_table(source.ip);
    out.source_port = htons(source.port);
    out.destination = to_table(destination.ip);
    out.destination_port = htons(destination.port);
    out.state = layout::state_spliced;
    out.flags = flags;
    out.sequence_delta = in.sequence_delta;
    out.acknowledgment_delta = in.acknowledgment_delta;
    out.tsval_delta = in.tsval_delta;
    out.tsecr_delta = in.tsecr_delta;
    out.window_scale = in.window_scale;
    out.window_shift = in.window_shift;
    out.largest_segment = in.largest_segment;
    out.sequence_end = in.sequence_end;
    out.sequence_base = in.sequence_base;
    out.acknowledged = in.acknowledged;
    out.window = in.window;
    out.tsval = in.tsval;
    return out;
}

bool is_over(const layout::flow& flow) { return (flow.flags & layout::flow_closed) != 0; }

}  // namespace

Replicas::Replicas(net::Loop& loop, const Program& program, Names& names, Vips& vips, const Interfaces& interfaces,
                   Inventory& inventory)
    : loop_(loop),
      program_(program),
      tables_(program.tables()),
      names_(names),
      vips_(vips),
      interfaces_(interfaces),
      inventory_(inventory) {
    vips_.watch([this] {
        loop_.post([this] {
            if (listener_ != nullptr) listener_->on_vips_changed();
        });
    });
}

void Replicas::listen(Listener* listener) {
    std::promise<void> done;
    loop_.post([&] {
        listener_ = listener;
        done.set_value();
    });
    done.get_future().wait();
}

void Replicas::set_part(unsigned part, unsigned parts) {
    vips_.set_part(part, parts);
    if (part_changed_) part_changed_(part, parts);
}

Identity Replicas::identity_of(std::uint64_t id, const layout::record& record) const {
    return record.origin == 0 ? Identity{vips_.origin(), id} : Identity{record.origin, record.origin_id};
}

// ---- what is told ----

Carried Replicas::describe(const FlowPair& pair, std::uint64_t id, const layout::record& record) const {
    Carried out;
    out.identity = identity_of(id, record);
    out.protocol = pair.client_key.protocol;
    out.l4 = (record.flags & layout::record_l4) != 0;
    out.timestamps = (pair.client.flags & layout::flow_timestamps) != 0;
    out.blank_sack = (pair.client.flags & layout::flow_blank_sack) != 0;
    out.client = from_table(pair.client_key.source, pair.client_key.source_port);
    out.frontend = from_table(pair.client_key.destination, pair.client_key.destination_port);
    out.towards_endpoint = from_table(pair.client.source, pair.client.source_port);
    out.endpoint = from_table(pair.client.destination, pair.client.destination_port);
    out.from_client = carried(pair.client);
    out.from_endpoint = carried(pair.endpoint);
    const std::uint64_t started =
        out.l4 ? other_clock(record.started, CLOCK_MONOTONIC, CLOCK_REALTIME) : record.started;
    out.started = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(started)));
    out.idle = std::chrono::seconds(record.idle_seconds);
    out.told_client = {from_table(record.client), record.client_port};
    out.bytes_in = record.bytes_in;
    out.bytes_out = record.bytes_out;
    out.frames_in = record.frames_in;
    out.frames_out = record.frames_out;
    out.route = names_.find(record.route);
    out.service = names_.find(record.service);
    out.endpoint_name = names_.find(record.endpoint);
    out.kind = names_.find(record.protocol);
    return out;
}

void Replicas::begun(const FlowPair& pair, std::uint64_t id, const layout::record& record) {
    if (listener_ != nullptr && pair.client.vip != 0) listener_->on_carried(describe(pair, id, record));
}

void Replicas::ended(const FlowPair& pair, std::uint64_t id, const layout::record& record) {
    if (pair.client.vip == 0) return;
    const Identity identity = identity_of(id, record);
    remember_end(identity);
    if (listener_ == nullptr) return;
    listener_->on_gone({identity, pair.client_key.protocol,
                        from_table(pair.client_key.source, pair.client_key.source_port),
                        from_table(pair.client_key.destination, pair.client_key.destination_port)});
}

void Replicas::missed() {
    if (listener_ != nullptr) listener_->on_missed();
}

void Replicas::remember_end(const Identity& identity) {
    if (!ended_.insert(hash_of(identity)).second) return;
    ends_.push_back(identity);
    if (ends_.size() <= most_ends) return;
    ended_.erase(hash_of(ends_.front()));
    ends_.pop_front();
}

class Replicas::TableReading final : public Reading {
  public:
    explicit TableReading(const Tables& tables) : walk(tables.flows) {}
    decltype(Tables::flows)::Walk walk;
};

void Replicas::read(std::shared_ptr<Reading> reading, Piece done) {
    loop_.post([this, reading = std::move(reading), done = std::move(done)]() mutable {
        if (!reading) reading = std::make_shared<TableReading>(tables_);
        std::vector<Carried> out;
        const bool more =
            static_cast<TableReading&>(*reading).walk.step([&](const layout::flow_key& key, const layout::flow& flow) {
                if (flow.vip == 0 || (flow.flags & layout::flow_from_client) == 0 || is_over(flow)) return;
                const auto place = vips_.find(flow.vip);
                const auto record = tables_.records.find(flow.id);
                if ((!place.here && !place.untold) || !record || record->state != layout::state_spliced) return;
                if (const auto pair = inventory_.pair_of(key, flow)) out.push_back(describe(*pair, flow.id, *record));
            });
        if (!more) reading.reset();
        done(std::move(out), std::move(reading));
    });
}

// ---- what is heard ----

void Replicas::hear(Heard heard, std::function<void(Answer)> done) {
    loop_.post([this, heard = std::move(heard), done = std::move(done)] {
        Answer answer;
        for (const auto& each : heard.news) {
            if (const auto* gone = std::get_if<Gone>(&each)) {
                drop(*gone);
                continue;
            }
            const auto& tunnel = std::get<Carried>(each);
            std::uint64_t id = 0;
            const Taken taken = take(tunnel, id);
            if (heard.mentioned && id != 0) heard.mentioned->insert(id);
            if (taken == Taken::ended)
                answer.gone.push_back({tunnel.identity, tunnel.protocol, tunnel.client, tunnel.frontend});
            if (taken == Taken::refused) ++answer.refused;
        }
        if (heard.complete_for && heard.mentioned) forget_unmentioned(*heard.complete_for, *heard.mentioned);
        done(std::move(answer));
    });
}

// The 4-tuple is free for a tunnel. False: it is that of one that this node carries now.
bool Replicas::make_room(const layout::flow_key& key, const Identity& identity, bool vip_is_here) {
    const auto old = tables_.flows.find(key);
    if (!old) return true;
    const auto record = tables_.records.find(old->id);
    if (record && !is_over(*old)) {
        if (vip_is_here || old->vip == 0) return identity_of(old->id, *record) == identity;
        const bool from_client = (old->flags & layout::flow_from_client) != 0;
        const auto client_key = from_client ? key : key_of_answer(*old, key.protocol);
        const auto client = from_client ? old : tables_.flows.find(client_key);
        if (const auto pair = client && client->id == old->id ? inventory_.pair_of(client_key, *client) : std::nullopt) {
            forget(*pair, old->id, *record);
            return true;
        }
    }
    program_.forget(key, old->id);
    return true;
}

Replicas::Taken Replicas::take(const Carried& tunnel, std::uint64_t& id) {
    const auto key = make_key(tunnel.client, tunnel.frontend, tunnel.protocol);
    if (const auto flow = tables_.flows.find(key)) {
        const auto record = tables_.records.find(flow->id);
        if (record && !is_over(*flow) && identity_of(flow->id, *record) == tunnel.identity) {
            id = flow->id;
            return Taken::known;
        }
    }
    if (ended_.contains(hash_of(tunnel.identity))) return Taken::ended;
    // What its packets would meet here is a socket, not another machine.
    if (interfaces_.is_ours(tunnel.endpoint.ip) || interfaces_.is_ours(tunnel.client.ip)) return Taken::refused;
    const auto place = vips_.place_for(tunnel.frontend.ip);
    if (place.index == 0) return Taken::refused;
    const auto answer = make_key(tunnel.endpoint, tunnel.towards_endpoint, tunnel.protocol);
    if (!make_room(key, tunnel.identity, place.here) || !make_room(answer, tunnel.identity, place.here))
        return Taken::ended;
    const std::uint64_t made = next_id();
    if (!insert(tunnel, made, place.index)) return Taken::refused;
    id = made;
    return Taken::added;
}

bool Replicas::insert(const Carried& tunnel, std::uint64_t id, std::uint32_t place) {
    layout::record record{};
    record.state = layout::state_spliced;
    if (tunnel.l4) record.flags |= layout::record_l4;
    const auto started = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(tunnel.started.time_since_epoch()).count());
    record.started = tunnel.l4 ? other_clock(started, CLOCK_REALTIME, CLOCK_MONOTONIC) : started;
    record.route = names_.put(tunnel.route);
    record.service = names_.put(tunnel.service);
    record.endpoint = names_.put(tunnel.endpoint_name);
    record.protocol = names_.put(tunnel.kind);
    record.client = to_table(tunnel.told_client.ip);
    record.client_port = tunnel.told_client.port;
    record.idle_seconds = static_cast<std::uint32_t>(tunnel.idle.count());
    record.bytes_in = tunnel.bytes_in;
    record.bytes_out = tunnel.bytes_out;
    record.frames_in = tunnel.frames_in;
    record.frames_out = tunnel.frames_out;
    record.origin = tunnel.identity.origin;
    record.origin_id = tunnel.identity.id;

    std::uint32_t flags = 0;
    if (tunnel.l4) flags |= layout::flow_l4;
    if (tunnel.timestamps) flags |= layout::flow_timestamps;
    if (tunnel.blank_sack) flags |= layout::flow_blank_sack;
    layout::flow there =
        flow_of(tunnel.from_client, tunnel.towards_endpoint, tunnel.endpoint, flags | layout::flow_from_client);
    layout::flow back = flow_of(tunnel.from_endpoint, tunnel.frontend, tunnel.client, flags);
    for (layout::flow* flow : {&there, &back}) {
        flow->id = id;
        flow->idle_seconds = record.idle_seconds;
        flow->vip = place;
        flow->last_seen = flow->last_data = now_ns(CLOCK_MONOTONIC);
    }
    if (tables_.records.insert(id, record) != 0) return false;
    // The client's last: whoever finds it finds the whole tunnel.
    const auto key = make_key(tunnel.client, tunnel.frontend, tunnel.protocol);
    const auto answer = key_of_answer(there, tunnel.protocol);
    if (tables_.flows.insert(answer, back) == 0) {
        if (tables_.flows.insert(key, there) == 0) return true;
        tables_.flows.erase(answer);
    }
    tables_.records.erase(id);
    return false;
}

std::uint64_t Replicas::next_id() {
    if (last_id_ == 0) {
        last_id_ = first_foreign_id;
        tables_.records.each([this](std::uint64_t id, const layout::record&) {
            if ((id & first_foreign_id) != 0 && id >> 52 == 0) last_id_ = std::max(last_id_, id);
        });
    }
    return ++last_id_;
}

// A tunnel that another node carries is no more, or not that node's.
void Replicas::forget(const FlowPair& pair, std::uint64_t id, const layout::record& record) {
    program_.forget(pair.client_key, id);
    inventory_.moved(pair, id, record);
}

void Replicas::drop(const Gone& gone) {
    const auto key = make_key(gone.client, gone.frontend, gone.protocol);
    const auto flow = tables_.flows.find(key);
    if (!flow || flow->vip == 0) return remember_end(gone.identity);
    const auto record = tables_.records.find(flow->id);
    if (!record || identity_of(flow->id, *record) != gone.identity) return remember_end(gone.identity);
    const auto pair = inventory_.pair_of(key, *flow);
    if (!pair) return program_.forget(key, flow->id);
    // The other node's word, against packets that were seen here.
    const auto place = vips_.find(flow->vip);
    if (place.here && (pair->client.heard_in == place.term || pair->endpoint.heard_in == place.term ||
                       pair->client.term == place.term))
        return;
    remember_end(gone.identity);
    forget(*pair, flow->id, *record);
}

void Replicas::forget_unmentioned(const std::vector<net::IpAddress>& complete_for,
                                  const boost::unordered_flat_set<std::uint64_t>& mentioned) {
    std::set<std::uint32_t> places;
    for (const auto& vip : complete_for)
        if (const auto place = vips_.find(vip); place.index != 0 && !place.here && !place.untold)
            places.insert(place.index);
    if (places.empty()) return;
    tables_.flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
        if (!places.contains(flow.vip) || (flow.flags & layout::flow_from_client) == 0 || mentioned.contains(flow.id))
            return;
        const auto record = tables_.records.find(flow.id);
        const auto pair = inventory_.pair_of(key, flow);
        if (record && pair) forget(*pair, flow.id, *record);
    });
}

void Replicas::forget_unused_places() {
    std::set<std::uint32_t> used;
    tables_.flows.each([&used](const layout::flow_key&, const layout::flow& flow) {
        if (flow.vip != 0) used.insert(flow.vip);
    });
    vips_.keep(used);
}

}  // namespace hawser::splice
