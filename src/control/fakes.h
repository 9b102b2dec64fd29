// SPDX-License-Identifier: Apache-2.0
#pragma once

// For the tests of this folder.

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "net/testing_directory.h"
#include "control/log.h"
#include "control/plane.h"

namespace hawser::control {

class FakePlane final : public Plane {
  public:
    catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot) override {
        if (!refuse_with.has_errors()) current_ = std::move(snapshot);
        return refuse_with;
    }
    [[nodiscard]] std::shared_ptr<const catalog::Snapshot> current() const override { return current_; }
    [[nodiscard]] std::vector<tunnel::Tunnel> tunnels(std::uint64_t, std::size_t) const override { return live; }
    [[nodiscard]] std::optional<tunnel::Tunnel> tunnel(std::uint64_t id) const override {
        for (const auto& t : live)
            if (t.id == id) return t;
        return std::nullopt;
    }
    [[nodiscard]] gateway::Stats stats() const override { return counted; }
    bool kill_tunnel(std::uint64_t id) override {
        return std::erase_if(live, [id](const auto& t) { return t.id == id; }) == 1;
    }

    catalog::Diagnostics refuse_with;
    std::vector<tunnel::Tunnel> live;
    gateway::Stats counted;

  private:
    std::shared_ptr<const catalog::Snapshot> current_;
};

using net::testing::TemporaryDirectory;

// Turns the loop until the condition holds; false when it did not within ten seconds.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition,
                      std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < end) {
        io.restart();
        io.run_one_for(std::chrono::milliseconds(20));
    }
    return condition();
}

inline catalog::Service site_service() {
    catalog::Service service;
    service.metadata.name = "im-service";
    service.metadata.labels = {{"k8s-app", "im"}};
    service.spec.type = "NodePort";
    service.spec.clusterIP = "10.104.253.46";
    service.spec.clusterIPs = {"10.104.253.46"};
    service.spec.selector = {{"k8s-app", "im"}};
    catalog::ServicePort port;
    port.port = 9080;
    port.targetPort = catalog::IntOrString{9080};
    port.nodePort = 30100;
    service.spec.ports = {port};
    return service;
}

inline std::shared_ptr<catalog::Snapshot> snapshot_of(catalog::Service service, std::uint64_t number = 1) {
    auto snapshot = std::make_shared<catalog::Snapshot>();
    snapshot->number = number;
    catalog::ServiceView view;
    view.object = std::make_shared<const catalog::Service>(std::move(service));
    snapshot->services.push_back(std::move(view));
    return snapshot;
}

inline tunnel::Tunnel some_tunnel(std::uint64_t id, std::string service = "default/im-service") {
    tunnel::Tunnel t;
    t.id = id;
    t.protocol = "websocket";
    t.route = "nginx:websocket.bbotte.com:80/";
    t.service = std::move(service);
    t.client = *net::SocketAddress::parse("192.168.0.7:40000");
    t.frontend = *net::SocketAddress::parse("192.168.0.100:80");
    t.endpoint = *net::SocketAddress::parse("10.244.0.5:9080");
    t.from_client = {100, 3, std::nullopt};
    t.duration = std::chrono::seconds(90);
    return t;
}

}  // namespace hawser::control
