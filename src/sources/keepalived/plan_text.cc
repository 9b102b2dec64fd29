// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/plan_text.h"

namespace hawser::keepalived {

namespace {

namespace vip = catalog::vip;

const vip::VirtualRouter standard_router;
const vip::Announcing standard_announcing;

template <class Duration>
std::string time(Duration value) {
    const auto micro = std::chrono::microseconds(value).count();
    if (micro % 1000 != 0) return std::to_string(micro) + "us";
    if (micro % 1'000'000 != 0) return std::to_string(micro / 1000) + "ms";
    return std::to_string(micro / 1'000'000) + "s";
}

struct Text {
    std::string out;

    void line(const std::string& text) { out += text + "\n"; }
    void flag(bool is_set, const char* word) {
        if (is_set) out += std::string(" ") + word;
    }
    template <class Value>
    void number(const char* word, Value value, Value standard) {
        if (value != standard) out += std::string(" ") + word + " " + std::to_string(value);
    }
    template <class Duration>
    void duration(const char* word, Duration value, Duration standard) {
        if (value != standard) out += std::string(" ") + word + " " + time(value);
    }
    void word(const char* name, const std::string& value) {
        if (!value.empty()) out += std::string(" ") + name + " " + value;
    }

    void settings(const vip::Settings& settings) {
        if (!settings.router_id.empty()) line("router_id " + settings.router_id);
        if (settings.startup_delay.count() != 0) line("startup_delay " + time(settings.startup_delay));
    }

    void router(const vip::VirtualRouter& r) {
        out += "router " + r.name + ": " + (r.interface.empty() ? "-" : r.interface) + " id " +
               std::to_string(r.id) + (r.v6 ? " IPv6" : " IPv4") + " version " + std::to_string(r.version) +
               " priority " + std::to_string(r.priority) + " every " + time(r.advert_interval);
        flag(r.starts_as_master, "master");
        flag(!r.preempt, "nopreempt");
        duration("preempt_delay", r.preempt_delay, standard_router.preempt_delay);
        flag(!r.accept, "no_accept");
        number("down_timer_adverts", r.down_timer_adverts, 3U);
        flag(r.lower_priority_no_advert, "lower_prio_no_advert");
        flag(r.higher_priority_advert, "higher_prio_send_advert");
        flag(!r.check_addresses, "skip_check_adv_addr");
        flag(!r.pseudo_header_checksum, "v3_checksum_as_v2");
        flag(r.promote_secondaries, "promote_secondaries");
        flag(!r.track_own_interface, "dont_track_primary");
        word("password", r.password);
        out += "\n";
        if (r.virtual_mac)
            line("  vmac \"" + r.virtual_mac->interface + "\"" +
                 (r.virtual_mac->adverts_from_base ? " xmit_base" : ""));
        if (r.source) line("  source " + r.source->text());
        if (r.multicast_group) line("  group " + r.multicast_group->text());
        peers(r);
        for (const vip::Address& a : r.addresses) address("address", a);
        for (const vip::Address& a : r.excluded) address("excluded", a);
        for (const vip::Route& one : r.routes) route(one);
        announcing(r.announcing);
        tracking(r.tracking);
        notify(r.notify);
    }

    void peers(const vip::VirtualRouter& r) {
        for (const vip::UnicastPeer& peer : r.unicast_peers)
            line("  peer " + peer.ip.text() + " ttl " + std::to_string(peer.min_ttl) + "-" +
                 std::to_string(peer.max_ttl));
        if (r.unicast_peers.empty()) return;
        out += "  unicast ttl " + std::to_string(r.unicast_ttl);
        out += "\n";
    }

    void address(const char* kind, const vip::Address& a) {
        out += std::string("  ") + kind + " " + a.ip.text() + "/" + std::to_string(a.prefix_length);
        word("dev", a.interface);
        word("label", a.label);
        number("scope", a.scope, std::uint8_t{0});
        if (a.broadcast) word("brd", a.broadcast->text());
        if (a.peer) word("peer", a.peer->text());
        flag(a.no_duplicate_detection, "-nodad");
        flag(a.home, "home");
        flag(a.manage_temporary, "mngtmpaddr");
        flag(a.no_prefix_route, "noprefixroute");
        flag(a.autojoin, "autojoin");
        out += "\n";
    }

