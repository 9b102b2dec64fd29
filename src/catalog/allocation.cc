// SPDX-License-Identifier: Apache-2.0
#include "catalog/allocation.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

namespace hawser::catalog {
namespace {

// FNV-1a, 64 bit: the same on every machine and in every version, unlike std::hash.
std::uint64_t stable_hash(std::string_view text) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    // FNV's low bits are weak for short texts; one round of mixing spreads them.
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdULL;
    return hash ^ (hash >> 33);
}

bool wants_cluster_ip(const ServiceSpec& spec) {
    return spec.type != "ExternalName" && spec.clusterIP != "None";
}

bool wants_node_ports(const ServiceSpec& spec) {
    return spec.type == "NodePort" ||
           (spec.type == "LoadBalancer" && spec.allocateLoadBalancerNodePorts.value_or(true));  // S-16
}

// IPv4 or IPv6 plus an offset.
net::IpAddress add(const net::IpAddress& base, std::uint64_t offset) {
    if (base.is_v4()) return net::IpAddress::v4(base.v4_host_order() + static_cast<std::uint32_t>(offset));
    auto bytes = base.bytes();
    for (std::size_t i = bytes.size(); i-- > 0 && offset != 0;) {
        offset += bytes[i];
        bytes[i] = static_cast<std::uint8_t>(offset & 0xFF);
        offset >>= 8;
    }
    return net::IpAddress::v6(bytes);
}

// How many addresses of a range may be handed out: not the first, not .1 (the API server's own Service), not
// the last. At most 2^20, which is what Kubernetes uses of a larger IPv6 range.
std::uint64_t usable_addresses(const net::Cidr& range) {
    const int host_bits = (range.v4 ? 32 : 128) - range.bits;
    const std::uint64_t size = host_bits >= 20 ? (1ULL << 20) : (1ULL << host_bits);
    return size < 4 ? 0 : size - 3;
}

class Allocator {
  public:
    Allocator(std::vector<Sourced<Service>>& services, const BuildOptions& options, Allocations& memory,
              Diagnostics& diagnostics)
        : services_(services), options_(options), memory_(memory), diagnostics_(diagnostics) {}

    void run() {
        for (auto& s : services_) decide_families(s);
        for (auto& s : services_) reserve_explicit(s);
        for_each_missing(&Allocator::take_remembered);
        for_each_missing(&Allocator::take_new);
        memory_ = std::move(fresh_);
    }

  private:
    using PortKey = std::pair<std::string, std::uint16_t>;  // protocol, number

    [[nodiscard]] const net::Cidr* range_of(const std::string& family) const {
        if (family == "IPv4") return &options_.service_cidr_v4;
        return options_.service_cidr_v6 ? &*options_.service_cidr_v6 : nullptr;
    }

    void decide_families(Sourced<Service>& s) {
        ServiceSpec& spec = s.object.spec;
        if (!wants_cluster_ip(spec)) return;
        if (spec.clusterIPs.empty() && !spec.clusterIP.empty()) spec.clusterIPs = {spec.clusterIP};
        std::vector<std::string> families;
        for (const std::string& text : spec.clusterIPs)
            if (const auto ip = net::IpAddress::parse(text))
                families.emplace_back(ip->is_v4() ? "IPv4" : "IPv6");
        if (spec.ipFamilies.size() > families.size()) families = spec.ipFamilies;
        if (families.empty()) families = {"IPv4"};
        const std::string policy =
            spec.ipFamilyPolicy.value_or(families.size() > 1 ? "RequireDualStack" : "SingleStack");
        const std::string other = families[0] == "IPv4" ? "IPv6" : "IPv4";
        if (families.size() == 1 &&
            (policy == "RequireDualStack" || (policy == "PreferDualStack" && range_of(other) != nullptr)))
            families.push_back(other);
        for (std::size_t i = spec.clusterIPs.size(); i < families.size(); ++i)
            if (range_of(families[i]) == nullptr)
                diagnostics_.error(s.position, "Service " + s.object.metadata.key() + ": no " + families[i] +
                                                   " range for ClusterIPs is configured");
        spec.ipFamilyPolicy = policy;
        spec.ipFamilies = std::move(families);
    }

    void reserve_explicit(Sourced<Service>& s) {
        for (const std::string& text : s.object.spec.clusterIPs)
            if (const auto ip = net::IpAddress::parse(text)) claim_ip(s, *ip);
        for (const ServicePort& port : s.object.spec.ports)
            if (port.nodePort != 0) claim_port(s, port.protocol, static_cast<std::uint16_t>(port.nodePort));
        if (s.object.spec.healthCheckNodePort.value_or(0) != 0)
            claim_port(s, "TCP", static_cast<std::uint16_t>(*s.object.spec.healthCheckNodePort));
    }

    void claim_ip(const Sourced<Service>& s, const net::IpAddress& ip) {
        const auto [first, fresh] = ips_.emplace(ip, &s);
        if (!fresh && first->second != &s) report_taken(s, "clusterIP " + ip.text(), *first->second);
    }
    void claim_port(const Sourced<Service>& s, const std::string& protocol, std::uint16_t port) {
        const auto [first, fresh] = ports_.emplace(PortKey{protocol, port}, &s);
        if (!fresh && first->second != &s)
            report_taken(s, "nodePort " + std::to_string(port) + "/" + protocol, *first->second);
    }
    void report_taken(const Sourced<Service>& s, const std::string& what, const Sourced<Service>& owner) {
        diagnostics_.error(s.position, "Service " + s.object.metadata.key() + ": " + what +
                                           " is already given to Service " + owner.object.metadata.key() +
                                           " at " + owner.position.text());
    }

