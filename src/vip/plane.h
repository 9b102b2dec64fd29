// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catalog/vip.h"
#include "net/error.h"
#include "net/loop.h"
#include "vip/router.h"
#include "vip/trackers.h"

namespace hawser::vip {

// All virtual routers of this node, on a thread of their own that nothing of the data path can hold up.
class Plane {
  public:
    struct Options {
        // SCHED_FIFO with this priority (1..99), where the process may; 0: as every thread.
        int real_time_priority = 0;
        // After this without a refresh the kernel takes a VIP away: what is left of a process that died. At least 2 s,
        // because the kernel counts whole seconds.
        std::chrono::seconds lifetime{3};
    };
    struct Callbacks {
        // Called on the plane's thread.
        std::function<void(Severity, const std::string& line)> log;
        // As in Router::World; may be empty.
        std::function<void(const std::vector<net::IpAddress>&)> holding, released;
        std::function<void(const net::IpAddress& sender)> heard;
        std::function<void(const std::vector<net::IpAddress>&)> contested;
        std::function<bool(const net::IpAddress& active)> knows_all_of;
    };
    static net::Result<std::unique_ptr<Plane>> open(const Options& options, Callbacks callbacks);
    ~Plane();  // as stop()
    Plane(const Plane&) = delete;
    Plane& operator=(const Plane&) = delete;

    // Any thread, but one at a time; returns when it is done. Virtual routers that are in both plans stay what they are.
    void apply(std::shared_ptr<const catalog::vip::Plan> plan);
    // Any thread. Why the gateway of this node cannot serve; "" = it can. One that cannot has the lowest priority, and
    // gives its VIPs to any other node that wants them; where there is none it keeps them, because a refusal is a
    // better answer than silence.
    void set_health(std::string why_not);
    [[nodiscard]] std::vector<Status> status();  // any thread, not after stop(); in the plan's order
    void stop();                                       // gives all VIPs away, says so, and ends the thread

  private:
    class Alarm;
    struct Group;
    struct Beginning;  // vrrp_startup_delay
    Plane(const Options& options, Callbacks callbacks);
    net::Result<void> start();
    void run_on_thread(const std::function<void()>& work);  // and waits
    void replace(std::shared_ptr<const catalog::vip::Plan> plan);
    void start_routers();
    void judge();
    void on_time();
    void set_alarm();
    void router_changed(Router& router, State from, State to);
    void settle_groups();
    void notify(const std::string& kind, const std::string& name, const catalog::vip::Notify& programs, State state,
                std::uint8_t priority);
    void run(const catalog::vip::Command& command, const std::vector<std::string>& more);
    FrameSocket* frames(const std::string& interface);
    AcceptFilter* accept_filter();
    [[nodiscard]] Group* group_of(const Router& router);

    Options options_;
    Callbacks callbacks_;
    net::Loop loop_;
    Links links_;
    Addresses addresses_;
    Router::World world_;
    std::shared_ptr<const catalog::vip::Plan> plan_;
    std::unique_ptr<Trackers> trackers_;
    std::vector<std::unique_ptr<Router>> routers_;  // in the plan's order
    std::vector<Group> groups_;
    std::map<std::string, std::unique_ptr<FrameSocket>> frames_;
    std::map<std::string, std::uint32_t> frame_indexes_;
    std::unique_ptr<AcceptFilter> accept_filter_;
    std::unique_ptr<Alarm> alarm_;
    std::string why_not_healthy_;
    std::unique_ptr<Beginning> beginning_;
    bool settling_ = false, stopping_ = false;
    bool deleting_ = false;  // a virtual router that is not in the plan any more leaves
    // Programs that are told of changes run one after the other, in the order of the changes.
    struct Telling;
    std::unique_ptr<Telling> telling_;
    std::thread thread_;
};

}  // namespace hawser::vip
