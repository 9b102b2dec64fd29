// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"
#include "vip/advert.h"

namespace hawser::vip {

// A raw socket for the adverts of one virtual router: on one interface, or, for unicast peers without one, on all. The
// kernel drops those of other virtual routers (a socket filter). One loop's thread.
class AdvertSocket : private net::EventHandler {
  public:
    struct Place {
        bool v6 = false;
        std::uint8_t id = 0;
        std::string interface;         // "" = any
        std::uint32_t index = 0;       // of the interface; 0 = any
        std::optional<net::IpAddress> group;  // multicast; absent: unicast only
        std::uint8_t ttl = 255;        // of unicast; multicast has 255 always (V-02)
    };
    struct Datagram {
        std::span<const std::uint8_t> message;  // void after the call
        net::IpAddress source, destination;
        int ttl = 0;
    };
    using Receive = std::function<void(const Datagram&)>;
    static net::Result<std::unique_ptr<AdvertSocket>> open(net::Loop& loop, const Place& place, Receive receive);
    ~AdvertSocket() override;
    AdvertSocket(const AdvertSocket&) = delete;
    AdvertSocket& operator=(const AdvertSocket&) = delete;

    net::Result<void> send(std::span<const std::uint8_t> message, const net::IpAddress& source,
                           const net::IpAddress& destination);
    // Reads what has come: before a timer is believed that waits for it.
    void receive_all() { on_events(0); }

  private:
    AdvertSocket(net::Loop& loop, Place place, Receive receive, net::Fd fd);
    void on_events(std::uint32_t events) override;
    net::Result<void> prepare();
    void take(std::span<const std::uint8_t> packet, const msghdr& header);

    net::Loop& loop_;
    Place place_;
    Receive receive_;
    net::Fd fd_;
};

}  // namespace hawser::vip
