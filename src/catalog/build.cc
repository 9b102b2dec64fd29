// SPDX-License-Identifier: Apache-2.0
#include "catalog/build.h"

#include <algorithm>
#include <map>

#include "catalog/allocation.h"
#include "catalog/build_groups.h"
#include "catalog/build_listeners.h"
#include "catalog/build_vips.h"
#include "catalog/build_services.h"
#include "catalog/controllers.h"
#include "catalog/ingress.h"

namespace hawser::catalog {
namespace {

// This node: by its name, else the Node object that has one of this machine's addresses.
NodeIdentity identify_node(const Objects& objects, const BuildOptions& options) {
    NodeIdentity out{options.node_name, ""};
    const auto has_our_address = [&](const Node& node) {
        return std::any_of(
            node.status.addresses.begin(), node.status.addresses.end(), [&](const NodeAddress& a) {
                const auto ip = net::IpAddress::parse(a.address);
                return ip && !ip->is_loopback() &&
                       std::find(options.node_addresses.begin(), options.node_addresses.end(), *ip) !=
                           options.node_addresses.end();
            });
    };
    for (const auto& n : objects.nodes) {
        if (out.name.empty() && has_our_address(n.object)) out.name = n.object.metadata.name;
        if (n.object.metadata.name != out.name || out.name.empty()) continue;
        const auto zone = n.object.metadata.labels.find("topology.kubernetes.io/zone");
        if (zone != n.object.metadata.labels.end()) out.zone = zone->second;
    }
    return out;
}

std::vector<Sourced<Service>> sorted_services(const Objects& objects, Diagnostics& diagnostics) {
    std::vector<Sourced<Service>> out = objects.services;
    const auto key = [](const Sourced<Service>& s) {
        return std::tie(s.object.metadata.namespace_, s.object.metadata.name);
    };
    std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    for (std::size_t i = 1; i < out.size(); ++i)
        if (key(out[i - 1]) == key(out[i]))
            diagnostics.error(out[i].position, "Service " + out[i].object.metadata.key() +
                                                   " is given twice: first at " + out[i - 1].position.text());
    return out;
}

// S-15: without anybody who writes the status, the address that is asked for is the one that is given.
void grant_requested_address(Service& service) {
    if (service.spec.type != "LoadBalancer" || service.spec.loadBalancerIP.empty()) return;
    if (service.spec.loadBalancerClass || !service.status.loadBalancer.ingress.empty()) return;
    service.status.loadBalancer.ingress.push_back({service.spec.loadBalancerIP, "", "VIP"});
}

std::vector<ServiceModel> make_models(std::vector<Sourced<Service>> services, const EndpointIndex& index) {
    std::vector<ServiceModel> out;
    out.reserve(services.size());
    for (auto& s : services) {
        grant_requested_address(s.object);
        ServiceModel model;
        model.endpoints = index.endpoints_of(s.object);
        model.object = std::make_shared<const Service>(std::move(s.object));
        model.position = s.position;
        out.push_back(std::move(model));
    }
    return out;
}

ServiceView to_view(const ServiceModel& model, const Snapshot* previous) {
    ServiceView view;
    view.object = model.object;
    if (previous != nullptr) {
        const auto old =
            std::lower_bound(previous->services.begin(), previous->services.end(), model.object->metadata,
                             [](const ServiceView& v, const ObjectMeta& m) {
                                 return std::tie(v.object->metadata.namespace_, v.object->metadata.name) <
                                        std::tie(m.namespace_, m.name);
                             });
        if (old != previous->services.end() && *old->object == *model.object) view.object = old->object;
    }
    view.position = model.position;
    for (const ServiceEndpoint& e : model.endpoints)
        view.endpoints.push_back(
            {e.address, e.port_name, e.protocol, e.pod, e.node, e.ready, e.serving, e.terminating});
    return view;
}

}  // namespace

BuildResult build(const Objects& objects, const BuildOptions& options,
                  const std::shared_ptr<const Snapshot>& previous, Allocations& allocations) {
    BuildResult result;
    Diagnostics& diagnostics = result.diagnostics;
    Allocations next_allocations = allocations;
    std::vector<Sourced<Service>> services = sorted_services(objects, diagnostics);
    allocate(services, options, next_allocations, diagnostics);

    const NodeIdentity node = identify_node(objects, options);
    const EndpointIndex index(objects);
    index.warn_of_pods_without_condition(diagnostics);
    const std::vector<ServiceModel> models = make_models(std::move(services), index);

    auto snapshot = std::make_shared<Snapshot>();
    GroupShelf shelf(previous.get());
    for (const ServiceModel& model : models) {
        snapshot->services.push_back(to_view(model, previous.get()));
        for (Frontend& f : make_frontends(model, options, node, shelf, diagnostics))
            snapshot->frontends.push_back(std::move(f));
    }
    std::sort(snapshot->frontends.begin(), snapshot->frontends.end(),
              [](const Frontend& a, const Frontend& b) { return a.id < b.id; });

    const auto ingress = compile_ingress(objects, options, models, node, shelf, diagnostics);
    snapshot->vips = std::make_shared<const vip::Plan>(build_vips(objects, options, node.name, diagnostics));
    snapshot->listeners = merge_listeners(objects.listeners, ingress, options, shelf, diagnostics);
    check_addresses(*snapshot, diagnostics);
    if (diagnostics.has_errors()) return result;

    snapshot->number = previous ? previous->number + 1 : 1;
    snapshot->created = std::chrono::system_clock::now();
    snapshot->node_addresses = options.node_addresses;
    snapshot->remarks = objects.remarks;
    snapshot->remarks.append(diagnostics);
    allocations = std::move(next_allocations);
    result.snapshot = std::move(snapshot);
    return result;
}

}  // namespace hawser::catalog
