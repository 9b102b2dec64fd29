// SPDX-License-Identifier: Apache-2.0
// vrrp_instance, but what has a file of its own: addresses, routes, tracking, scripts, announcements.

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

void read_instance(Reading& reading, const Call& call) {
    auto instance = std::make_unique<InstanceConf>();
    instance->router.name = call.text(1);
    instance->router.position = call.position();
    for (const auto& other : reading.conf.instances)
        if (other->router.name == call.text(1))
            reading.error(call.position(1), "vrrp_instance \"" + call.text(1) +
                                                "\" is defined twice, first at " +
                                                other->router.position.text());
    Scope scope;
    scope.kind = where::instance;
    scope.instance = instance.get();
    read_block(reading, *call.block, scope);
    reading.conf.instances.push_back(std::move(instance));
}

void read_state(Reading& reading, const Call& call) {
    if (call.text(1) != "MASTER" && call.text(1) != "BACKUP") return reading.invalid(call, 1);
    call.scope.instance->router.starts_as_master = call.text(1) == "MASTER";
    call.scope.instance->state_at = call.position();
}

void read_interface(Reading& reading, const Call& call) {
    if (call.text(1) == "lo")
        return reading.error(call.position(1), "\"lo\" cannot carry adverts: it is the loopback interface");
    if (!is_interface_name(call.text(1))) return reading.invalid(call, 1);
    call.scope.instance->interface = call.words[1];
}

void read_id(Reading& reading, const Call& call) {
    set_number<&InstanceConf::id, 1, 255>(reading, call);
    call.scope.instance->id_at = call.position(1);
}

void read_version(Reading& reading, const Call& call) {
    set_number<&InstanceConf::version, 2, 3>(reading, call);
    call.scope.instance->version_at = call.position();
}

void read_priority(Reading& reading, const Call& call) {
    const auto value = parse_integer(call.text(1), 1, 255);
    if (!value) return reading.invalid(call, 1);
    call.scope.instance->router.priority = static_cast<std::uint8_t>(*value);
    call.scope.instance->priority_at = call.position();
}

void read_advert_interval(Reading& reading, const Call& call) {
    using std::chrono::seconds;
    const auto value = parse_seconds(call.text(1));
    if (!value || *value < milliseconds(10) || *value > seconds(255)) return reading.invalid(call, 1);
    call.scope.instance->advert_interval = *value;
    call.scope.instance->advert_interval_at = call.position(1);
}

void read_preempt(Reading&, const Call& call) {
    call.scope.instance->router.preempt = call.name() == "preempt";
    call.scope.instance->preempt_at = call.position();
}

void read_preempt_delay(Reading& reading, const Call& call) {
    set_seconds<&vip::VirtualRouter::preempt_delay, 1000>(reading, call);
    call.scope.instance->preempt_delay_at = call.position();
}

void read_accept(Reading&, const Call& call) {
    call.scope.instance->accept = call.name() == "accept";
    call.scope.instance->accept_at = call.position();
}

void read_lower_no_advert(Reading& reading, const Call& call) {
    set_bool<&InstanceConf::lower_priority_no_advert>(reading, call);
    call.scope.instance->lower_no_advert_at = call.position();
}
void read_higher_advert(Reading& reading, const Call& call) {
    set_bool<&InstanceConf::higher_priority_advert>(reading, call);
    call.scope.instance->higher_advert_at = call.position();
}

void read_use_vmac(Reading& reading, const Call& call) {
    call.scope.instance->virtual_mac_at = call.position();
    vip::VirtualRouter::VirtualMac mac;
    for (std::size_t i = 1; i <= call.count(); ++i) {
        if (call.text(i).find(':') != std::string::npos) {
            reading.error(call.position(i),
                          "a MAC address of one's own is not supported in \"use_vmac\"; the one of the "
                          "RFC is used: 00:00:5e:00:01:ID");
        } else if (!is_interface_name(call.text(i))) {
            reading.invalid(call, i);
        } else {
            mac.interface = call.text(i);
        }
    }
    call.scope.instance->router.virtual_mac = std::move(mac);
}

void read_source(Reading&, const Call& call) {
    InstanceConf& instance = *call.scope.instance;
    instance.source = call.words[1];
    if (call.name() == "unicast_src_ip" && !instance.unicast_at) instance.unicast_at = call.position();
}

void read_multicast_destination(Reading&, const Call& call) { call.scope.instance->group = call.words[1]; }

