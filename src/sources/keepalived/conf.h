// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was written, before defaults, references and the rules between settings.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/vip.h"
#include "sources/keepalived/lexer.h"

namespace hawser::keepalived {

namespace vip = catalog::vip;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// `user` and `group` words of a script.
struct RunAs {
    Word user;
    std::optional<Word> group;
};

struct CommandConf {
    std::vector<std::string> arguments;
    std::optional<RunAs> as;
    catalog::Position position;
};

// Of gratuitous ARP, in global_defs and in an instance.
struct AnnouncingConf {
    std::optional<milliseconds> delay, refresh, lower_priority_delay;
    std::optional<unsigned> repeat, refresh_repeat, lower_priority_repeat;
};

struct GlobalConf {
    vip::Settings settings;
    std::optional<RunAs> script_user;
    bool script_security = false;
    bool strict = false, skip_check_adv_addr = false, least_arp = false;
    std::optional<bool> lower_priority_no_advert, higher_priority_advert;
    std::optional<unsigned> version, down_timer_adverts;
    std::optional<net::IpAddress> group_v4, group_v6;
    std::optional<std::string> default_interface;
    std::string virtual_mac_prefix = "vrrp";
    AnnouncingConf announcing;
    microseconds arp_interval{0}, na_interval{0};
};

struct ScriptConf {
    std::string name;
    catalog::Position position;
    std::optional<CommandConf> command;
    std::optional<RunAs> as;
    std::optional<std::int64_t> interval, timeout, rise, fall;
    std::int32_t weight = 0;
    bool reverse = false, starts_bad = false;
};
struct FileConf {
    vip::File file;
    std::int32_t weight = 1;
    bool reverse = false;
};
struct ProcessConf {
    vip::Process process;
    std::int32_t weight = 0;  // the manual says 1, keepalived 2.2.7 takes 0
    bool reverse = false;
};

// A line of track_interface, track_script, ...
struct TrackConf {
    Word name;
    std::optional<std::int32_t> weight;
    std::optional<bool> reverse;
};
struct TrackingConf {
    std::vector<TrackConf> interfaces, scripts, files, processes;
};

struct NotifyConf {
    std::optional<CommandConf> master, backup, fault, stop, deleted, any, lower_priority_heard;
    bool says_deleted = false;  // notify_deleted is given, with a program or without
};

struct AddressConf {
    vip::Address address;
    bool has_length = false;
};

struct AuthenticationConf {
    std::optional<std::string> password;
    bool has_type = false;
    catalog::Position position;
};

struct UnicastPeerConf {
    vip::UnicastPeer peer;
    catalog::Position position;
};

struct InstanceConf {
    vip::VirtualRouter router;  // what needs no default of elsewhere
    std::optional<Word> interface, source, group;
    std::optional<unsigned> id, version, down_timer_adverts, unicast_ttl;
    std::optional<microseconds> advert_interval;
    catalog::Position id_at, version_at, advert_interval_at, preempt_at, preempt_delay_at, state_at,
        priority_at, accept_at, virtual_mac_at;
    std::optional<bool> accept, strict, skip_check_adv_addr, checksum_as_v2, lower_priority_no_advert, higher_priority_advert;
    bool native_v6 = false, xmit_base = false;
    AnnouncingConf announcing;
    catalog::Position refresh_at, lower_repeat_at, lower_no_advert_at, higher_advert_at;
    std::optional<AuthenticationConf> authentication;
    std::vector<UnicastPeerConf> peers;
    std::optional<catalog::Position> unicast_at;  // the first word about unicast
    std::vector<AddressConf> addresses, excluded;
    TrackingConf tracking;
    NotifyConf notify;
};

struct GroupConf {
    std::string name;
    catalog::Position position;
    std::vector<Word> members;
    TrackingConf tracking;
    NotifyConf notify;
    bool keep_weights = false;
};

// Pacing of announcements on some interfaces.
struct GarpGroupConf {
    std::vector<std::string> interfaces;
    std::optional<microseconds> arp_interval, na_interval;
};

struct Conf {
    GlobalConf global;
    std::vector<std::unique_ptr<ScriptConf>> scripts;
    std::vector<std::unique_ptr<FileConf>> files;
    std::vector<std::unique_ptr<ProcessConf>> processes;
    std::vector<std::unique_ptr<InstanceConf>> instances;
    std::vector<std::unique_ptr<GroupConf>> groups;
    std::vector<GarpGroupConf> garp_groups;
};

}  // namespace hawser::keepalived
