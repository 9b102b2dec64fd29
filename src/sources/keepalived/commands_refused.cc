// SPDX-License-Identifier: Apache-2.0
// What hawser does not support, and what would be lost in silence otherwise.

#include "sources/keepalived/command.h"

namespace hawser::keepalived {

namespace {

void refuse(Reading& reading, const Call& call) {
    const std::string why(call.command.expects);
    reading.error(call.position(),
                  "\"" + call.name() + "\" is not supported" + (why.empty() ? "" : ": " + why));
}

constexpr Command refused(std::string_view name, std::uint32_t where, std::string_view why = "") {
    return {name, where, refuse, why, 0, Command::any, false, Repeat::adds};
}
constexpr std::uint32_t top = where::top, global = where::global, instance = where::instance,
                        group = where::group;
constexpr std::string_view
    lvs = "write a Service instead",
    fifo = "write \"notify\" instead",
    stays = "addresses, routes and rules that stay belong to the machine's network configuration",
    linkbeat = "the kernel tells when a link goes", ns = "run hawser in the namespace";

constexpr Command commands[] = {
    refused("virtual_server", top, lvs),
    refused("virtual_server_group", top, lvs),
    refused("SSL", top, lvs),
    refused("lvs_sync_daemon", global, lvs),
    refused("lvs_sync_daemon_interface", instance, lvs),
    refused("lvs_notify_fifo", global, fifo),
    refused("lvs_notify_fifo_script", global, fifo),
    refused("bfd_instance", top),
    refused("track_bfd", instance | group),
    refused("static_ipaddress", top, stays),
    refused("static_routes", top, stays),
    refused("static_rules", top, stays),
    refused("track_group", top, stays),
    refused("linkbeat_interfaces", top, linkbeat),
    refused("linkbeat_use_polling", top | instance, linkbeat),
    refused("interface_up_down_delays", top),
    refused("net_namespace", top, ns),
    refused("net_namespace_ipvs", top, ns),
    refused("startup_script", global, "a unit of systemd can run it"),
    refused("startup_script_timeout", global),
    refused("shutdown_script", global, "a unit of systemd can run it"),
    refused("shutdown_script_timeout", global),
    refused("notify_fifo", global, fifo),
    refused("notify_fifo_script", global, fifo),
    refused("vrrp_notify_fifo", global, fifo),
    refused("vrrp_notify_fifo_script", global, fifo),
    refused("vrrp_garp_extra_if", global),
    refused("garp_extra_if", instance),
    refused("use_ipvlan", instance),
    refused("use_vmac_addr", instance),
    refused("vrf", instance),
    refused("virtual_rules", instance),
    refused("track_src_ip", instance),
    refused("unicast_fault_no_peer", instance, "without peers an instance uses multicast"),
    refused("old_unicast_checksum", instance),
    refused("auth_hmac", instance),
};

}  // namespace

std::span<const Command> refused_commands() { return commands; }

}  // namespace hawser::keepalived
