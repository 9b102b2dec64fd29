// SPDX-License-Identifier: Apache-2.0
// Programs that are told of changes; sync groups.

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

template <std::optional<CommandConf> NotifyConf::*Member>
void read_notify(Reading& reading, const Call& call) {
    NotifyConf& notify = call.scope.notify();
    if (Member == &NotifyConf::deleted) notify.says_deleted = true;
    if (call.count() == 0) return;  // notify_deleted alone
    auto& slot = notify.*Member;
    if (slot)
        return reading.warning(call.position(), "\"" + call.name() +
                                                    "\" is given twice; the first one counts, as in "
                                                    "keepalived");
    CommandConf command;
    command.arguments = split_command(call.text(1));
    command.position = call.position(1);
    if (command.arguments.empty()) return reading.invalid(call, 1);
    if (call.count() >= 2) command.as = RunAs{call.words[2], std::nullopt};
    if (call.count() == 3) command.as->group = call.words[3];
    slot = std::move(command);
}

void read_sync_group(Reading& reading, const Call& call) {
    auto group = std::make_unique<GroupConf>();
    group->name = call.text(1);
    group->position = call.position();
    for (const auto& other : reading.conf.groups)
        if (other->name == group->name)
            reading.error(call.position(1), "vrrp_sync_group \"" + group->name +
                                                "\" is defined twice, first at " + other->position.text());
    Scope scope;
    scope.kind = where::group;
    scope.group = group.get();
    read_block(reading, *call.block, scope);
    reading.conf.groups.push_back(std::move(group));
}

void read_members(Reading& reading, const Call& call) {
    for (const auto& item : items_of(reading, call))
        for (const Word& word : item) call.scope.group->members.push_back(word);
}

using N = NotifyConf;
constexpr std::uint32_t both = where::instance | where::group;
constexpr std::string_view program = "a program with its arguments in quotes, and a user and a group";

constexpr Command notify(std::string_view name, Handler handler, std::uint8_t least = 1) {
    return {name, both, handler, program, least, 3, false, Repeat::adds};
}

constexpr Command commands[] = {
    notify("notify_master", read_notify<&N::master>),
    notify("notify_backup", read_notify<&N::backup>),
    notify("notify_fault", read_notify<&N::fault>),
    notify("notify_stop", read_notify<&N::stop>),
    notify("notify_deleted", read_notify<&N::deleted>, 0),
    notify("notify", read_notify<&N::any>),
    {"notify_master_rx_lower_pri", where::instance, read_notify<&N::lower_priority_heard>, program, 1, 3,
     false, Repeat::adds},
    block("vrrp_sync_group", where::top, read_sync_group, "a name", 1),
    block("group", where::group, read_members, "", 0),
    words("sync_group_tracking_weight", where::group, set_flag<&GroupConf::keep_weights>, "", 0, 0),
};

}  // namespace

std::span<const Command> notify_commands() { return commands; }

}  // namespace hawser::keepalived
