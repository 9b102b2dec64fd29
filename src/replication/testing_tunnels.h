// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tunnels of a node that is only a map: as the kernel's, with a thread of its own.

#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "net/loop.h"
#include "splice/shared_tunnels.h"

namespace hawser::replication::testing {

inline net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

inline splice::Carried tunnel(std::uint64_t origin, std::uint64_t id, const char* vip = "192.168.0.150") {
    splice::Carried c;
    c.identity = {origin, id};
    c.protocol = IPPROTO_TCP;
    c.client = c.told_client = {ip("192.168.0.10"), static_cast<std::uint16_t>(10'000 + id % 50'000)};
    c.frontend = {ip(vip), 80};
    c.towards_endpoint = {ip(vip), static_cast<std::uint16_t>(10'000 + id % 50'000)};
    c.endpoint = {ip("10.244.2.2"), 9080};
    c.route = "/chat";
    return c;
}

class Tunnels final : public splice::SharedTunnels {
  public:
    explicit Tunnels(std::uint64_t origin) : origin_(origin), thread_([this] { loop_.run(); }) {}
    ~Tunnels() override {
        loop_.stop();
        thread_.join();
    }

    // What happens at this node. Any thread.
    void begin(const splice::Carried& t) {
        on_thread([&] {
            here_[t.identity] = t;
            if (listener_ != nullptr) listener_->on_carried(t);
        });
    }
    void end(const splice::Carried& t) {
        on_thread([&] {
            here_.erase(t.identity);
            ended_.insert(t.identity);
            if (listener_ != nullptr) listener_->on_gone({t.identity, t.protocol, t.client, t.frontend});
        });
    }
    void miss() {
        on_thread([&] { listener_->on_missed(); });
    }
    void hold(const char* vip, bool yes) {
        on_thread([&] {
            {
                const std::lock_guard guard(mutex_);
                if (yes) {
                    vips_.insert(ip(vip));
                    untold_.insert(ip(vip));
                } else {
                    vips_.erase(ip(vip));
                }
            }
            if (listener_ != nullptr) listener_->on_vips_changed();
        });
    }
    // It has begun, and nobody is told: as by a node that was alone.
    void put(const splice::Carried& t) {
        on_thread([&] { here_[t.identity] = t; });
    }
    [[nodiscard]] std::set<splice::Identity> known() {
        std::set<splice::Identity> out;
        on_thread([&] {
            for (const auto& [identity, t] : here_) out.insert(identity);
        });
        return out;
    }
    void pause(bool yes) { paused_ = yes; }  // of what is heard: the answers wait
    [[nodiscard]] unsigned part() const { return part_; }

    [[nodiscard]] std::uint64_t origin() const override { return origin_; }
    void listen(Listener* listener) override {
        on_thread([&] { listener_ = listener; });
    }
    void hear(Heard heard, std::function<void(Answer)> done) override {
        loop_.post([this, heard = std::move(heard), done = std::move(done)] {
            while (paused_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            Answer answer;
            for (const auto& each : heard.news) {
                if (const auto* gone = std::get_if<splice::Gone>(&each)) {
                    here_.erase(gone->identity);
                    ended_.insert(gone->identity);
                    continue;
                }
                const auto& t = std::get<splice::Carried>(each);
                if (heard.mentioned) heard.mentioned->insert(t.identity.origin * 1'000'003 + t.identity.id);
                if (ended_.contains(t.identity))
                    answer.gone.push_back({t.identity, t.protocol, t.client, t.frontend});
                else
                    here_[t.identity] = t;
            }
            const std::lock_guard guard(mutex_);
            if (heard.complete_for)
                std::erase_if(here_, [&](const auto& each) {
                    const auto& vip = each.second.frontend.ip;
                    const auto& all = *heard.complete_for;
                    return std::find(all.begin(), all.end(), vip) != all.end() && !vips_.contains(vip) &&
                           !untold_.contains(vip) &&
                           !heard.mentioned->contains(each.first.origin * 1'000'003 + each.first.id);
                });
            done(std::move(answer));
        });
    }
    void read(std::shared_ptr<Reading> reading, Piece done) override {
        loop_.post([this, reading = std::move(reading), done = std::move(done)] {
            auto place = std::static_pointer_cast<Place>(reading);
            if (!place) place = std::make_shared<Place>();
            std::vector<splice::Carried> out;
            auto at = here_.upper_bound(place->last);
            for (; at != here_.end() && out.size() < 100; ++at) {
                place->last = at->first;
                const std::lock_guard guard(mutex_);
                if (vips_.contains(at->second.frontend.ip) || untold_.contains(at->second.frontend.ip))
                    out.push_back(at->second);
            }
            done(std::move(out), at == here_.end() ? nullptr : place);
        });
    }
    [[nodiscard]] std::vector<net::IpAddress> vips_here() const override { return locked(vips_); }
    [[nodiscard]] std::vector<net::IpAddress> vips_untold() const override {
        const std::lock_guard guard(mutex_);
        std::vector<net::IpAddress> out;
        for (const auto& vip : untold_)
            if (!vips_.contains(vip)) out.push_back(vip);
        return out;
    }
    void told(const net::IpAddress& vip) override {
        const std::lock_guard guard(mutex_);
        untold_.erase(vip);
    }
    void miss_node() override { ++missed_nodes_; }
    [[nodiscard]] int missed_nodes() const { return missed_nodes_; }
    void set_part(unsigned part, unsigned) override { part_ = part; }

  private:
    struct Place final : Reading {
        splice::Identity last;
    };
    template <class Work>
    void on_thread(Work work) {
        std::promise<void> done;
        loop_.post([&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    [[nodiscard]] std::vector<net::IpAddress> locked(const std::set<net::IpAddress>& from) const {
        const std::lock_guard guard(mutex_);
        return {from.begin(), from.end()};
    }

    const std::uint64_t origin_;
    net::Loop loop_;
    mutable std::mutex mutex_;
    std::set<net::IpAddress> vips_, untold_;
    std::map<splice::Identity, splice::Carried> here_;
    std::set<splice::Identity> ended_;
    Listener* listener_ = nullptr;
    std::atomic<bool> paused_ = false;
    std::atomic<unsigned> part_ = 99;
    std::atomic<int> missed_nodes_ = 0;
    std::thread thread_;
};

}  // namespace hawser::replication::testing
