// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "catalog/build.h"
#include "catalog/build_groups.h"
#include "catalog/build_services.h"

namespace hawser::catalog {

// IngressClass.spec.controller of the classes that are ours.
inline constexpr const char* ingress_controller = "hawser.io/ingress";

// The Ingress objects of our class as HTTP servers, first the one for all other hosts (it has
// locations only if a rule has no host, and answers 404 else), then one per host. Empty when no Ingress is
// ours or options.ingress_listen is empty. What cannot be served as asked is a warning; a path whose service
// or port is missing answers 503.
std::vector<std::shared_ptr<const http::VirtualServer>> compile_ingress(
    const Objects& objects, const BuildOptions& options, const std::vector<ServiceModel>& services,
    const NodeIdentity& node, GroupShelf& shelf, Diagnostics& diagnostics);

}  // namespace hawser::catalog
