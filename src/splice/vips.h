// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "net/address.h"
#include "splice/program.h"

namespace hawser::splice {

// A part of a range of ports: every node of a VIP has another, so that what two of them begin never meets.
struct PortPart {
    std::uint16_t low = 0, high = 0;  // high < low: none
};
PortPart part_of(std::uint16_t low, std::uint16_t high, unsigned part, unsigned parts);

// VIPs over which tunnels are shared with other nodes, as the tables have them: which are here. Whoever has a VIP
// carries its tunnels; a VIP is here by lease, as its address is. Any thread.
class Vips {
  public:
    // `settings`: its ports are kept. off: nothing is shared, tunnels over VIPs are this node's as all
    // others are.
    Vips(const Tables& tables, const layout::settings& settings, bool on,
         std::chrono::milliseconds quiet_time = std::chrono::milliseconds(5'000));

    [[nodiscard]] bool on() const { return on_; }
    [[nodiscard]] std::uint64_t origin() const { return origin_; }  // names these tables; never 0

    // The VIP is here, or still here. Before its address is put on an interface.
    void hold(const net::IpAddress& vip, std::chrono::milliseconds lease);
    void leave(const net::IpAddress& vip);  // after the address was taken from the interface
    // Another node may have tunnels over VIPs that are here, and has not told: for the quiet time, packets of unknown
    // connections to them are dropped, not refused. A VIP that comes begins so.
    void contest(const std::vector<net::IpAddress>& vips);
    // Which of the parts of the ports towards endpoints is this node's.
    void set_part(unsigned part, unsigned parts);
    void watch(std::function<void()> changed);  // is called when a VIP came or went, by whoever said so

    struct Place {
        std::uint32_t index = 0;  // 0: none
        std::uint32_t term = 0;
        std::uint64_t since = 0;  // CLOCK_MONOTONIC, ns
        bool here = false;
        bool untold = false;  // layout::vip_untold
    };
    [[nodiscard]] Place find(const net::IpAddress& vip) const;
    [[nodiscard]] Place find(std::uint32_t index) const;
    // Of a VIP that may be another node's. Index 0 when there is no room.
    Place place_for(const net::IpAddress& vip);
    [[nodiscard]] std::vector<net::IpAddress> here() const;
    // A node that has the VIP now has heard of everything that was here.
    void told(const net::IpAddress& vip);
    [[nodiscard]] std::vector<net::IpAddress> untold() const;  // and not here
    [[nodiscard]] bool is_crowded() const;  // most places are taken
    // Gives places free that are neither here nor `used`.
    void keep(const std::set<std::uint32_t>& used);

  private:
    [[nodiscard]] Place place(std::uint32_t index, const layout::vip& vip) const;
    std::uint32_t make_place(const net::IpAddress& vip);
    void begin_quiet_time(layout::vip& vip, std::uint64_t now);

    const Tables& tables_;
    const bool on_;
    const std::uint64_t quiet_ns_;
    std::uint64_t origin_ = 0;
    mutable std::mutex mutex_;
    layout::settings settings_;
    std::map<net::IpAddress, std::uint32_t> places_;
    std::map<std::uint32_t, layout::vip> vips_;
    std::function<void()> changed_;
};

}  // namespace hawser::splice
