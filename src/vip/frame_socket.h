// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"
#include "vip/announcement.h"

namespace hawser::vip {

// Sends Ethernet frames by an interface, and hears who claims an address there (ARP, Neighbour Advertisements).
class FrameSocket : private net::EventHandler {
  public:
    using Heard = std::function<void(const Claim& claim)>;
    static net::Result<std::unique_ptr<FrameSocket>> open(net::Loop& loop, std::uint32_t interface_index, Heard heard);
    ~FrameSocket() override;
    FrameSocket(const FrameSocket&) = delete;
    FrameSocket& operator=(const FrameSocket&) = delete;

    net::Result<void> send(std::span<const std::uint8_t> frame);

  private:
    FrameSocket(net::Loop& loop, std::uint32_t index, Heard heard, net::Fd fd)
        : loop_(loop), index_(index), heard_(std::move(heard)), fd_(std::move(fd)) {}
    void on_events(std::uint32_t events) override;

    net::Loop& loop_;
    std::uint32_t index_;
    Heard heard_;
    net::Fd fd_;
};

}  // namespace hawser::vip
