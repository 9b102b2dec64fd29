// SPDX-License-Identifier: Apache-2.0
// Gratuitous ARP and unsolicited Neighbour Advertisements.

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

using A = AnnouncingConf;
using G = GlobalConf;

void set_refresh(Reading& reading, const Call& call) {
    set_whole_seconds<&A::refresh>(reading, call);
    if (call.scope.instance != nullptr) call.scope.instance->refresh_at = call.position();
}

void set_lower_repeat(Reading& reading, const Call& call) {
    set_number<&A::lower_priority_repeat, 0, 255>(reading, call);
    if (call.scope.instance != nullptr) call.scope.instance->lower_repeat_at = call.position();
}

void read_garp_group(Reading& reading, const Call& call) {
    GarpGroupConf group;
    Scope scope;
    scope.kind = where::garp_group;
    scope.garp_group = &group;
    read_block(reading, *call.block, scope);
    if (group.interfaces.empty())
        return reading.error(call.position(), "\"garp_group\" has neither \"interface\" nor \"interfaces\"");
    reading.conf.garp_groups.push_back(std::move(group));
}

void add_interface(Reading& reading, const Call& call, const Word& word) {
    if (!is_interface_name(word.text))
        return reading.error(word.position, "\"" + word.text + "\" cannot be the name of an interface");
    call.scope.garp_group->interfaces.push_back(word.text);
}

void read_interface(Reading& reading, const Call& call) { add_interface(reading, call, call.words[1]); }

void read_interfaces(Reading& reading, const Call& call) {
    for (const auto& item : items_of(reading, call))
        for (const Word& word : item) add_interface(reading, call, word);
}

constexpr std::string_view seconds = "seconds, a whole number", count = "a number from 1 to 255";
constexpr std::uint32_t global = where::global, instance = where::instance;

constexpr Command commands[] = {
    one("vrrp_garp_master_delay", global, set_whole_seconds<&A::delay>, seconds),
    one("vrrp_garp_master_repeat", global, set_number<&A::repeat, 1, 255>, count),
    one("vrrp_garp_master_refresh", global, set_refresh, seconds),
    one("vrrp_garp_master_refresh_repeat", global, set_number<&A::refresh_repeat, 1, 255>, count),
    one("vrrp_garp_lower_prio_delay", global, set_whole_seconds<&A::lower_priority_delay>, seconds),
    one("vrrp_garp_lower_prio_repeat", global, set_lower_repeat, "a number from 0 to 255"),
    one("vrrp_garp_interval", global, set_seconds<&G::arp_interval, 1000>, "seconds"),
    one("vrrp_gna_interval", global, set_seconds<&G::na_interval, 1000>, "seconds"),
    words("vrrp_min_garp", global, set_bool<&G::least_arp>, is_bool, 0, 1),
    one("garp_master_delay", instance, set_whole_seconds<&A::delay>, seconds),
    one("garp_master_repeat", instance, set_number<&A::repeat, 1, 255>, count),
    one("garp_master_refresh", instance, set_refresh, seconds),
    one("garp_master_refresh_repeat", instance, set_number<&A::refresh_repeat, 1, 255>, count),
    one("garp_lower_prio_delay", instance, set_whole_seconds<&A::lower_priority_delay>, seconds),
    one("garp_lower_prio_repeat", instance, set_lower_repeat, "a number from 0 to 255"),
    block("garp_group", where::top, read_garp_group, "", 0),
    one("garp_interval", where::garp_group, set_seconds<&GarpGroupConf::arp_interval, 1000>, "seconds"),
    one("gna_interval", where::garp_group, set_seconds<&GarpGroupConf::na_interval, 1000>, "seconds"),
    one("interface", where::garp_group, read_interface, "an interface"),
    block("interfaces", where::garp_group, read_interfaces, "", 0),
};

}  // namespace

std::span<const Command> announcing_commands() { return commands; }

}  // namespace hawser::keepalived
