// SPDX-License-Identifier: Apache-2.0
#pragma once

// keepalived.conf -> VIPs. The reference is keepalived.conf(5) of keepalived 2.2.7; docs/keepalived.md lists
// the keywords.

#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/vip.h"
#include "sources/keepalived/files.h"
#include "sources/keepalived/host.h"

namespace hawser::keepalived {

struct LoadOptions {
    // What "@id" lines are compared with; "" is the first part of the host's name.
    std::string config_id;
    // Users, groups and programs.
    Host host = Host::system();
    Bounds bounds;
};

struct Loaded {
    // Void when the diagnostics have errors.
    catalog::vip::Plan plan;
    // Every file that was read or should have been, and the patterns of includes: what to watch.
    std::vector<std::string> files;
    std::vector<std::string> patterns;
};

// Reads the files one behind the other as one configuration. Everything that is wrong goes to diagnostics:
// errors for what keepalived refuses or leaves out and for what hawser does not support, warnings for what
// acts otherwise than an operator may expect, notes for what was read and has no effect.
Loaded load(const std::vector<std::string>& files, const LoadOptions& options,
            catalog::Diagnostics& diagnostics);

// The same for one text; `name` stands in positions, relative includes start at the working directory.
Loaded load_text(std::string_view text, const std::string& name, const LoadOptions& options,
                 catalog::Diagnostics& diagnostics);

}  // namespace hawser::keepalived
