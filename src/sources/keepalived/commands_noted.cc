// SPDX-License-Identifier: Apache-2.0
// What is read and has no effect: a note tells why.

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

void note(Reading& reading, const Call& call) {
    reading.note(call.position(),
                 "\"" + call.name() + "\" has no effect: " + std::string(call.command.expects));
}

// "off" asks for nothing.
void note_unless_off(Reading& reading, const Call& call) {
    if (call.count() == 0 || parse_bool(call.text(1)) != false) note(reading, call);
}

constexpr std::string_view mail = "hawser sends no mail",
                           process = "a matter of keepalived's processes",
                           scheduling = "how keepalived's processes are scheduled",
                           lvs = "hawser has services of its own, no IPVS",
                           buffers = "a matter of keepalived's sockets",
                           files = "a matter of keepalived's files",
                           reload =
                               "hawser watches its files, and a bad configuration never comes into force",
                           monitoring = "hawser has metrics instead of SNMP and D-Bus",
                           firewall = "hawser needs no firewall rules of others for it",
                           bfd = "there is no BFD";

constexpr Command noted(std::string_view name, std::uint32_t where, std::string_view why) {
    return {name, where, note, why, 0, Command::any, false, Repeat::adds};
}
constexpr std::uint32_t top = where::top, global = where::global, instance = where::instance,
                        group = where::group;

constexpr Command commands[] = {
    noted("notification_email", global, mail),
    noted("notification_email_from", global, mail),
    noted("smtp_server", global, mail),
    noted("smtp_helo_name", global, mail),
    noted("smtp_connect_timeout", global, mail),
    noted("smtp_alert", global | instance | group, mail),
    noted("smtp_alert_vrrp", global, mail),
    noted("smtp_alert_checker", global, mail),
    noted("no_email_faults", global, mail),
    noted("no_checker_emails", global, mail),

    noted("instance", top, process),
    noted("use_pid_dir", top, process),
    noted("child_wait_time", top, process),
    noted("process_names", global, process),
    noted("process_name", global, process),
    noted("vrrp_process_name", global, process),
    noted("checker_process_name", global, process),
    noted("bfd_process_name", global, process),
    noted("vrrp_check_unicast_src", global, "others than the peers are never believed"),
    noted("vrrp_priority", global, scheduling),
    noted("vrrp_no_swap", global, scheduling),
    noted("vrrp_rt_priority", global, scheduling),
    noted("vrrp_rlimit_rttime", global, scheduling),
    noted("vrrp_cpu_affinity", global, scheduling),
    noted("max_auto_priority", global, scheduling),
    noted("min_auto_priority_delay", global, scheduling),
    noted("checker_priority", global, lvs),
    noted("checker_no_swap", global, lvs),
    noted("checker_rt_priority", global, lvs),
    noted("checker_rlimit_rttime", global, lvs),
    noted("checker_cpu_affinity", global, lvs),
    noted("checker_log_all_failures", global, lvs),
    noted("rs_init_notifies", global, lvs),
    noted("lvs_timeouts", global, lvs),
    noted("lvs_flush", global, lvs),
    noted("lvs_flush_on_stop", global, lvs),
    noted("lvs_netlink_cmd_rcv_bufs", global, lvs),
    noted("lvs_netlink_cmd_rcv_bufs_force", global, lvs),
    noted("lvs_netlink_monitor_rcv_bufs", global, lvs),
    noted("lvs_netlink_monitor_rcv_bufs_force", global, lvs),
    noted("bfd_priority", global, bfd),
    noted("bfd_no_swap", global, bfd),
    noted("bfd_rt_priority", global, bfd),
    noted("bfd_rlimit_rttime", global, bfd),
    noted("bfd_cpu_affinity", global, bfd),

    noted("vrrp_netlink_cmd_rcv_bufs", global, buffers),
    noted("vrrp_netlink_cmd_rcv_bufs_force", global, buffers),
    noted("vrrp_netlink_monitor_rcv_bufs", global, buffers),
    noted("vrrp_netlink_monitor_rcv_bufs_force", global, buffers),
    noted("process_monitor_rcv_bufs", global, buffers),
    noted("process_monitor_rcv_bufs_force", global, buffers),
    noted("vrrp_rx_bufs_policy", global, buffers),
    noted("vrrp_rx_bufs_multiplier", global, buffers),
    noted("kernel_rx_buf_size", instance, buffers),

    noted("tmp_config_directory", global, files),
    noted("config_save_dir", global, files),
    noted("umask", global, files),
    noted("data_use_instance", global, files),
    noted("include_check", global, "write includer, includem, includew, includeb or includea"),
    noted("random_seed", global, "${_RANDOM} is not supported"),
    noted("reload_check_config", global, reload),
    noted("reload_time_file", global, reload),
    noted("reload_repeat", global, reload),
    noted("reload_file", global, reload),
    noted("dynamic_interfaces", global, "interfaces may come and go in any case"),

    noted("snmp_socket", global, monitoring),
    noted("enable_snmp_keepalived", global, monitoring),
    noted("enable_snmp_vrrp", global, monitoring),
    noted("enable_snmp_checker", global, monitoring),
    noted("enable_snmp_rfc", global, monitoring),
    noted("enable_snmp_rfcv2", global, monitoring),
    noted("enable_snmp_rfcv3", global, monitoring),
    noted("enable_traps", global, monitoring),
    noted("enable_dbus", global, monitoring),
    noted("dbus_service_name", global, monitoring),
    noted("log_unknown_vrids", global, "adverts of other VRIDs are not listened to"),

    noted("nftables", global, firewall),
    noted("nftables_priority", global, firewall),
    noted("nftables_counters", global, firewall),
    noted("nftables_ifindex", global, firewall),
    noted("nftables_ipvs", global, lvs),
    noted("nftables_ipvs_priority", global, lvs),
    noted("nftables_ipvs_start_fwmark", global, lvs),
    noted("vrrp_iptables", global, firewall),
    noted("vrrp_ipsets", global, firewall),
    noted("namespace_with_ipsets", top, firewall),
    noted("disable_local_igmp", global, firewall),
    noted("vmac_addr_prefix", global, "\"use_vmac_addr\" is not supported"),

    noted("debug", instance, "hawser has --log-level"),
    noted("global_tracking", group, "deprecated; a member's fault is a fault of all members in any case"),
    {"vrrp_notify_priority_changes", global, note_unless_off, "there are no notify FIFOs", 0, 1, false,
     Repeat::adds},
    {"notify_priority_changes", instance | group, note_unless_off, "there are no notify FIFOs", 0, 1, false,
     Repeat::adds},
    {"fifo_write_vrrp_states_on_reload", global, note, "there are no notify FIFOs", 0, 0, false,
     Repeat::adds},
};

}  // namespace

std::span<const Command> noted_commands() { return commands; }

}  // namespace hawser::keepalived
