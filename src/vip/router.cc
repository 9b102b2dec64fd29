// SPDX-License-Identifier: Apache-2.0
#include "vip/router.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

namespace hawser::vip {

namespace vip = catalog::vip;

namespace {

constexpr auto quiet_time = std::chrono::seconds(10);  // between two lines about the same thing
constexpr std::string_view prefix = "vip: ";

TimePoint now() { return std::chrono::steady_clock::now(); }

std::string text(const vip::Address& address) {
    return address.ip.text() + "/" + std::to_string(address.prefix_length);
}

std::string text(const Mac& mac) {
    std::array<char, 18> out;
    std::snprintf(out.data(), out.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                  mac[5]);
    return out.data();
}

}  // namespace

Router::Router(World& world, std::shared_ptr<const vip::VirtualRouter> config)
    : world_(world), config_(std::move(config)), machine_(settings()), since_(std::chrono::system_clock::now()) {}

Router::~Router() = default;

VirtualRouter::Settings Router::settings() const {
    VirtualRouter::Settings out;
    out.version = config_->version;
    out.priority = config_->priority;
    out.interval = config_->advert_interval;
    out.starts_as_master = config_->starts_as_master;
    out.preempt = config_->preempt;
    out.preempt_delay = config_->preempt_delay;
    out.down_timer_adverts = config_->down_timer_adverts;
    out.lower_priority_no_advert = config_->lower_priority_no_advert;
    out.higher_priority_advert = config_->higher_priority_advert;
    out.own = source_;
    const vip::Announcing& announcing = config_->announcing;
    out.repeat = announcing.repeat;
    out.refresh_repeat = announcing.refresh_repeat;
    out.lower_priority_repeat = announcing.lower_priority_repeat;
    out.second_burst = announcing.delay;
    out.refresh = announcing.refresh;
    out.lower_priority_burst = announcing.lower_priority_delay;
    return out;
}

const std::string& Router::own_interface() const { return virtual_ ? virtual_->name() : config_->interface; }

std::string Router::interface_of(const vip::Address& address) const {
    return address.interface.empty() || address.interface == config_->interface ? own_interface() : address.interface;
}

std::string Router::make_virtual_interface(const Link& base) {
    if (!config_->virtual_mac || virtual_) return "";
    const std::string name = !config_->virtual_mac->interface.empty()
                                 ? config_->virtual_mac->interface
                                 : (config_->v6 ? "vrrp6." : "vrrp.") + std::to_string(config_->id);
    auto made = VirtualInterface::make(name, config_->interface, base.index, virtual_mac(config_->v6, config_->id));
    if (!made) return made.error().text();
    virtual_ = std::move(*made);
    return "";
}

std::vector<const vip::Address*> Router::all_addresses() const {
    std::vector<const vip::Address*> out;
    for (const auto* list : {&config_->addresses, &config_->excluded})
        for (const auto& address : *list) out.push_back(&address);
    return out;
}

net::IpAddress Router::group() const {
    if (config_->multicast_group) return *config_->multicast_group;
    static const auto v4 = *net::IpAddress::parse("224.0.0.18"), v6 = *net::IpAddress::parse("ff02::12");
    return config_->v6 ? v6 : v4;
}

const vip::UnicastPeer* Router::peer(const net::IpAddress& ip) const {
    const auto& peers = config_->unicast_peers;
    const auto at = std::find_if(peers.begin(), peers.end(), [&](const auto& p) { return p.ip == ip; });
    return at == peers.end() ? nullptr : &*at;
}

// V-24: the interface's primary IPv4 or its link-local IPv6 address; a VIP is not one.
std::optional<net::IpAddress> Router::source_address(const Link& link) const {
    if (config_->source) return config_->source;
    for (const auto& ip : link.addresses) {
        if (ip.is_v6() != config_->v6 || (config_->v6 && !ip.is_link_local())) continue;
        const auto all = all_addresses();
        if (std::none_of(all.begin(), all.end(), [&](const auto* address) { return address->ip == ip; })) return ip;
    }
    return std::nullopt;
}

std::string Router::bind_to_interface() {
    std::uint32_t index = 0;
    AdvertSocket::Place place;
    std::optional<net::IpAddress> source = config_->source;
    if (!config_->interface.empty()) {
        const Link* const link = world_.links.find(config_->interface);
        if (link == nullptr) return "there is no interface " + config_->interface;
        if (!link->up && config_->track_own_interface) return config_->interface + " is down";
        if (auto failed = make_virtual_interface(*link); !failed.empty()) return failed;
        source = source_address(*link);
        // IPv6 adverts have an address of the interface that they leave by, and the virtual one has none (V-25).
        place.interface = virtual_ && !config_->virtual_mac->adverts_from_base && !config_->v6 ? virtual_->name()
                                                                                              : config_->interface;
        const Link* const sender = world_.links.find(place.interface);
        if (sender == nullptr || (virtual_ && world_.links.find(virtual_->name()) == nullptr))
            return own_interface() + " is not there yet";
        index = sender->index;
    }
    if (!source)
        return config_->interface + " has no " + (config_->v6 ? "link-local IPv6" : "IPv4") + " address";
    if (socket_ && index == index_ && *source == source_) return "";
    place.v6 = config_->v6;
    place.id = config_->id;
    place.index = index;
    place.ttl = config_->unicast_ttl;
    if (config_->unicast_peers.empty()) place.group = group();
    auto opened = AdvertSocket::open(world_.loop, place, [this](const auto& datagram) { receive(datagram); });
    if (!opened) return opened.error().text();
    socket_ = std::move(*opened);
    index_ = index;
    source_ = *source;
    machine_.configure(settings());
    return "";
}

void Router::look_for_faults(TimePoint when) {
    own_faults_.clear();
    if (auto fault = bind_to_interface(); !fault.empty()) own_faults_.push_back(std::move(fault));
    for (const auto* address : all_addresses()) {
        const std::string name = interface_of(*address);
        if (name != own_interface() && world_.links.find(name) == nullptr)
            own_faults_.push_back("there is no interface " + name + " for " + text(*address));
    }
    perform(machine_.set_fault(when, !own_faults_.empty() || !tracked_faults_.empty()));
}

void Router::start(TimePoint when) {
    look_for_faults(when);
    ask_for_duplicates();
    perform(machine_.start(when));
}

void Router::shut_down(TimePoint when) {
    perform(machine_.shut_down(when));
    socket_.reset();
    virtual_.reset();
}

void Router::configure(std::shared_ptr<const vip::VirtualRouter> config, TimePoint when) {
    if (machine_.state() == State::active) refuse_packets(false);
    const auto before = std::exchange(config_, std::move(config));
    if (machine_.state() == State::active) refuse_packets(true);
    machine_.configure(settings());
    if (config_->multicast_group != before->multicast_group || config_->unicast_peers != before->unicast_peers ||
        config_->unicast_ttl != before->unicast_ttl || config_->source != before->source)
        socket_.reset();
    look_for_faults(when);
    if (machine_.state() != State::active) return;
    const auto is_kept = [this](const vip::Address& old, const std::string& interface) {
        const auto all = all_addresses();
        return std::any_of(all.begin(), all.end(), [&](const auto* address) {
            return address->ip == old.ip && address->prefix_length == old.prefix_length &&
                   interface_of(*address) == interface;
        });
    };
    for (const auto* list : {&before->addresses, &before->excluded}) {
        for (const auto& old : *list) {
            const std::string interface =
                old.interface.empty() || old.interface == before->interface ? own_interface() : old.interface;
            const Link* const link = world_.links.find(interface);
            if (link == nullptr || is_kept(old, interface)) continue;
            if (auto removed = world_.addresses.remove(old, link->index); !removed)
                world_.log(Severity::warning, std::string(prefix) + removed.error().text());
            if (world_.released) world_.released({old.ip});
        }
    }
    for (const auto& route : before->routes)
        if (std::find(config_->routes.begin(), config_->routes.end(), route) == config_->routes.end())
            if (auto removed = world_.addresses.remove(route, 0); !removed)
                world_.log(Severity::warning, std::string(prefix) + removed.error().text());
    take();
    if (before->addresses != config_->addresses || before->excluded != config_->excluded) announce(1);
}

void Router::links_changed(TimePoint when) {
    if (machine_.state() != State::stopped) look_for_faults(when);
}

void Router::set_tracking(std::vector<std::string> faults, int added, TimePoint when) {
    tracked_faults_ = std::move(faults);
    machine_.set_priority(when, config_->priority + added);
    perform(machine_.set_fault(when, !own_faults_.empty() || !tracked_faults_.empty()));
}

void Router::step_down(TimePoint when) { perform(machine_.step_down(when)); }

std::optional<TimePoint> Router::deadline() const {
    auto first = machine_.deadline();
    const auto also = [&first](TimePoint other) { first = first ? std::min(*first, other) : other; };
    if (refresh_) also(*refresh_);
    if (!frames_.empty()) also(frames_.front().due);
    return first;
}

void Router::on_time(TimePoint when) {
    // An advert may lie in the socket that this thread was too late to read: it counts.
    if (const auto due = machine_.deadline(); due && *due <= when && machine_.state() == State::backup && socket_)
        socket_->receive_all();
    perform(machine_.on_time(when));
    if (refresh_ && *refresh_ <= when) take();
    send_due_frames(when);
}

void Router::follow_group(State state, TimePoint when) {
    perform(state == State::active ? machine_.become_active(when) : machine_.become_backup(when));
}

// ---- what is heard ----

std::optional<Discarded> Router::unwanted(const Advert& advert, const net::IpAddress& sender) const {
    if (sender == source_) return Discarded::sender;
    if (!config_->unicast_peers.empty() && peer(sender) == nullptr) return Discarded::sender;
    if (advert.version != config_->version) return Discarded::version;
    if (config_->version != 2) return std::nullopt;
    if (advert.has_password != !config_->password.empty() || advert.password != password_of(config_->password))
        return Discarded::authentication;
    // RFC 3768 §7.1: another interval than ours is not taken.
    if (advert.interval != config_->advert_interval) return Discarded::interval;
    return std::nullopt;
}

void Router::receive(const AdvertSocket::Datagram& datagram) {
    Envelope envelope{datagram.source, datagram.destination, datagram.ttl};
    const bool unicast = !config_->unicast_peers.empty();
    if (unicast) {
        const auto* const from = peer(datagram.source);
        envelope.min_ttl = from == nullptr ? std::uint8_t{255} : from->min_ttl;
        envelope.max_ttl = from == nullptr ? std::uint8_t{255} : from->max_ttl;
    }
    const auto discard = [&](Discarded why) {
        ++counters_.discarded[static_cast<std::size_t>(why)];
        if (why == Discarded::sender) return;  // one of our own that came back, or a stranger
        complain(std::string(to_string(why)), "an advert from " + datagram.source.text() + " was discarded: " +
                                                  std::string(to_string(why)));
    };
    if (datagram.destination.is_multicast() == unicast) return discard(Discarded::sender);
    const auto decoded = decode(datagram.message, envelope);
    if (const auto* why = std::get_if<Discarded>(&decoded)) return discard(*why);
    const Advert& advert = std::get<Received>(decoded).advert;
    if (advert.id != config_->id) return;
    if (const auto why = unwanted(advert, datagram.source)) return discard(*why);
    ++counters_.received;
    if (world_.heard) world_.heard(datagram.source);
    if (world_.contested && machine_.state() == State::active && advert.priority != 0) world_.contested(ips());
    heard_master_ = true;
    early_claims_.clear();
    if (config_->check_addresses && advert.priority != 0) {
        // V-23: only said, because adverts are not believed for their addresses.
        auto theirs = advert.addresses;
        std::vector<net::IpAddress> ours;
        for (const auto& address : config_->addresses) ours.push_back(address.ip);
        std::sort(theirs.begin(), theirs.end());
        std::sort(ours.begin(), ours.end());
        if (theirs != ours) complain("addresses", datagram.source.text() + " advertises other addresses than ours");
    }
    if (config_->version == 3 && advert.priority != 0 && advert.interval != config_->advert_interval)
        complain("interval", datagram.source.text() + " advertises every " + std::to_string(advert.interval.count()) +
                                 " ms, we every " + std::to_string(config_->advert_interval.count()));
    if (advert.priority == 255 && config_->priority == 255)
        complain("owner", datagram.source.text() + " says that it is the owner, too");
    perform(machine_.hear(now(), advert, datagram.source, advert.priority != 0 && waits_for(datagram.source)));
}

bool Router::waits_for(const net::IpAddress& active) {
    if (!world_.knows_all_of || machine_.state() != State::backup || world_.knows_all_of(active)) {
        waits_since_.reset();
        return false;
    }
    if (!waits_since_) waits_since_ = now();
    return now() - *waits_since_ < world_.patience;
}

void Router::hear_claim(const Claim& claim, const std::string& interface) {
    const bool waits = machine_.state() == State::backup && !heard_master_;
    if (machine_.state() != State::active && !waits) return;
    if (claim.mac == mac_of(interface)) return;
    for (const auto* address : all_addresses()) {
        if (address->ip != claim.ip || interface_of(*address) != interface) continue;
        if (waits)
            early_claims_[claim.ip] = claim.mac;  // perhaps the active router's, whose advert is still to come
        else
            report_conflict(claim, interface);
    }
}

void Router::report_conflict(const Claim& claim, const std::string& interface) {
    ++counters_.conflicts;
    if (world_.contested) world_.contested({claim.ip});
    complain("conflict " + claim.ip.text(),
             claim.ip.text() + " is in use on " + interface + ", too: by " + text(claim.mac));
}

// ---- what is done ----

void Router::perform(const Actions& actions) {
    for (const Action& action : actions) {
        switch (action.what) {
            case Action::What::advert:
                send(action.priority);
                break;
            case Action::What::take:
                refuse_packets(true);
                // Or the kernel would take an interface's other addresses of a network away together with the first.
                if (config_->promote_secondaries)
                    std::ofstream("/proc/sys/net/ipv4/conf/" + own_interface() + "/promote_secondaries") << 1;
                take();
                for (const auto* address : all_addresses())
                    if (const auto early = early_claims_.find(address->ip); early != early_claims_.end())
                        report_conflict({early->first, early->second}, interface_of(*address));
                early_claims_.clear();
                ask_for_duplicates();
                break;
            case Action::What::release:
                release();
                refuse_packets(false);
                break;
            case Action::What::announce:
                announce(action.repeat);
                break;
            case Action::What::changed:
                since_ = std::chrono::system_clock::now();
                if (action.to == State::active) ++counters_.became_active;
                world_.changed(*this, action.from, action.to);
                break;
            case Action::What::heard_lower_priority:
                world_.heard_lower_priority(*this);
                break;
        }
    }
}

Bytes Router::message(std::uint8_t priority, const net::IpAddress& destination) const {
    Advert advert;
    advert.version = config_->version;
    advert.id = config_->id;
    advert.priority = priority;
    advert.interval = config_->advert_interval;
    if (priority == 0 && advert.version == 3) advert.interval = std::min(advert.interval, leaving_interval);
    for (const auto& address : config_->addresses) advert.addresses.push_back(address.ip);
    advert.has_password = config_->version == 2 && !config_->password.empty();
    advert.password = password_of(config_->password);
    return encode(advert, source_, destination,
                  config_->pseudo_header_checksum ? Coverage::pseudo_header_too : Coverage::message);
}

void Router::send(std::uint8_t priority) {
    if (!socket_) return;
    const auto send_to = [&](const net::IpAddress& destination) {
        if (auto sent = socket_->send(message(priority, destination), source_, destination); sent) {
            ++counters_.sent;
        } else {
            ++counters_.send_errors;
            complain("send", sent.error().text());
        }
    };
    if (config_->unicast_peers.empty()) return send_to(group());
    for (const auto& each : config_->unicast_peers) send_to(each.ip);
}

void Router::put(const vip::Address& address) {
    const Link* const link = world_.links.find(interface_of(address));
    if (link == nullptr) return;  // a fault by now
    if (auto added = world_.addresses.put(address, link->index, world_.lifetime); !added)
        complain("put " + text(address), added.error().text());
}

// V-18: packets to the VIP, unless this is the owner.
void Router::refuse_packets(bool yes) {
    if (!refuses_packets()) return;
    AcceptFilter* const filter = world_.accept_filter();
    if (filter == nullptr) return;
    for (const auto* address : all_addresses())
        if (auto done = yes ? filter->refuse(address->ip) : filter->forget(address->ip); !done)
            complain("no_accept " + text(*address), done.error().text());
}

// Also what refreshes them, and brings back what somebody has removed.
void Router::take() {
    if (world_.holding) world_.holding(ips());
    for (const auto* address : all_addresses()) put(*address);
    for (const auto& route : config_->routes) {
        const Link* const link = route.interface.empty() ? nullptr : world_.links.find(route.interface);
        if (auto added = world_.addresses.put(route, link == nullptr ? 0 : link->index); !added)
            complain("put " + route.destination.text(), added.error().text());
    }
    refresh_ = now() + std::chrono::milliseconds(world_.lifetime) / 3;
}

void Router::release() {
    refresh_.reset();
    frames_.clear();
    for (const auto& route : config_->routes) {
        const Link* const link = route.interface.empty() ? nullptr : world_.links.find(route.interface);
        if (auto removed = world_.addresses.remove(route, link == nullptr ? 0 : link->index); !removed)
            complain("remove " + route.destination.text(), removed.error().text());
    }
    for (const auto* address : all_addresses()) {
        const Link* const link = world_.links.find(interface_of(*address));
        if (link == nullptr) continue;
        if (auto removed = world_.addresses.remove(*address, link->index); !removed)
            complain("remove " + text(*address), removed.error().text());
    }
    if (world_.released) world_.released(ips());
}

std::vector<net::IpAddress> Router::ips() const {
    std::vector<net::IpAddress> out;
    for (const auto* address : all_addresses()) out.push_back(address->ip);
    return out;
}

Mac Router::mac_of(const std::string& interface) const {
    const Link* const link = world_.links.find(interface);
    return link == nullptr ? Mac{} : link->mac;
}

void Router::announce(unsigned repeat) {
    const vip::Announcing& pace = config_->announcing;
    TimePoint due = now();
    for (unsigned i = 0; i < repeat; ++i) {
        for (const auto* address : all_addresses()) {
            const std::string interface = interface_of(*address);
            frames_.push_back({due, interface, announcement(address->ip, mac_of(interface))});
            due += address->ip.is_v4() ? pace.arp_interval : pace.na_interval;
        }
    }
    std::stable_sort(frames_.begin(), frames_.end(), [](const Frame& a, const Frame& b) { return a.due < b.due; });
    send_due_frames(now());
}

void Router::send_due_frames(TimePoint when) {
    while (!frames_.empty() && frames_.front().due <= when) {
        const Frame& frame = frames_.front();
        if (FrameSocket* const socket = world_.frames(frame.interface); socket != nullptr)
            if (auto sent = socket->send(frame.bytes); !sent) complain("announce", sent.error().text());
        frames_.pop_front();
    }
}

// Whoever has one of the addresses answers, and hear_claim() says so.
void Router::ask_for_duplicates() {
    for (const auto* address : all_addresses()) {
        if (address->no_duplicate_detection) continue;
        const std::string interface = interface_of(*address);
        if (FrameSocket* const socket = world_.frames(interface); socket != nullptr)
            static_cast<void>(socket->send(duplicate_probe(address->ip, mac_of(interface))));
    }
}

// At most one line about the same thing in quiet_time (V-29).
void Router::complain(const std::string& about, const std::string& line) {
    const TimePoint when = now();
    if (complained_.size() > 1'000) complained_.clear();
    auto& last = complained_[about];
    if (last != TimePoint{} && when - last < quiet_time) return;
    last = when;
    world_.log(Severity::warning, std::string(prefix) + config_->name + ": " + line);
}

Status Router::status() const {
    Status out;
    out.name = config_->name;
    out.interface = config_->interface;
    out.id = config_->id;
    out.version = config_->version;
    out.state = machine_.state();
    out.since = since_;
    out.base_priority = config_->priority;
    out.priority = machine_.priority();
    out.master = machine_.master();
    for (const auto* address : all_addresses()) out.addresses.push_back(text(*address));
    if (out.state == State::fault) {
        out.faults = own_faults_;
        out.faults.insert(out.faults.end(), tracked_faults_.begin(), tracked_faults_.end());
    }
    out.interval = std::chrono::duration_cast<std::chrono::milliseconds>(machine_.master_interval());
    out.counters = counters_;
    return out;
}

}  // namespace hawser::vip
