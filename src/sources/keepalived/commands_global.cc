// SPDX-License-Identifier: Apache-2.0
// global_defs.

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

void read_global_defs(Reading& reading, const Call& call) {
    Scope scope;
    scope.kind = where::global;
    scope.global = &reading.conf.global;
    read_block(reading, *call.block, scope);
}

void read_router_id(Reading&, const Call& call) { call.scope.global->settings.router_id = call.text(1); }

void read_script_user(Reading&, const Call& call) {
    RunAs as{call.words[1], std::nullopt};
    if (call.count() == 2) as.group = call.words[2];
    call.scope.global->script_user = std::move(as);
}

template <std::optional<net::IpAddress> GlobalConf::*Member, bool V4>
void read_multicast_group(Reading& reading, const Call& call) {
    const auto ip = net::IpAddress::parse(call.text(1));
    if (!ip || !ip->is_multicast() || ip->is_v4() != V4) return reading.invalid(call, 1);
    call.scope.global->*Member = *ip;
}

void read_startup_delay(Reading& reading, const Call& call) {
    const auto delay = parse_seconds(call.text(1));
    if (!delay) return reading.invalid(call, 1);
    call.scope.global->settings.startup_delay = *delay;
}

void read_default_interface(Reading& reading, const Call& call) {
    if (!is_interface_name(call.text(1))) return reading.invalid(call, 1);
    call.scope.global->default_interface = call.text(1);
}

void read_virtual_mac_prefix(Reading& reading, const Call& call) {
    // "6.255" has to find room behind it.
    if (!is_interface_name(call.text(1)) || call.text(1).size() > 10) return reading.invalid(call, 1);
    call.scope.global->virtual_mac_prefix = call.text(1);
}

using G = GlobalConf;
constexpr std::uint32_t global = where::global;

constexpr Command commands[] = {
    block("global_defs", where::top, read_global_defs, "", 0),
    one("router_id", global, read_router_id, "a name for this machine"),
    words("script_user", global, read_script_user, "a user, and a group if it is not the user's", 1, 2),
    words("enable_script_security", global, set_flag<&G::script_security>, "", 0, 0),
    one("vrrp_version", global, set_number<&G::version, 2, 3>, "2 or 3"),
    words("vrrp_lower_prio_no_advert", global, set_bool<&G::lower_priority_no_advert>, is_bool, 0, 1),
    words("vrrp_higher_prio_send_advert", global, set_bool<&G::higher_priority_advert>, is_bool, 0, 1),
    words("vrrp_skip_check_adv_addr", global, set_bool<&G::skip_check_adv_addr>, is_bool, 0, 1),
    words("vrrp_strict", global, set_bool<&G::strict>, is_bool, 0, 1),
    one("vrrp_down_timer_adverts", global, set_number<&G::down_timer_adverts, 1, 100>,
        "a number from 1 to 100"),
    one("vrrp_mcast_group4", global, read_multicast_group<&G::group_v4, true>, "an IPv4 multicast address"),
    one("vrrp_mcast_group6", global, read_multicast_group<&G::group_v6, false>, "an IPv6 multicast address"),
    one("vrrp_startup_delay", global, read_startup_delay, "seconds"),
    one("default_interface", global, read_default_interface, "an interface"),
    one("vmac_prefix", global, read_virtual_mac_prefix, "the beginning of a name, at most 10 characters"),
};

}  // namespace

std::span<const Command> global_commands() { return commands; }

}  // namespace hawser::keepalived
