// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "catalog/build.h"
#include "catalog/build_groups.h"

namespace hawser::catalog {

// Joins the listeners of the sources with the Ingress servers, which are served at options.ingress_listen:
// one listener per address, sorted by address. The same server name twice at an address, from both, is an
// error. Every endpoint group goes through the shelf.
std::vector<http::Listener> merge_listeners(
    const std::vector<http::Listener>& sources,
    const std::vector<std::shared_ptr<const http::VirtualServer>>& ingress, const BuildOptions& options,
    GroupShelf& shelf, Diagnostics& diagnostics);

// An address, port and protocol that is claimed twice: by two services, or by a service and a listener.
void check_addresses(const Snapshot& snapshot, Diagnostics& diagnostics);

}  // namespace hawser::catalog
