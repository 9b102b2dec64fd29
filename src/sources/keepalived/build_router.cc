// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "sources/keepalived/build.h"
#include "sources/keepalived/values.h"

namespace hawser::keepalived {

namespace {

std::string family(bool v6) { return v6 ? "IPv6" : "IPv4"; }

struct RouterBuilder {
    Reading& reading;
    const InstanceConf& in;
    vip::VirtualRouter out;

    [[nodiscard]] const GlobalConf& global() const { return reading.conf.global; }
    [[nodiscard]] std::string shown() const { return "vrrp_instance \"" + out.name + "\""; }
    void warning(const catalog::Position& at, std::string text) { reading.warning(at, std::move(text)); }

    void build() {
        what_is_needed();
        addresses();
        version();
        interval();
        defaults();
        master_and_preemption();
        authentication();
        source_and_group();
        peers();
        virtual_mac();
        out.announcing = build_announcing(reading.conf, in.announcing, out.interface);
        if (in.strict.value_or(global().strict)) apply_strict_mode(reading, in, out);
    }

    void what_is_needed() {
        if (in.interface) out.interface = in.interface->text;
        if (!in.interface && in.peers.empty()) reading.error(out.position, shown() + " has no \"interface\"");
        if (!in.id) reading.error(out.position, shown() + " has no \"virtual_router_id\"");
        if (in.addresses.empty())
            reading.error(out.position, shown() + " has no address in \"virtual_ipaddress\"");
        out.id = static_cast<std::uint8_t>(in.id.value_or(0));
    }

    // ---- addresses

    void addresses() {
        out.v6 = in.native_v6 || (!in.addresses.empty() && in.addresses.front().address.ip.is_v6());
        for (const AddressConf& conf : in.addresses) {
            if (conf.address.ip.is_v6() != out.v6) {
                const std::string why = in.native_v6 ? "\"native_ipv6\" is set"
                                                     : "the first address is " + family(out.v6) +
                                                           "; it can stand in \"virtual_ipaddress_excluded\"";
                reading.error(conf.address.position,
                              "\"" + conf.address.ip.text() + "\" is " + family(!out.v6) + ", but " + why);
            } else {
                add(conf, out.addresses);
            }
        }
        for (const AddressConf& conf : in.excluded) add(conf, out.excluded);
    }

    void add(const AddressConf& conf, std::vector<vip::Address>& into) {
        vip::Address address = conf.address;
        const auto same = [&](const vip::Address& other) { return other.ip == address.ip; };
        if (std::any_of(out.addresses.begin(), out.addresses.end(), same) ||
            std::any_of(out.excluded.begin(), out.excluded.end(), same))
            return warning(address.position, "\"" + address.ip.text() + "\" stands twice in " + shown() +
                                                 "; the first one counts");
        if (address.interface.empty() && out.interface.empty()) {
            if (!global().default_interface)
                return reading.error(address.position, "\"" + address.ip.text() + "\" needs \"dev\": " +
                                                           shown() + " has no \"interface\"");
            address.interface = *global().default_interface;
        }
        if (!conf.has_length)
            reading.note(address.position,
                         "\"" + address.ip.text() + "\" gets the length " +
                             std::to_string(address.prefix_length) +
                             ", as in keepalived: the interface needs an address of the same network");
        into.push_back(std::move(address));
    }

    // ---- the protocol

    void version() {
        if (out.v6 && in.version == 2U)
            warning(in.version_at, shown() + " has IPv6 addresses: version 3 is used, not 2");
        out.version =
            static_cast<std::uint8_t>(out.v6 ? 3 : in.version.value_or(global().version.value_or(2)));
    }

