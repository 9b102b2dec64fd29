// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/error.h"
#include "vip/announcement.h"

namespace hawser::vip {

// A macvlan with a virtual router's MAC (RFC 9568 §7.3) on one of this node's interfaces. It is there for as long as the
// object, active or not; without an address it answers nothing. One thread.
class VirtualInterface {
  public:
    // One of that name and MAC on that interface that an earlier process has left is taken over. While it lives the
    // base interface answers and asks ARP for its own addresses only (arp_ignore, arp_filter, arp_announce).
    static net::Result<std::unique_ptr<VirtualInterface>> make(const std::string& name, const std::string& base,
                                                               std::uint32_t base_index, const Mac& mac);
    ~VirtualInterface();  // takes it away
    VirtualInterface(const VirtualInterface&) = delete;
    VirtualInterface& operator=(const VirtualInterface&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    class QuietBase;
    VirtualInterface(std::string name, std::shared_ptr<QuietBase> base)
        : name_(std::move(name)), base_(std::move(base)) {}

    std::string name_;
    std::shared_ptr<QuietBase> base_;
};

}  // namespace hawser::vip
