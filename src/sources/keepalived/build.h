// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was written -> the plan: defaults, references, and the rules between settings.

#include "sources/keepalived/command.h"

namespace hawser::keepalived {

vip::Plan build_plan(Reading& reading);

// ---- the parts of it

// A virtual router without tracking and notifying.
vip::VirtualRouter build_router(Reading& reading, const InstanceConf& instance);
// What strict mode forbids is told and undone. The router has everything but its strictness.
void apply_strict_mode(Reading& reading, const InstanceConf& instance, vip::VirtualRouter& router);
vip::Announcing build_announcing(const Conf& conf, const AnnouncingConf& own, const std::string& interface);
// Two instances that would be taken for one on the wire; an address in two instances.
void check_instances_together(Reading& reading, const std::vector<vip::VirtualRouter>& routers);

}  // namespace hawser::keepalived
