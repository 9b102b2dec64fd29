// SPDX-License-Identifier: Apache-2.0
#include "replication/session.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hawser::replication {

namespace {
constexpr std::size_t most_heard_at_once = 512;   // messages that go to the tables together
constexpr auto between_marks = std::chrono::milliseconds(20);
}  // namespace

Session::Session(World& world, Channel& channel, Hello hello)
    : world_(world), channel_(channel), hello_(std::move(hello)), alive_(std::make_shared<Session*>(this)) {
    sent_ = 1;  // our own Hello
}

Session::~Session() { *alive_ = nullptr; }

void Session::send(const Message& message) {
    ++counters_.sent;
    if (std::holds_alternative<Applied>(message)) return channel_.send(message);
    ++sent_;
    if (marks_.empty() || world_.loop.now() - marks_.back().second >= between_marks)
        marks_.emplace_back(sent_, world_.loop.now());
    channel_.send(message);
}

std::chrono::milliseconds Session::lag_time() const {
    if (lag() == 0 || marks_.empty()) return std::chrono::milliseconds(0);
    return std::chrono::duration_cast<std::chrono::milliseconds>(net::Clock::now() - marks_.front().second);
}

void Session::begin() {
    tell_vips();
    send_snapshot();
}

void Session::tell_vips() {
    send(Owns{world_.tunnels.vips_here()});
    vips_said_ = sent_;
}

template <class News>
void Session::tell_news(const News& news) {
    if (too_slow_ || lag() >= world_.most_unapplied) {
        too_slow_ = true;
        ++counters_.lost;
        return;
    }
    send(news);
}

void Session::tell(const splice::Carried& tunnel) { tell_news(tunnel); }
void Session::tell(const splice::Gone& tunnel) { tell_news(tunnel); }

// ---- the snapshot ----

void Session::send_snapshot() {
    snapshot_again_ = snapshot_runs_;
    if (snapshot_runs_) return;
    snapshot_runs_ = true;
    ++counters_.snapshots;
    send(SnapshotBegin{});
    read_on();
}

void Session::read_on() {
    if (!snapshot_runs_ || reads_ || channel_.queued() > Channel::low_water || lag() > world_.most_unapplied / 2) return;
    reads_ = true;
    world_.tunnels.read(reading_, [&loop = world_.loop, alive = alive_](auto piece, auto rest) {
        loop.post([alive, piece = std::move(piece), rest = std::move(rest)] {
            Session* const self = *alive;
            if (self == nullptr) return;
            self->reads_ = false;
            self->reading_ = rest;
            for (const auto& tunnel : piece) self->send(tunnel);
            if (rest) return self->read_on();
            self->send(SnapshotEnd{});
            self->snapshot_end_ = self->sent_;
            self->snapshot_runs_ = false;
            if (self->snapshot_again_) self->send_snapshot();
        });
    });
}

// The other has caught up with some of it.
void Session::go_on() {
    if (too_slow_ && lag() <= world_.most_unapplied / 2) {
        too_slow_ = false;
        send_snapshot();
    }
    read_on();
}

// ---- what is heard ----

bool Session::take(Message message) {
    ++counters_.received;
    if (auto* hello = std::get_if<Hello>(&message)) {
        if (hello->node != hello_.node || hello->version != hello_.version) return false;
        hello_ = std::move(*hello);  // another part of the ports
    } else if (auto* owns = std::get_if<Owns>(&message)) {
        vips_ = {owns->vips.begin(), owns->vips.end()};
        settle_vips();
    } else if (auto* done = std::get_if<Applied>(&message)) {
        if (done->count > sent_ || done->count < acknowledged_) return false;
        acknowledged_ = done->count;
        while (!marks_.empty() && marks_.front().first <= acknowledged_) marks_.pop_front();
        settle_vips();
        go_on();
        return true;
    } else if (std::holds_alternative<SnapshotBegin>(message)) {
        hear_now();
        mentioned_ = std::make_shared<boost::unordered_flat_set<std::uint64_t>>();
        // Of one that was here, the snapshot may have been read before the other had applied what we say of it.
        snapshot_vips_ = vips_;
        for (const auto& vip : world_.tunnels.vips_untold()) snapshot_vips_.erase(vip);
        for (const auto& vip : world_.tunnels.vips_here()) snapshot_vips_.erase(vip);
    } else if (std::holds_alternative<SnapshotEnd>(message)) {
        if (!mentioned_) return false;
        // One that came to it in the meantime is not complete: tunnels were passed by before.
        auto& complete_for = waiting_.complete_for.emplace();
        std::set_intersection(snapshot_vips_.begin(), snapshot_vips_.end(), vips_.begin(), vips_.end(),
                              std::back_inserter(complete_for));
        ++waiting_messages_;
        hear_now();
        mentioned_.reset();
        return true;
    } else if (auto* tunnel = std::get_if<splice::Carried>(&message)) {
        waiting_.news.emplace_back(std::move(*tunnel));
    } else if (auto* gone = std::get_if<splice::Gone>(&message)) {
        waiting_.news.emplace_back(std::move(*gone));
    }
    ++waiting_messages_;
    if (waiting_messages_ >= most_heard_at_once) {
        hear_now();
    } else if (!hears_soon_) {
        hears_soon_ = true;
        world_.loop.defer([alive = alive_] {
            if (*alive == nullptr) return;
            (*alive)->hears_soon_ = false;
            (*alive)->hear_now();
        });
    }
    return true;
}

void Session::hear_now() {
    if (waiting_messages_ == 0) return;
    waiting_.mentioned = mentioned_;
    const std::uint64_t count = std::exchange(waiting_messages_, 0);
    const bool all = waiting_.complete_for.has_value();
    world_.tunnels.hear(std::exchange(waiting_, {}), [&loop = world_.loop, alive = alive_, count, all](auto answer) {
        loop.post([alive, count, all, answer = std::move(answer)] {
            if (*alive != nullptr) (*alive)->applied(count, answer, all);
        });
    });
}

void Session::applied(std::uint64_t messages, const splice::SharedTunnels::Answer& answer, bool all) {
    applied_ += messages;
    if (all && !std::exchange(has_all_, true)) world_.has_all_of_one();
    counters_.not_carried += answer.refused;
    for (const auto& gone : answer.gone) tell(gone);
    beat();
}

void Session::beat() { send(Applied{applied_}); }

// Whoever has a VIP now has heard of everything that ran over it here.
void Session::settle_vips() {
    if (!in_step() || acknowledged_ < vips_said_ || too_slow_) return;
    for (const auto& vip : world_.tunnels.vips_untold())
        if (vips_.contains(vip)) world_.tunnels.told(vip);
}

}  // namespace hawser::replication