template <class Set>
void note_unicast(const Call& call, Set set) {
    set(*call.scope.instance);
    if (!call.scope.instance->unicast_at) call.scope.instance->unicast_at = call.position();
}

void read_check_unicast_source(Reading& reading, const Call& call) {
    note_unicast(call, [](InstanceConf&) {});
    reading.note(call.position(), "\"check_unicast_src\" has no effect: others than the peers are never believed");
}

void read_unicast_ttl(Reading& reading, const Call& call) {
    const auto value = parse_integer(call.text(1), 0, 255);
    if (!value) return reading.invalid(call, 1);
    note_unicast(call, [&](InstanceConf& instance) { instance.unicast_ttl = static_cast<unsigned>(*value); });
}

// ---- authentication

AuthenticationConf& authentication_of(const Call& call) {
    auto& slot = call.scope.instance->authentication;
    if (!slot) slot.emplace();
    return *slot;
}

void read_authentication(Reading& reading, const Call& call) {
    authentication_of(call).position = call.position();
    Scope scope = call.scope;
    scope.kind = where::authentication;
    read_block(reading, *call.block, scope);
}

void read_auth_type(Reading& reading, const Call& call) {
    authentication_of(call).has_type = true;
    if (call.text(1) == "AH")
        return reading.error(call.position(1), "auth_type AH (IPsec) is not supported; only PASS is");
    if (call.text(1) != "PASS") reading.invalid(call, 1);
}

void read_auth_pass(Reading& reading, const Call& call) {
    std::string password = call.text(1);
    if (password.empty()) return reading.invalid(call, 1);
    if (password.size() > 8) {
        reading.warning(call.position(1), "only the first 8 characters of \"auth_pass\" are used");
        password.resize(8);
    }
    authentication_of(call).password = std::move(password);
}

using I = InstanceConf;
using R = vip::VirtualRouter;
constexpr std::uint32_t instance = where::instance;

constexpr Command commands[] = {
    block("vrrp_instance", where::top, read_instance, "a name", 1),
    one("state", instance, read_state, "MASTER or BACKUP"),
    one("interface", instance, read_interface, "an interface"),
    one("virtual_router_id", instance, read_id, "a number from 1 to 255"),
    one("priority", instance, read_priority, "a number from 1 to 255"),
    one("advert_int", instance, read_advert_interval, "seconds from 0.01 to 255"),
    one("version", instance, read_version, "2 or 3"),
    words("native_ipv6", instance, set_flag<&I::native_v6>, "", 0, 0),
    words("preempt", instance, read_preempt, "", 0, 0),
    words("nopreempt", instance, read_preempt, "", 0, 0),
    one("preempt_delay", instance, read_preempt_delay, "seconds from 0 to 1000"),
    one("down_timer_adverts", instance, set_number<&I::down_timer_adverts, 1, 100>, "a number from 1 to 100"),
    words("accept", instance, read_accept, "", 0, 0),
    words("no_accept", instance, read_accept, "", 0, 0),
    words("strict_mode", instance, set_bool<&I::strict>, is_bool, 0, 1),
    words("lower_prio_no_advert", instance, read_lower_no_advert, is_bool, 0, 1),
    words("higher_prio_send_advert", instance, read_higher_advert, is_bool, 0, 1),
    words("skip_check_adv_addr", instance, set_bool<&I::skip_check_adv_addr>, is_bool, 0, 1),
    words("v3_checksum_as_v2", instance, set_bool<&I::checksum_as_v2>, is_bool, 0, 1),  // newer than 2.2.7
    words("promote_secondaries", instance, set_flag<&R::promote_secondaries>, "", 0, 0),
    words("use_vmac", instance, read_use_vmac, "the name of an interface, at most 15 characters", 0, 2),
    words("vmac_xmit_base", instance, set_flag<&I::xmit_base>, "", 0, 0),
    one("mcast_src_ip", instance, read_source, "an address"),
    one("unicast_src_ip", instance, read_source, "an address"),
    one("mcast_dst_ip", instance, read_multicast_destination, "a multicast address"),
    words("check_unicast_src", instance, read_check_unicast_source, "", 0, 0),
    one("unicast_ttl", instance, read_unicast_ttl, "a number from 0 to 255"),
    block("authentication", instance, read_authentication, "", 0),
    one("auth_type", where::authentication, read_auth_type, "PASS"),
    one("auth_pass", where::authentication, read_auth_pass, "a password"),
};

}  // namespace

std::span<const Command> instance_commands() { return commands; }

}  // namespace hawser::keepalived
