// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/checks.h"
#include "sources/manifest/names.h"
#include "sources/manifest/validate.h"

namespace hawser::manifest {
namespace {

void check_backend(const catalog::IngressBackend& backend, const Path& path, Report& report) {
    const Path service(path, "service"), resource(path, "resource");
    if (resource.present() && backend.service) report.error(path, "service and resource may not both be set");
    if (!backend.service) {
        if (!resource.present()) report.error(path, "service or resource is required");
        return;
    }
    const Path name(service, "name"), port(service, "port"), number(port, "number"), port_name(port, "name");
    if (backend.service->name.empty())
        require(name, false, report);
    else
        refuse(name, backend.service->name, check_dns_label(backend.service->name), report);
    if (number.present() && !backend.service->port.name.empty())
        report.error(port, "name and number may not both be set");
    if (number.present())
        in_range(number, backend.service->port.number, 1, 65535, report);
    else if (backend.service->port.name.empty())
        report.error(port, "name or number is required");
    else
        refuse(port_name, backend.service->port.name, check_dns_label(backend.service->port.name), report);
}

void check_path(const catalog::HTTPIngressPath& entry, const Path& at, Report& report) {
    const Path path(at, "path"), type(at, "pathType");
    if (!type.present())
        require(type, false, report);
    else
        one_of(type, entry.pathType, {"Exact", "Prefix", "ImplementationSpecific"}, report);
    const bool strict = entry.pathType == "Exact" || entry.pathType == "Prefix";
    if ((strict || !entry.path.empty()) && !entry.path.starts_with('/'))
        report.error(path, "\"" + entry.path + "\" must begin with \"/\"");
    if (strict) {
        for (const std::string_view bad : {"//", "/./", "/../", "%2f", "%2F"})
            if (entry.path.find(bad) != std::string::npos)
                report.error(path, "\"" + entry.path + "\" must not contain \"" + std::string(bad) + "\"");
        for (const std::string_view bad : {"/..", "/."})
            if (entry.path.ends_with(bad))
                report.error(path, "\"" + entry.path + "\" must not end with \"" + std::string(bad) + "\"");
    }
    check_backend(entry.backend, Path(at, "backend"), report);
}

void check_host(const std::string& host, const Path& path, Report& report) {
    if (net::IpAddress::parse(host))
        return report.error(path, "\"" + host + "\" must be a name, not an address");
    refuse(path, host,
           host.find('*') != std::string::npos ? check_wildcard_host(host) : check_dns_subdomain(host),
           report);
}

}  // namespace

void validate(catalog::Ingress& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, true, report);
    const Path spec(root, "spec"), rules(spec, "rules"), tls(spec, "tls");
    if (!object.spec.defaultBackend && object.spec.rules.empty())
        report.error(spec, "defaultBackend or rules is required");
    if (object.spec.ingressClassName)
        refuse(Path(spec, "ingressClassName"), *object.spec.ingressClassName,
               check_dns_subdomain(*object.spec.ingressClassName), report);
    if (object.spec.defaultBackend)
        check_backend(*object.spec.defaultBackend, Path(spec, "defaultBackend"), report);
    for (std::size_t i = 0; i < object.spec.rules.size(); ++i) {
        const catalog::IngressRule& rule = object.spec.rules[i];
        const Path at(rules, i), http(at, "http"), paths(http, "paths");
        if (!rule.host.empty()) check_host(rule.host, Path(at, "host"), report);
        if (!rule.http) continue;
        if (rule.http->paths.empty()) require(paths, false, report);
        for (std::size_t p = 0; p < rule.http->paths.size(); ++p)
            check_path(rule.http->paths[p], Path(paths, p), report);
    }
    for (std::size_t i = 0; i < object.spec.tls.size(); ++i) {
        const Path at(tls, i), hosts(at, "hosts");
        for (std::size_t h = 0; h < object.spec.tls[i].hosts.size(); ++h)
            check_host(object.spec.tls[i].hosts[h], Path(hosts, h), report);
    }
}

void validate(catalog::IngressClass& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, false, report);
    const Path spec(root, "spec"), controller(spec, "controller");
    if (object.spec.controller.empty()) return require(controller, false, report);
    if (object.spec.controller.size() > 250) report.error(controller, "must be no more than 250 characters");
    if (object.spec.controller.find('/') == std::string::npos)
        report.error(controller,
                     "\"" + object.spec.controller + "\" must be a domain and a path: example.com/name");
}

}  // namespace hawser::manifest
