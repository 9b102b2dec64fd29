// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/vip.h"
#include "net/loop.h"
#include "vip/accept_filter.h"
#include "vip/addresses.h"
#include "vip/advert_socket.h"
#include "vip/frame_socket.h"
#include "vip/links.h"
#include "vip/virtual_interface.h"
#include "vip/virtual_router.h"

namespace hawser::vip {

enum class Severity : std::uint8_t { info, warning };

// What one can see of a virtual router.
struct Status {
    std::string name, interface;
    std::uint8_t id = 0, version = 3;
    State state = State::stopped;
    std::chrono::system_clock::time_point since;  // of the state
    std::uint8_t base_priority = 0, priority = 0;
    net::IpAddress master;  // unspecified: not known
    std::vector<std::string> addresses;  // with prefix length
    std::vector<std::string> faults;     // in words; empty unless State::fault
    std::chrono::milliseconds interval{0};
    struct Counters {
        std::uint64_t sent = 0, received = 0, became_active = 0, conflicts = 0, send_errors = 0;
        std::array<std::uint64_t, static_cast<std::size_t>(Discarded::count)> discarded{};
    } counters;
};

// One virtual router of this node: its state machine, with the socket, the addresses and the announcements that this
// asks for. One loop's thread.
class Router {
  public:
    struct World {
        net::Loop& loop;
        Links& links;
        Addresses& addresses;
        std::function<FrameSocket*(const std::string& interface)> frames;  // null: it cannot be had
        std::function<AcceptFilter*()> accept_filter;                      // the same
        std::chrono::seconds lifetime{3};  // of addresses that nobody refreshes
        std::function<void(Severity, const std::string&)> log;
        std::function<void(Router&, State from, State to)> changed;
        std::function<void(Router&)> heard_lower_priority;
        // Before these addresses are put on an interface, and with every refresh; after they were taken from it. May
        // be empty, as `heard`: an advert was believed.
        std::function<void(const std::vector<net::IpAddress>&)> holding, released;
        std::function<void(const net::IpAddress& sender)> heard;
        // Another host claims addresses that are here: it advertises them, or says that they are its own.
        std::function<void(const std::vector<net::IpAddress>&)> contested;
        // Whether this node knows everything that an active router with a lower priority does; until then it is left
        // its VIPs, for `patience` at most. May be empty: it does.
        std::function<bool(const net::IpAddress& active)> knows_all_of;
        std::chrono::milliseconds patience{5'000};
    };
    // Both outlive it; `config` is that of the plan in force.
    Router(World& world, std::shared_ptr<const catalog::vip::VirtualRouter> config);
    ~Router();
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    void start(TimePoint now);
    void shut_down(TimePoint now);
    // The same interface, id and family as before. An active router stays active: addresses that are new come, those
    // that are gone leave.
    void configure(std::shared_ptr<const catalog::vip::VirtualRouter> config, TimePoint now);
    void links_changed(TimePoint now);
    // What is missing here, whatever is tracked: an interface, an address.
    [[nodiscard]] const std::vector<std::string>& own_faults() const { return own_faults_; }
    // What is tracked: reasons to be at fault, and what is added to the base priority.
    void set_tracking(std::vector<std::string> faults, int added, TimePoint now);
    void step_down(TimePoint now);  // VirtualRouter::step_down
    void on_time(TimePoint now);
    // Somebody on that interface says that an address is its own.
    void hear_claim(const Claim& claim, const std::string& interface);
    void follow_group(State state, TimePoint now);  // a sync group has become active, or backup
    [[nodiscard]] std::optional<TimePoint> deadline() const;

    [[nodiscard]] const catalog::vip::VirtualRouter& config() const { return *config_; }
    [[nodiscard]] State state() const { return machine_.state(); }
    [[nodiscard]] std::uint8_t priority() const { return machine_.priority(); }
    [[nodiscard]] Status status() const;

  private:
    [[nodiscard]] VirtualRouter::Settings settings() const;
    [[nodiscard]] const std::string& own_interface() const;  // the virtual one, or the configured
    std::string make_virtual_interface(const Link& base);    // "" or what went wrong
    [[nodiscard]] std::string interface_of(const catalog::vip::Address& address) const;
    [[nodiscard]] std::optional<net::IpAddress> source_address(const Link& link) const;
    [[nodiscard]] net::IpAddress group() const;
    [[nodiscard]] std::vector<net::IpAddress> ips() const;
    [[nodiscard]] std::vector<const catalog::vip::Address*> all_addresses() const;
    [[nodiscard]] Bytes message(std::uint8_t priority, const net::IpAddress& destination) const;
    std::string bind_to_interface();  // "" or what is missing
    void look_for_faults(TimePoint now);
    void receive(const AdvertSocket::Datagram& datagram);
    bool waits_for(const net::IpAddress& active);
    std::optional<Discarded> unwanted(const Advert& advert, const net::IpAddress& sender) const;
    const catalog::vip::UnicastPeer* peer(const net::IpAddress& ip) const;
    void perform(const Actions& actions);
    void send(std::uint8_t priority);
    void take();
    void release();
    void put(const catalog::vip::Address& address);
    [[nodiscard]] bool refuses_packets() const { return !config_->accept && config_->priority != 255; }
    void refuse_packets(bool yes);
    void announce(unsigned repeat);
    void ask_for_duplicates();
    void report_conflict(const Claim& claim, const std::string& interface);
    void send_due_frames(TimePoint now);
    [[nodiscard]] Mac mac_of(const std::string& interface) const;
    void complain(const std::string& about, const std::string& line);

    World& world_;
    std::shared_ptr<const catalog::vip::VirtualRouter> config_;
    VirtualRouter machine_;
    std::unique_ptr<VirtualInterface> virtual_;
    std::unique_ptr<AdvertSocket> socket_;
    std::uint32_t index_ = 0;       // of the interface to which the socket is bound
    net::IpAddress source_;
    struct Frame {
        TimePoint due;
        std::string interface;
        Bytes bytes;
    };
    std::deque<Frame> frames_;  // announcements that wait for their turn
    std::vector<std::string> own_faults_, tracked_faults_;
    std::optional<TimePoint> refresh_;  // of the addresses' lifetimes
    // Who claimed our addresses while no active router was heard: one that nobody speaks VRRP for.
    std::map<net::IpAddress, Mac> early_claims_;
    bool heard_master_ = false;
    std::optional<TimePoint> waits_since_;  // World::knows_all_of
    std::map<std::string, TimePoint> complained_;
    std::chrono::system_clock::time_point since_;
    Status::Counters counters_;
};

}  // namespace hawser::vip
