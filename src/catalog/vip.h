// SPDX-License-Identifier: Apache-2.0
#pragma once

// VIPs: addresses that this node has only while it is the active one of a virtual router (VRRP, RFC 9568). The words
// are the RFC's and, where it has none, those of keepalived.conf(5).

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "net/address.h"

namespace hawser::catalog::vip {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Address {
    net::IpAddress ip;
    std::uint8_t prefix_length = 32;           // 0..32, 0..128
    std::string interface;                     // "" = the virtual router's
    std::string label;                         // IPv4 only, at most 15 characters
    std::uint8_t scope = 0;                    // rtnetlink(7): RT_SCOPE_UNIVERSE ...
    std::optional<net::IpAddress> broadcast;   // IPv4
    std::optional<net::IpAddress> peer;        // of a point-to-point address
    bool no_duplicate_detection = false;       // keepalived: -nodad
    bool home = false, manage_temporary = false, no_prefix_route = false, autojoin = false;  // ip-address(8)
    Position position;

    bool operator==(const Address&) const = default;
};

// Routes of the active node.
struct Route {
    enum class Kind : std::uint8_t { unicast, blackhole, unreachable, prohibit } kind = Kind::unicast;
    net::Cidr destination;
    std::optional<net::IpAddress> via, source;
    std::string interface;  // "" = what the kernel finds for `via`
    std::uint8_t scope = 0;
    std::uint32_t table = 254;   // RT_TABLE_MAIN
    std::uint32_t metric = 0;
    bool onlink = false;
    Position position;

    bool operator==(const Route&) const = default;
};

// A program, and as whom it runs. Arguments are passed as they are: no shell.
struct Command {
    std::vector<std::string> arguments;  // [0] is an absolute path once checked; empty = nothing to run
    std::uint32_t user = 0, group = 0;   // ids

    [[nodiscard]] bool empty() const { return arguments.empty(); }
    bool operator==(const Command&) const = default;
};

// What can lower or raise a priority. A weight of 0: while the thing is bad, the virtual router is in the fault state.
// Else, keepalived's rule: a positive weight is added while it is good, a negative one while it is bad.
struct Script {
    std::string name;
    Command command;
    microseconds interval{1'000'000};
    microseconds timeout{0};  // 0 = `interval`
    unsigned rise = 1, fall = 1;
    bool starts_bad = false;  // init_fail
    Position position;

    bool operator==(const Script&) const = default;
};
// A file with a number: number x weight is added; with weight 0 a number other than 0 is bad.
struct File {
    std::string name, path;
    std::optional<std::int32_t> initial;  // written when the daemon starts
    bool overwrite = false;               // also where there is a file
    Position position;

    bool operator==(const File&) const = default;
};
// Good while at least `quorum` and at most `quorum_max` processes of this name run.
struct Process {
    std::string name;
    std::vector<std::string> command;  // [0] the name; the others only where `match` asks for parameters
    enum class Parameters : std::uint8_t { ignored, exact, initial, partial } parameters = Parameters::ignored;
    bool full_command = false;
    unsigned quorum = 1, quorum_max = ~0U;
    microseconds fork_delay{0}, terminate_delay{0};
    Position position;

    bool operator==(const Process&) const = default;
};

template <class What>
struct Tracked {
    std::shared_ptr<const What> what;
    std::int32_t weight = 0;
    bool reverse = false;

    bool operator==(const Tracked& other) const {
        return *what == *other.what && weight == other.weight && reverse == other.reverse;
    }
};
struct TrackedInterface {
    std::string interface;
    std::int32_t weight = 0;
    bool reverse = false;

    bool operator==(const TrackedInterface&) const = default;
};
struct Tracking {
    std::vector<TrackedInterface> interfaces;
    std::vector<Tracked<Script>> scripts;
    std::vector<Tracked<File>> files;
    std::vector<Tracked<Process>> processes;

    bool operator==(const Tracking&) const = default;
};

// Programs that are told of changes. `any` gets four more arguments: INSTANCE or GROUP, the name, the state (MASTER,
// BACKUP, FAULT, STOP, DELETED), the priority.
struct Notify {
    Command master, backup, fault, stop, deleted, any, lower_priority_heard;
    // A virtual router that a reload has taken away is DELETED to them, else at FAULT (keepalived.conf(5)).
    bool says_deleted = false;