    void interval() {
        if (!in.advert_interval) return;
        const microseconds given = *in.advert_interval;
        const milliseconds unit(out.version == 2 ? 1'000 : 10);
        milliseconds rounded = (given + unit / 2) / microseconds(unit) * unit;
        rounded = std::max(rounded, unit);
        if (rounded != given)
            warning(in.advert_interval_at,
                    out.version == 2
                        ? "version 2 of VRRP counts whole seconds: \"advert_int\" is rounded to " +
                              std::to_string(rounded.count() / 1000) + " s"
                        : "version 3 of VRRP counts hundredths of a second: \"advert_int\" is "
                          "rounded to " +
                              std::to_string(rounded.count()) + " ms");
        if (out.version == 3 && rounded > milliseconds(40'950)) {
            warning(in.advert_interval_at,
                    "version 3 of VRRP has at most 40.95 s for \"advert_int\"; that is used");
            rounded = milliseconds(40'950);
        }
        out.advert_interval = rounded;
    }

    void defaults() {
        const GlobalConf& g = global();
        out.down_timer_adverts = in.down_timer_adverts.value_or(g.down_timer_adverts.value_or(3));
        out.lower_priority_no_advert =
            in.lower_priority_no_advert.value_or(g.lower_priority_no_advert.value_or(false));
        out.higher_priority_advert =
            in.higher_priority_advert.value_or(g.higher_priority_advert.value_or(false));
        out.pseudo_header_checksum = !in.checksum_as_v2.value_or(false);
        out.check_addresses = !in.skip_check_adv_addr.value_or(g.skip_check_adv_addr);
        out.accept = in.accept.value_or(true);
    }

    void master_and_preemption() {
        if (out.starts_as_master && in.priority_at.line == 0) {
            out.priority = 255;
            warning(in.state_at,
                    "\"state MASTER\" without \"priority\" is priority 255, as in keepalived: the owner of "
                    "the addresses");
        }
        if (!out.preempt && out.priority == 255) {
            warning(in.preempt_at,
                    "\"nopreempt\" has no effect with priority 255: the owner of the addresses takes them");
            out.preempt = true;
        } else if (!out.preempt && out.starts_as_master) {
            warning(in.preempt_at,
                    "\"nopreempt\" has no effect with \"state MASTER\"; write \"state BACKUP\" on all nodes");
            out.preempt = true;
        }
        if (out.preempt_delay.count() != 0 && out.starts_as_master) {
            warning(in.preempt_delay_at,
                    "\"preempt_delay\" has no effect with \"state MASTER\"; write \"state BACKUP\"");
            out.preempt_delay = microseconds(0);
        }
    }

    void authentication() {
        if (!in.authentication) return;
        const AuthenticationConf& auth = *in.authentication;
        if (!auth.has_type)
            return warning(auth.position,
                           "\"authentication\" has no \"auth_type\": there is none, as in keepalived");
        if (!auth.password) return reading.error(auth.position, "\"authentication\" has no \"auth_pass\"");
        if (out.version == 3)
            return warning(auth.position,
                           "version 3 of VRRP has no authentication; it is ignored, as keepalived does");
        out.password = *auth.password;
    }

    void source_and_group() {
        if (in.source) {
            out.source = net::IpAddress::parse(in.source->text);
            if (!out.source) {
                reading.error(in.source->position, "\"" + in.source->text + "\" is not an address");
            } else if (out.source->is_v6() != out.v6) {
                reading.error(in.source->position, "\"" + in.source->text + "\" is " + family(!out.v6) +
                                                       ", but " + shown() + " is " + family(out.v6));
            }
        }
        out.multicast_group = out.v6 ? global().group_v6 : global().group_v4;
        if (!in.group) return;
        out.multicast_group = net::IpAddress::parse(in.group->text);
        const auto& group = out.multicast_group;
        if (!group || !group->is_multicast() || group->is_v6() != out.v6) {
            reading.error(in.group->position,
                          "\"" + in.group->text + "\" is not an " + family(out.v6) + " multicast address");
        } else if (out.v6 && (group->bytes()[1] & 0x0fU) != 2) {
            reading.error(in.group->position,
                          "\"" + in.group->text + "\" is not of the link's scope (ffx2::)");
        }
    }

    void peers() {
        if (in.unicast_at && in.peers.empty())
            warning(*in.unicast_at,
                    shown() + " has words about unicast, but no \"unicast_peer\": it uses multicast");
        for (const UnicastPeerConf& conf : in.peers) {
            if (conf.peer.ip.is_v6() != out.v6) {
                reading.error(conf.position, "peer \"" + conf.peer.ip.text() + "\" is " + family(!out.v6) +
                                                 ", but " + shown() + " is " + family(out.v6));
                continue;
            }
            if (out.source == conf.peer.ip)
                warning(conf.position,
                        "peer \"" + conf.peer.ip.text() + "\" is this node's own \"unicast_src_ip\"");
            if (conf.peer.min_ttl > conf.peer.max_ttl)
                reading.error(conf.position,
                              "peer \"" + conf.peer.ip.text() + "\": \"min_ttl\" is more than \"max_ttl\"");
            out.unicast_peers.push_back(conf.peer);
        }
        if (in.peers.empty()) return;
        out.unicast_ttl = static_cast<std::uint8_t>(in.unicast_ttl.value_or(255));
        if (in.group) warning(in.group->position, "\"mcast_dst_ip\" has no effect with \"unicast_peer\"");
        out.multicast_group.reset();
    }

    void virtual_mac() {
        if (!out.virtual_mac) {
            if (in.xmit_base)
                warning(out.position, shown() + ": \"vmac_xmit_base\" has no effect without \"use_vmac\"");
            return;
        }
        out.virtual_mac->adverts_from_base = in.xmit_base;
        if (!in.xmit_base && !out.unicast_peers.empty()) {
            warning(in.virtual_mac_at,
                    "\"use_vmac\" with unicast peers needs \"vmac_xmit_base\"; it is set, as "
                    "keepalived does");
            out.virtual_mac->adverts_from_base = true;
        }
        const std::string& prefix = global().virtual_mac_prefix;
        if (out.virtual_mac->interface.empty() && prefix != "vrrp")
            out.virtual_mac->interface = prefix + (out.v6 ? "6." : ".") + std::to_string(out.id);
        if (out.interface.empty()) reading.error(in.virtual_mac_at, "\"use_vmac\" needs \"interface\"");
    }
};

}  // namespace

vip::VirtualRouter build_router(Reading& reading, const InstanceConf& instance) {
    RouterBuilder builder{reading, instance, instance.router};
    builder.build();
    return std::move(builder.out);
}

}  // namespace hawser::keepalived
