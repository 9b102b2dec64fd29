// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "catalog/allocation.h"

namespace hawser::catalog {
namespace {
net::Error damaged(const std::string& why) {
    net::Error out;
    out.message = "allocations are damaged: " + why;
    return out;
}
}  // namespace

net::Result<Allocations> Allocations::parse(std::string_view json) {
    Allocations out;
    if (json.empty()) return out;
    boost::system::error_code error;
    const boost::json::value root = boost::json::parse({json.data(), json.size()}, error);
    if (error) return damaged(error.message());
    const auto* object = root.if_object();
    if (object == nullptr) return damaged("not an object");
    if (const auto* ips = object->if_contains("clusterIPs"); ips != nullptr && ips->is_object()) {
        for (const auto& [key, value] : ips->get_object()) {
            const auto* ip = value.if_string();
            if (ip == nullptr || !net::IpAddress::parse({ip->data(), ip->size()}))
                return damaged("clusterIPs: " + std::string(key));
            out.cluster_ips.emplace(key, std::string(ip->data(), ip->size()));
        }
    }
    if (const auto* ports = object->if_contains("nodePorts"); ports != nullptr && ports->is_object()) {
        for (const auto& [key, value] : ports->get_object()) {
            const auto* port = value.if_int64();
            if (port == nullptr || *port < 1 || *port > 65535)
                return damaged("nodePorts: " + std::string(key));
            out.node_ports.emplace(key, static_cast<std::uint16_t>(*port));
        }
    }
    return out;
}

std::string Allocations::text() const {
    boost::json::object ips, ports;
    for (const auto& [key, ip] : cluster_ips) ips[key] = ip;
    for (const auto& [key, port] : node_ports) ports[key] = port;
    return boost::json::serialize(boost::json::object{{"clusterIPs", ips}, {"nodePorts", ports}}) + "\n";
}

net::Result<Allocations> load_allocations(const std::string& path) {
    if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return Allocations{};
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return net::system_error("read " + path, errno);
    auto out = Allocations::parse(text.str());
    if (!out) return net::wrap("read " + path, out.error());
    return out;
}

net::Result<void> save_allocations(const std::string& path, const Allocations& allocations) {
    const std::string fresh = path + ".new", text = allocations.text();
    const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return net::system_error("create " + fresh, errno);
    std::size_t written = 0;
    int failure = 0;
    while (written < text.size() && failure == 0) {
        const ssize_t n = write(fd, text.data() + written, text.size() - written);
        if (n >= 0)
            written += static_cast<std::size_t>(n);
        else if (errno != EINTR)
            failure = errno;
    }
    if (failure == 0 && fsync(fd) != 0) failure = errno;
    if (close(fd) != 0 && failure == 0) failure = errno;
    if (failure == 0 && rename(fresh.c_str(), path.c_str()) != 0) failure = errno;
    if (failure == 0) return {};
    unlink(fresh.c_str());
    return net::system_error("write " + path, failure);
}

}  // namespace hawser::catalog
