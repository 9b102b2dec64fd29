// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "catalog/objects.h"
#include "sources/manifest/path.h"

namespace hawser::manifest {

// What the API server would refuse in one object by itself (k8s.io/kubernetes pkg/apis/*/validation), and the
// defaults that it would set. `path` is the object's root. What only all objects together show (numbers given
// twice) is the catalog's.
struct ValidationOptions {
    std::int32_t node_port_min = 30000, node_port_max = 32767;  // --service-node-port-range
};

void validate(catalog::Service& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::EndpointSlice& object, const Path& path, const ValidationOptions& options,
              Report& report);
void validate(catalog::Endpoints& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::Pod& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::Node& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::Secret& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::Ingress& object, const Path& path, const ValidationOptions& options, Report& report);
void validate(catalog::IngressClass& object, const Path& path, const ValidationOptions& options,
              Report& report);

void validate(catalog::VIP& object, const Path& path, const ValidationOptions& options, Report& report);

}  // namespace hawser::manifest
