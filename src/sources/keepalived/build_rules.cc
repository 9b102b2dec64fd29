// SPDX-License-Identifier: Apache-2.0
// Strict mode, announcements, and what several instances may not share.

#include <algorithm>
#include <map>
#include <tuple>

#include "sources/keepalived/build.h"

namespace hawser::keepalived {

namespace {

struct Strictness {
    Reading& reading;
    const InstanceConf& in;
    vip::VirtualRouter& out;

    void undo(const catalog::Position& at, std::string_view word) {
        reading.warning(at, "strict mode does not allow \"" + std::string(word) +
                                "\"; it is ignored, as keepalived does");
    }

    void apply() {
        if (!out.unicast_peers.empty())
            reading.error(*in.unicast_at, "strict mode does not allow \"unicast_peer\"");
        if (out.v6 && !out.addresses.empty() && !out.addresses.front().ip.is_link_local())
            reading.error(out.addresses.front().position,
                          "strict mode: the first IPv6 address has to be link-local (fe80::)");
        state();
        if (!out.password.empty()) {
            undo(in.authentication->position, "authentication");
            out.password.clear();
        }
        if (out.preempt_delay.count() != 0) {
            undo(in.preempt_delay_at, "preempt_delay");
            out.preempt_delay = microseconds(0);
        }
        adverts();
        announcing();
        accepting();
    }

    void state() {
        const bool owner = out.priority == 255;
        if (out.starts_as_master != owner && in.state_at.line != 0)
            reading.warning(in.state_at,
                            owner ? "strict mode: priority 255 is \"state MASTER\""
                                  : "strict mode: \"state MASTER\" needs priority 255; it is ignored");
        out.starts_as_master = owner;
    }

    void adverts() {
        if (in.lower_priority_no_advert == false) undo(in.lower_no_advert_at, "lower_prio_no_advert off");
        out.lower_priority_no_advert = true;
        if (in.higher_priority_advert == true) undo(in.higher_advert_at, "higher_prio_send_advert");
        out.higher_priority_advert = false;
        if (out.virtual_mac && out.virtual_mac->adverts_from_base) {
            undo(in.virtual_mac_at, "vmac_xmit_base");
            out.virtual_mac->adverts_from_base = false;
        }
    }

    void announcing() {
        if (in.announcing.refresh && in.announcing.refresh->count() != 0)
            undo(in.refresh_at, "garp_master_refresh");
        if (in.announcing.lower_priority_repeat.value_or(0) != 0)
            undo(in.lower_repeat_at, "garp_lower_prio_repeat");
        out.announcing.refresh = milliseconds(0);
        out.announcing.lower_priority_delay = milliseconds(0);
        out.announcing.lower_priority_repeat = 0;
    }

    void accepting() {
        if (in.accept == true && out.version == 2) undo(in.accept_at, "accept");
        const bool own_word = in.accept.has_value() && !(in.accept == true && out.version == 2);
        out.accept = own_word ? *in.accept : out.priority == 255;
        if (out.accept || own_word) return;
        reading.warning(out.position,
                        "strict mode: packets to the addresses of vrrp_instance \"" + out.name +
                            "\" are dropped on this host, which does not own them (priority 255); " +
                            (out.version == 2 ? "\"version 3\" and \"accept\" let" : "\"accept\" lets") +
                            " them in");
    }
};

std::string family(bool v6) { return v6 ? "IPv6" : "IPv4"; }

bool share_a_peer(const vip::VirtualRouter& a, const vip::VirtualRouter& b) {
    return std::any_of(a.unicast_peers.begin(), a.unicast_peers.end(), [&](const vip::UnicastPeer& peer) {
        return std::any_of(b.unicast_peers.begin(), b.unicast_peers.end(),
                           [&](const vip::UnicastPeer& other) { return other.ip == peer.ip; });
    });
}

bool taken_for_one(const vip::VirtualRouter& a, const vip::VirtualRouter& b) {
    if (a.unicast_peers.empty() != b.unicast_peers.empty()) return false;
    return a.unicast_peers.empty() ? a.multicast_group == b.multicast_group : share_a_peer(a, b);
}

}  // namespace

void apply_strict_mode(Reading& reading, const InstanceConf& instance, vip::VirtualRouter& router) {
    Strictness{reading, instance, router}.apply();
}

vip::Announcing build_announcing(const Conf& conf, const AnnouncingConf& own, const std::string& interface) {
    const GlobalConf& global = conf.global;
    const AnnouncingConf& all = global.announcing;
    vip::Announcing out;
    const auto pick = [](auto& into, const auto& first, const auto& second) {
        if (second) into = *second;
        if (first) into = *first;
    };
    if (global.least_arp) {
        out.delay = milliseconds(0);
        out.repeat = 1;
    }
    pick(out.delay, own.delay, all.delay);
    pick(out.repeat, own.repeat, all.repeat);
    pick(out.refresh, own.refresh, all.refresh);
    pick(out.refresh_repeat, own.refresh_repeat, all.refresh_repeat);
    out.lower_priority_delay = out.delay;
    out.lower_priority_repeat = out.repeat;
    pick(out.lower_priority_delay, own.lower_priority_delay, all.lower_priority_delay);
    pick(out.lower_priority_repeat, own.lower_priority_repeat, all.lower_priority_repeat);
    out.arp_interval = global.arp_interval;
    out.na_interval = global.na_interval;
    for (const GarpGroupConf& group : conf.garp_groups) {
        const auto& names = group.interfaces;
        if (std::find(names.begin(), names.end(), interface) == names.end()) continue;
        out.arp_interval = group.arp_interval.value_or(microseconds(0));
        out.na_interval = group.na_interval.value_or(microseconds(0));
    }
    return out;
}

void check_instances_together(Reading& reading, const std::vector<vip::VirtualRouter>& routers) {
    std::map<std::tuple<std::string, bool, int>, std::vector<std::size_t>> on_the_wire;
    std::map<net::IpAddress, const vip::VirtualRouter*> addresses;
    for (std::size_t i = 0; i < routers.size(); ++i) {
        const vip::VirtualRouter& router = routers[i];
        auto& others = on_the_wire[{router.interface, router.v6, router.id}];
        for (const std::size_t other : others)
            if (router.id != 0 && taken_for_one(routers[other], router)) {
                reading.error(reading.conf.instances[i]->id_at,
                              "virtual_router_id " + std::to_string(router.id) +
                                  " is that of vrrp_instance \"" + routers[other].name +
                                  "\" already, on interface " + router.interface + " with " +
                                  family(router.v6));
                break;
            }
        others.push_back(i);
        for (const auto* list : {&router.addresses, &router.excluded})
            for (const vip::Address& address : *list) {
                const auto [at, is_new] = addresses.emplace(address.ip, &router);
                if (!is_new)
                    reading.warning(address.position, "\"" + address.ip.text() +
                                                          "\" is an address of vrrp_instance \"" +
                                                          at->second->name + "\" too");
            }
    }
}

}  // namespace hawser::keepalived
