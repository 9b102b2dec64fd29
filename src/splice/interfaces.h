// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"
#include "splice/program.h"

namespace hawser::splice {

// The interfaces of this machine as the splice uses them: programs on those that traffic can come in by,
// addresses and MACs in the table `interfaces`, and what follows from them. Follows changes by rtnetlink. The
// loop's thread only, but for the questions.
class Interfaces : private net::EventHandler, private net::Timer {
  public:
    // `complain` is told once of each interface that cannot be used.
    Interfaces(net::Loop& loop, Program& program, std::function<void(const std::string&)> complain);
    ~Interfaces() override;
    Interfaces(const Interfaces&) = delete;
    Interfaces& operator=(const Interfaces&) = delete;

    net::Result<void> open();  // reads what there is, and watches
    // Sockets of this node are served too: the egress program is put on the interfaces. Once there are
    // services.
    void serve_node(bool yes);

    // Questions; any thread.
    [[nodiscard]] bool is_ours(
        const net::IpAddress& address) const;  // of an interface of this machine, or loopback
    // Whether a packet to `destination` (from `source`) would leave by an interface that has the program and
    // forwards. Otherwise the reason in a word.
    [[nodiscard]] const char* why_not(const net::IpAddress& source, const net::IpAddress& destination) const;

  private:
    struct Interface {
        layout::interface entry {};
        std::string name;
        bool is_bridge = false;
        bool is_port = false;  // of a bridge, bond or team
        bool forwards_v4 = false, forwards_v6 = false;
        bool ingress = false, egress = false;  // programs are there
    };
    void on_events(std::uint32_t) override;
    void on_timer() override { look(); }
    void look();
    net::Result<std::map<std::uint32_t, Interface>> read();
    void put_programs(std::map<std::uint32_t, Interface>& now);

    net::Loop& loop_;
    Program& program_;
    std::function<void(const std::string&)> complain_;
    net::Fd netlink_;
    bool serves_node_ = false;
    std::set<std::string> complained_;
    std::set<std::pair<std::uint32_t, net::IpAddress>> placed_;  // addresses, with the interface's index
    mutable std::mutex mutex_;
    std::map<std::uint32_t, Interface> interfaces_;
    std::set<net::IpAddress> addresses_;
};

}  // namespace hawser::splice