    // Visits every ClusterIP and nodePort that is still missing.
    void for_each_missing(void (Allocator::*take)(Sourced<Service>&)) {
        for (auto& s : services_) (this->*take)(s);
    }

    void take_remembered(Sourced<Service>& s) {
        each_ip(s, [&](const std::string& key, const net::Cidr& range) -> std::optional<net::IpAddress> {
            const auto found = memory_.cluster_ips.find(key);
            if (found == memory_.cluster_ips.end()) return std::nullopt;
            const auto ip = net::IpAddress::parse(found->second);
            if (!ip || !range.contains(*ip) || ips_.contains(*ip)) return std::nullopt;
            return ip;
        });
        each_port(s, [&](const std::string& key, const std::string&, const std::string& protocol) {
            const auto found = memory_.node_ports.find(key);
            const bool good = found != memory_.node_ports.end() && found->second >= options_.node_port_min &&
                              found->second <= options_.node_port_max &&
                              !ports_.contains(PortKey{protocol, found->second});
            return good ? found->second : std::uint16_t{0};
        });
    }

    void take_new(Sourced<Service>& s) {
        const std::string name = "Service " + s.object.metadata.key();
        each_ip(s, [&](const std::string& key, const net::Cidr& range) -> std::optional<net::IpAddress> {
            const std::uint64_t count = usable_addresses(range);
            const std::uint64_t start = count == 0 ? 0 : stable_hash(key) % count;
            for (std::uint64_t i = 0; i < count; ++i) {
                const net::IpAddress ip = add(range.network, 2 + (start + i) % count);
                if (!ips_.contains(ip)) return ip;
            }
            diagnostics_.error(s.position, name + ": no ClusterIP is left in " + range.text());
            return std::nullopt;
        });
        each_port(
            s,
            [&](const std::string&, const std::string& seed, const std::string& protocol) -> std::uint16_t {
                const std::uint32_t count = options_.node_port_max - options_.node_port_min + 1U;
                const std::uint64_t start = stable_hash(seed) % count;
                for (std::uint32_t i = 0; i < count; ++i) {
                    const auto port =
                        static_cast<std::uint16_t>(options_.node_port_min + (start + i) % count);
                    if (!ports_.contains(PortKey{protocol, port})) return port;
                }
                diagnostics_.error(s.position, name + ": no nodePort is left in " +
                                                   std::to_string(options_.node_port_min) + "-" +
                                                   std::to_string(options_.node_port_max));
                return 0;
            });
    }

    template <class Choose>
    void each_ip(Sourced<Service>& s, Choose choose) {
        ServiceSpec& spec = s.object.spec;
        if (!wants_cluster_ip(spec)) return;
        for (std::size_t i = spec.clusterIPs.size(); i < spec.ipFamilies.size(); ++i) {
            const net::Cidr* range = range_of(spec.ipFamilies[i]);
            if (range == nullptr) return;
            const std::string key = s.object.metadata.key() + "/" + spec.ipFamilies[i];
            const auto ip = choose(key, *range);
            if (!ip) return;  // in order: the second family waits for the first
            ips_.emplace(*ip, &s);
            fresh_.cluster_ips[key] = ip->text();
            spec.clusterIPs.push_back(ip->text());
        }
        if (!spec.clusterIPs.empty()) spec.clusterIP = spec.clusterIPs.front();
    }

    template <class Choose>
    void each_port(Sourced<Service>& s, Choose choose) {
        ServiceSpec& spec = s.object.spec;
        const auto settle = [&](const std::string& port_text, const std::string& protocol) -> std::uint16_t {
            const std::string seed = s.object.metadata.key() + ":" + port_text, key = seed + "/" + protocol;
            const std::uint16_t chosen = choose(key, seed, protocol);
            if (chosen == 0) return 0;
            ports_.emplace(PortKey{protocol, chosen}, &s);
            fresh_.node_ports[key] = chosen;
            return chosen;
        };
        if (wants_node_ports(spec))
            for (ServicePort& port : spec.ports)
                // The seed has no protocol: 53/TCP and 53/UDP get the same number, as in Kubernetes.
                if (port.nodePort == 0) port.nodePort = settle(std::to_string(port.port), port.protocol);
        const bool health = spec.type == "LoadBalancer" && spec.externalTrafficPolicy == "Local";  // H-01
        if (health && spec.healthCheckNodePort.value_or(0) == 0) {
            const std::uint16_t chosen = settle("healthCheckNodePort", "TCP");
            if (chosen != 0) spec.healthCheckNodePort = chosen;
        }
    }

    std::vector<Sourced<Service>>& services_;
    const BuildOptions& options_;
    Allocations& memory_;
    Allocations fresh_;  // what is in use now; replaces the memory
    Diagnostics& diagnostics_;
    std::map<net::IpAddress, const Sourced<Service>*> ips_;
    std::map<PortKey, const Sourced<Service>*> ports_;
};

}  // namespace

void allocate(std::vector<Sourced<Service>>& services, const BuildOptions& options, Allocations& allocations,
              Diagnostics& diagnostics) {
    Allocator(services, options, allocations, diagnostics).run();
}

}  // namespace hawser::catalog