    void route(const vip::Route& r) {
        constexpr const char* kinds[] = {"", "blackhole ", "unreachable ", "prohibit "};
        out += std::string("  route ") + kinds[static_cast<std::size_t>(r.kind)] + r.destination.text();
        if (r.via) word("via", r.via->text());
        if (r.source) word("src", r.source->text());
        word("dev", r.interface);
        number("scope", r.scope, std::uint8_t{0});
        number("table", r.table, 254U);
        number("metric", r.metric, 0U);
        flag(r.onlink, "onlink");
        out += "\n";
    }

    void announcing(const vip::Announcing& a) {
        const vip::Announcing& s = standard_announcing;
        if (a == s) return;
        out += "  announcing";
        duration("delay", a.delay, s.delay);
        number("repeat", a.repeat, s.repeat);
        duration("refresh", a.refresh, s.refresh);
        number("refresh_repeat", a.refresh_repeat, s.refresh_repeat);
        duration("lower_prio_delay", a.lower_priority_delay, s.lower_priority_delay);
        number("lower_prio_repeat", a.lower_priority_repeat, s.lower_priority_repeat);
        duration("arp_interval", a.arp_interval, s.arp_interval);
        duration("na_interval", a.na_interval, s.na_interval);
        out += "\n";
    }

    void weight(std::int32_t weight, bool reverse) {
        out += " weight " + std::to_string(weight);
        flag(reverse, "reverse");
    }

    void tracking(const vip::Tracking& t) {
        for (const auto& one : t.interfaces) {
            out += "  track interface " + one.interface;
            weight(one.weight, one.reverse);
            out += "\n";
        }
        for (const auto& one : t.scripts) {
            const vip::Script& s = *one.what;
            out += "  track script " + s.name;
            weight(one.weight, one.reverse);
            out += " every " + time(s.interval) + " rise " + std::to_string(s.rise) + " fall " +
                   std::to_string(s.fall);
            duration("timeout", s.timeout, std::chrono::microseconds(0));
            flag(s.starts_bad, "init_fail");
            out += ":";
            command(s.command);
        }
        for (const auto& one : t.files) {
            out += "  track file " + one.what->name + " " + one.what->path;
            weight(one.weight, one.reverse);
            if (one.what->initial) out += " initial " + std::to_string(*one.what->initial);
            flag(one.what->overwrite, "overwrite");
            out += "\n";
        }
        for (const auto& one : t.processes) process(*one.what, one.weight, one.reverse);
    }

    void process(const vip::Process& p, std::int32_t by, bool reverse) {
        constexpr const char* matches[] = {"", " exact", " initial", " partial"};
        out += "  track process " + p.name;
        weight(by, reverse);
        out += " quorum " + std::to_string(p.quorum);
        number("quorum_max", p.quorum_max, ~0U);
        duration("fork_delay", p.fork_delay, std::chrono::microseconds(0));
        duration("terminate_delay", p.terminate_delay, std::chrono::microseconds(0));
        flag(p.full_command, "full_command");
        out += std::string(matches[static_cast<std::size_t>(p.parameters)]) + ":";
        for (const std::string& part : p.command) out += " [" + part + "]";
        out += "\n";
    }

    void command(const vip::Command& c) {
        for (const std::string& argument : c.arguments) out += " [" + argument + "]";
        line(" as " + std::to_string(c.user) + ":" + std::to_string(c.group));
    }

    void notify(const vip::Notify& n) {
        const std::pair<const char*, const vip::Command*> all[] = {
            {"master", &n.master},
            {"backup", &n.backup},
            {"fault", &n.fault},
            {"stop", &n.stop},
            {"deleted", &n.deleted},
            {"any", &n.any},
            {"lower_priority_heard", &n.lower_priority_heard}};
        for (const auto& [name, what] : all) {
            if (what->empty()) continue;
            out += std::string("  notify ") + name + ":";
            command(*what);
        }
    }

    void group(const vip::SyncGroup& g) {
        out += "group " + g.name + ":";
        for (const std::string& member : g.members) out += " " + member;
        flag(g.keep_weights, "keep_weights");
        out += "\n";
        tracking(g.tracking);
        notify(g.notify);
    }
};

}  // namespace

std::string plan_text(const vip::Plan& plan) {
    Text text;
    text.settings(plan.settings);
    for (const vip::VirtualRouter& router : plan.routers) text.router(router);
    for (const vip::SyncGroup& group : plan.groups) text.group(group);
    return text.out;
}

}  // namespace hawser::keepalived