    bool operator==(const Notify&) const = default;
};

// Gratuitous ARP (RFC 9568 §8.1.2) and unsolicited Neighbour Advertisements (§8.2.2).
struct Announcing {
    milliseconds delay{5'000};    // of a second burst after taking over; 0 = none
    unsigned repeat = 5;          // packets an address in a burst
    milliseconds refresh{0};      // a burst every so often while active; 0 = never
    unsigned refresh_repeat = 1;
    milliseconds lower_priority_delay{5'000};  // after hearing a lower priority while active
    unsigned lower_priority_repeat = 5;
    microseconds arp_interval{0}, na_interval{0};  // between two packets of a burst on an interface

    bool operator==(const Announcing&) const = default;
};

struct UnicastPeer {
    net::IpAddress ip;
    std::uint8_t min_ttl = 0, max_ttl = 255;  // of what is received from it

    bool operator==(const UnicastPeer&) const = default;
};

// One virtual router on this node (keepalived: vrrp_instance).
struct VirtualRouter {
    std::string name;
    Position position;
    std::string interface;        // "" only with unicast peers
    std::uint8_t id = 0;          // VRID, 1..255
    std::uint8_t version = 3;     // 2 or 3; IPv6 is always 3
    bool v6 = false;              // the family of the adverts and of the first address
    std::uint8_t priority = 100;  // 1..255; 255 = owner
    milliseconds advert_interval{1'000};  // v3: 10..40'950 in steps of 10; v2: whole seconds, 1'000..255'000
    bool starts_as_master = false;        // asks for it at start; with preempt, where the priority allows it
    bool preempt = true;
    microseconds preempt_delay{0};  // 0..1000 s
    bool accept = true;             // packets to the VIP are accepted although this is not the owner
    unsigned down_timer_adverts = 3;  // 1..100
    bool lower_priority_no_advert = false;
    bool higher_priority_advert = false;  // higher_prio_send_advert
    bool check_addresses = true;          // logs adverts whose addresses are others than ours

    struct VirtualMac {
        std::string interface;  // "" = vrrp.ID, vrrp6.ID
        bool adverts_from_base = false;  // vmac_xmit_base
        bool operator==(const VirtualMac&) const = default;
    };
    std::optional<VirtualMac> virtual_mac;  // absent: the interface's own

    std::optional<net::IpAddress> source;  // of adverts; absent = the interface's primary, or link-local, address
    std::vector<UnicastPeer> unicast_peers;  // none: multicast
    std::uint8_t unicast_ttl = 255;
    std::optional<net::IpAddress> multicast_group;  // absent: 224.0.0.18, ff02::12
    std::string password;  // v2 only: auth_type PASS, at most 8 bytes; "" = none
    // v3 over IPv4: RFC 9568 counts the message only, RFC 5798 and keepalived a pseudo-header too. Sent so; both are
    // taken.
    bool pseudo_header_checksum = true;

    std::vector<Address> addresses;  // in the adverts; IPv6: the first is link-local (V-09)
    std::vector<Address> excluded;   // not in the adverts, of any family
    std::vector<Route> routes;  // while active
    bool promote_secondaries = false;
    Announcing announcing;
    Tracking tracking;
    bool track_own_interface = true;  // false: dont_track_primary
    bool track_health = true;         // the lowest priority while this node's gateway cannot serve
    Notify notify;

    bool operator==(const VirtualRouter&) const = default;
};

// Virtual routers that are active, backup or at fault together.
struct SyncGroup {
    std::string name;
    Position position;
    std::vector<std::string> members;  // names of virtual routers
    Tracking tracking;                 // of all its members
    bool keep_weights = false;         // sync_group_tracking_weight; else weights count as 0
    Notify notify;

    bool operator==(const SyncGroup&) const = default;
};

struct Settings {
    std::string router_id;           // for people
    microseconds startup_delay{0};   // vrrp_startup_delay
    bool operator==(const Settings&) const = default;
};

// All VIPs of a configuration.
struct Plan {
    Settings settings;
    std::vector<VirtualRouter> routers;  // in the order of the source
    std::vector<SyncGroup> groups;

    [[nodiscard]] bool empty() const { return routers.empty(); }
    bool operator==(const Plan&) const = default;
};

}  // namespace hawser::catalog::vip
