// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/objects.h"
#include "control/file_watch.h"
#include "sources/keepalived/load.h"
#include "sources/manifest/manifest.h"
#include "sources/nginx/load.h"

namespace hawser::control {

// Where the configuration stands.
struct Inputs {
    std::vector<std::string> manifests;  // files and directories
    std::vector<std::string> nginx;      // nginx.conf, or fragments of its http block
    std::vector<std::string> keepalived;  // keepalived.conf
    manifest::LoadOptions manifest_options;
    keepalived::LoadOptions keepalived_options;
    nginx::LoadOptions nginx_options;
};

// What the sources say, all of them together.
struct ReadResult {
    catalog::Objects objects;          // not to be used when diagnostics.has_errors()
    catalog::Diagnostics diagnostics;  // every error of every source
    WatchList watch;                   // also what is missing, or was wrong
    timespec began{};                  // FileWatch::changed_clock()
};

// Reads every file. Blocks: on the disk, and on the resolver for names in nginx.conf. Any thread.
ReadResult read(const Inputs& inputs);

}  // namespace hawser::control
