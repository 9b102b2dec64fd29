// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"
#include "vip/announcement.h"

namespace hawser::vip {

struct Link {
    std::uint32_t index = 0;
    Mac mac{};
    bool up = false;  // administratively, and with a carrier
    std::vector<net::IpAddress> addresses;  // in the kernel's order: an IPv4 primary comes before its secondaries

    bool operator==(const Link&) const = default;
};
using LinkMap = std::map<std::string, Link>;  // by name

// The interfaces of this machine, followed by rtnetlink. One loop's thread.
class Links : private net::EventHandler {
  public:
    // `changed` is called after something of links() has changed.
    Links(net::Loop& loop, std::function<void()> changed) : loop_(loop), changed_(std::move(changed)) {}
    ~Links() override;
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;

    net::Result<void> open();
    [[nodiscard]] const LinkMap& all() const { return links_; }
    [[nodiscard]] const Link* find(const std::string& name) const;

  private:
    void on_events(std::uint32_t events) override;
    [[nodiscard]] bool has(std::uint32_t index, const net::IpAddress& ip) const;

    net::Loop& loop_;
    std::function<void()> changed_;
    net::Fd netlink_;
    LinkMap links_;
};

}  // namespace hawser::vip
