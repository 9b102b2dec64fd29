// SPDX-License-Identifier: Apache-2.0
#include "vip/plane.h"

#include <pthread.h>
#include <sched.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <future>

#include "vip/child.h"

namespace hawser::vip {

namespace vip = catalog::vip;

namespace {

constexpr std::size_t most_waiting_programs = 1'000;
constexpr net::Duration program_patience{60'000};
// What takes every priority but the owner's down to 1.
constexpr int most_added = 254;

TimePoint now() { return std::chrono::steady_clock::now(); }

// Virtual routers of two plans with the same key are the same one.
std::string key_of(const vip::VirtualRouter& router) {
    // One id may be there several times on an interface: with other groups, and with other unicast peers.
    const std::string whom = !router.unicast_peers.empty() ? "unicast " + router.name
                             : router.multicast_group      ? router.multicast_group->text()
                                                           : "";
    return router.interface + "|" + std::to_string(router.id) + (router.v6 ? "|6|" : "|4|") +
           std::to_string(router.version) + "|" + whom + (router.virtual_mac ? "|v" + router.virtual_mac->interface : "|");
}

}  // namespace

// A moment to the microsecond, which the loop's own timers are too coarse for.
class Plane::Alarm : private net::EventHandler {
  public:
    Alarm(net::Loop& loop, std::function<void()> ring)
        : loop_(loop), ring_(std::move(ring)), fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {}
    ~Alarm() override {
        if (fd_.valid()) loop_.unwatch(fd_.get(), *this);
    }
    net::Result<void> open() {
        if (!fd_.valid()) return net::system_error("timer", errno);
        return loop_.watch(fd_.get(), *this, EPOLLIN);
    }
    void set(std::optional<TimePoint> when) {
        itimerspec spec{};
        if (when) {
            // 0 would switch it off.
            const auto ns = std::max<std::int64_t>(
                1, std::chrono::duration_cast<std::chrono::nanoseconds>(when->time_since_epoch()).count());
            spec.it_value.tv_sec = ns / 1'000'000'000;
            spec.it_value.tv_nsec = ns % 1'000'000'000;
        }
        ::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
    }

  private:
    void on_events(std::uint32_t) override {
        std::uint64_t times = 0;
        while (::read(fd_.get(), &times, sizeof times) > 0) {
        }
        ring_();
    }
    net::Loop& loop_;
    std::function<void()> ring_;
    net::Fd fd_;
};

struct Plane::Group {
    const vip::SyncGroup* config = nullptr;
    std::vector<Router*> members;
    State told = State::stopped;  // to its programs
};

struct Plane::Beginning : net::Timer {
    explicit Beginning(Plane& owner) : plane(owner) {}
    void on_timer() override { plane.start_routers(); }
    Plane& plane;
};

struct Plane::Telling : net::Timer {
    explicit Telling(Plane& owner) : plane(owner) {}
    struct Program {
        vip::Command command;
        std::vector<std::string> more;
    };
    void next() {
        if (child || waiting.empty()) return;
        const Program program = std::move(waiting.front());
        waiting.pop_front();
        auto started = Child::start(plane.loop_, program.command, program.more, [this, program](int status) {
            const auto ended = std::move(child);
            cancel();
            if (status != 0)
                plane.callbacks_.log(Severity::warning, "vip: " + program.command.arguments.front() +
                                                            " ended with status " + std::to_string(status));
            next();
        });
        if (!started) {
            plane.callbacks_.log(Severity::warning, "vip: " + started.error().text());
            return next();
        }
        child = std::move(*started);
        plane.loop_.timers().set(*this, plane.loop_.now() + program_patience);
    }
    void on_timer() override {
        if (child) child->signal(SIGKILL);
    }
    Plane& plane;
    std::deque<Program> waiting;
    std::unique_ptr<Child> child;
};

Plane::Plane(const Options& options, Callbacks callbacks)
    : options_(options),
      callbacks_(std::move(callbacks)),
      links_(loop_,
             [this] {
                 for (const auto& router : routers_) router->links_changed(now());
                 judge();
             }),
      world_{loop_, links_, addresses_, [this](const std::string& interface) { return frames(interface); },
             [this] { return accept_filter(); },
             options.lifetime, callbacks_.log,
             [this](Router& router, State from, State to) { router_changed(router, from, to); },
             [this](Router& router) {
                 if (const auto& command = router.config().notify.lower_priority_heard; !command.empty())
                     run(command, {});
             },
             callbacks_.holding, callbacks_.released, callbacks_.heard, callbacks_.contested, callbacks_.knows_all_of, std::chrono::milliseconds(5'000)},
      why_not_healthy_("it has not begun to") {}

net::Result<std::unique_ptr<Plane>> Plane::open(const Options& options, Callbacks callbacks) {
    std::unique_ptr<Plane> plane(new Plane(options, std::move(callbacks)));
    if (auto started = plane->start(); !started) return started.error();
    return plane;
}

net::Result<void> Plane::start() {
    if (auto opened = addresses_.open(); !opened) return opened.error();
    if (auto opened = links_.open(); !opened) return opened.error();
    trackers_ = std::make_unique<Trackers>(loop_, links_, callbacks_.log, [this] { judge(); });
    telling_ = std::make_unique<Telling>(*this);
    beginning_ = std::make_unique<Beginning>(*this);
    alarm_ = std::make_unique<Alarm>(loop_, [this] { on_time(); });
    if (auto opened = alarm_->open(); !opened) return opened.error();
    loop_.at_turn_end([this] {
        settle_groups();
        set_alarm();
    });
    // Signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "hawser-vip");
        loop_.run();
    });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (options_.real_time_priority > 0) {
        sched_param wanted{};
        wanted.sched_priority = options_.real_time_priority;
        const int failed =
            ::pthread_setschedparam(thread_.native_handle(), SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted);
        if (failed != 0)
            callbacks_.log(Severity::warning, "vip: no real-time priority: " + std::string(std::strerror(failed)));
    }
    return {};
}

Plane::~Plane() { stop(); }

void Plane::stop() {
    if (!thread_.joinable()) return;
    run_on_thread([this] {
        stopping_ = true;
        for (const auto& router : routers_) router->shut_down(now());
    });
    // Programs that are told of it get a little time.
    bool told = false;
    for (int i = 0; i < 200 && !told; ++i) {
        run_on_thread([&] { told = !telling_->child && telling_->waiting.empty(); });
        if (!told) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    loop_.stop();
    thread_.join();
    groups_.clear();
    routers_.clear();
}

void Plane::run_on_thread(const std::function<void()>& work) {
    std::promise<void> done;
    loop_.post([&] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void Plane::apply(std::shared_ptr<const vip::Plan> plan) {
    run_on_thread([&] {
        if (!plan_ || *plan_ != *plan) replace(std::move(plan));
    });
}

void Plane::set_health(std::string why_not) {
    loop_.post([this, why = std::move(why_not)] {
        if (why_not_healthy_ == why) return;
        const bool was_healthy = why_not_healthy_.empty();
        why_not_healthy_ = why;
        judge();
        if (why.empty()) {
            callbacks_.log(Severity::info, "vip: the gateway can serve");
            return;
        }
        callbacks_.log(Severity::warning, "vip: the gateway cannot serve: " + why);
        if (!was_healthy) return;
        for (const auto& router : routers_)
            if (router->config().track_health) router->step_down(now());
    });
}

void Plane::replace(std::shared_ptr<const vip::Plan> plan) {
    std::map<std::string, std::unique_ptr<Router>> old;
    for (auto& router : routers_) old[key_of(router->config())] = std::move(router);
    routers_.clear();
    groups_.clear();
    const TimePoint when = now();
    for (const auto& config : plan->routers) {
        // Shares the plan's life.
        const std::shared_ptr<const vip::VirtualRouter> shared(plan, &config);
        auto& before = old[key_of(config)];
        if (before) {
            before->configure(shared, when);
            routers_.push_back(std::move(before));
        } else {
            routers_.push_back(std::make_unique<Router>(world_, shared));
        }
    }
    // Those that are gone leave before the new ones come: an address may have moved between them.
    deleting_ = true;
    for (auto& [key, router] : old)
        if (router) router->shut_down(when);
    deleting_ = false;
    for (const auto& config : plan->groups) {
        Group& group = groups_.emplace_back();
        group.config = &config;
        for (const auto& router : routers_)
            if (std::find(config.members.begin(), config.members.end(), router->config().name) != config.members.end())
                group.members.push_back(router.get());
    }
    const bool is_first = !plan_;
    plan_ = std::move(plan);
    trackers_->configure(*plan_);
    judge();
    if (const auto delay = plan_->settings.startup_delay; is_first && delay.count() > 0)
        loop_.timers().set(*beginning_, loop_.now() + std::chrono::ceil<net::Duration>(delay));
    if (!beginning_->is_set()) start_routers();
}

void Plane::start_routers() {
    for (const auto& router : routers_)
        if (router->state() == State::stopped) router->start(now());
    judge();  // what they miss themselves is known now
}

Plane::Group* Plane::group_of(const Router& router) {
    for (auto& group : groups_)
        if (std::find(group.members.begin(), group.members.end(), &router) != group.members.end()) return &group;
    return nullptr;
}

void Plane::judge() {
    if (!plan_) return;
    const TimePoint when = now();
    std::vector<Verdict> verdicts;
    std::map<const Group*, std::string> at_fault;  // groups, and the first member that is
    for (const auto& router : routers_) {
        const Group* const group = group_of(*router);
        const bool ignore_weights = group != nullptr && !group->config->keep_weights;
        Verdict verdict = trackers_->judge(router->config().tracking, ignore_weights);
        if (router->config().track_health && !why_not_healthy_.empty()) verdict.added -= most_added;
        if (group != nullptr) {
            const Verdict common = trackers_->judge(group->config->tracking, false);
            verdict.faults.insert(verdict.faults.end(), common.faults.begin(), common.faults.end());
            verdict.added += common.added;
            if (!verdict.faults.empty() || !router->own_faults().empty())
                at_fault.emplace(group, router->config().name);
        }
        verdicts.push_back(std::move(verdict));
    }
    for (std::size_t i = 0; i < routers_.size(); ++i) {
        Router& router = *routers_[i];
        const auto group = at_fault.find(group_of(router));
        if (group != at_fault.end() && group->second != router.config().name)
            verdicts[i].faults.push_back("of its group, " + group->second + " is at fault");
        router.set_tracking(std::move(verdicts[i].faults), verdicts[i].added, when);
    }
}

void Plane::on_time() {
    const TimePoint when = now();
    for (const auto& router : routers_)
        if (const auto due = router->deadline(); due && *due <= when) router->on_time(when);
}

void Plane::set_alarm() {
    std::optional<TimePoint> first;
    for (const auto& router : routers_)
        if (const auto due = router->deadline(); due && (!first || *due < *first)) first = due;
    alarm_->set(first);
}

void Plane::router_changed(Router& router, State from, State to) {
    const vip::VirtualRouter& config = router.config();
    std::string line = "vip: " + config.name + ": " + std::string(to_string(from)) + " -> " + std::string(to_string(to));
    if (to == State::active || from == State::active)
        for (const auto& address : router.status().addresses) line += " " + address;
    if (to == State::fault)
        for (const auto& fault : router.status().faults) line += ", " + fault;
    callbacks_.log(to == State::fault ? Severity::warning : Severity::info, line);
    notify("INSTANCE", config.name, config.notify, to, router.priority());
}

// All members of a sync group are active, or none.
void Plane::settle_groups() {
    if (settling_ || stopping_) return;
    settling_ = true;
    const TimePoint when = now();
    for (auto& group : groups_) {
        if (group.members.empty()) continue;
        const auto in = [&](State state) {
            return std::count_if(group.members.begin(), group.members.end(),
                                 [&](const Router* router) { return router->state() == state; });
        };
        const auto all = static_cast<std::ptrdiff_t>(group.members.size());
        // One at fault has put the others there, too (judge).
        if (const auto active = in(State::active); in(State::fault) == 0 && active > 0 && active < all)
            for (Router* router : group.members)
                router->follow_group(group.told == State::active ? State::backup : State::active, when);
        const State now_in = in(State::fault) > 0      ? State::fault
                             : in(State::active) == all ? State::active
                             : in(State::backup) == all ? State::backup
                                                        : group.told;
        if (now_in == group.told) continue;
        group.told = now_in;
        notify("GROUP", group.config->name, group.config->notify, now_in, group.members.front()->priority());
    }
    settling_ = false;
}

void Plane::notify(const std::string& kind, const std::string& name, const vip::Notify& programs, State state,
                   std::uint8_t priority) {
    const bool deleted = deleting_ && state == State::stopped && programs.says_deleted;
    if (deleting_ && state == State::stopped && !deleted) state = State::fault;
    const vip::Command& special = deleted                  ? programs.deleted
                                  : state == State::active ? programs.master
                                  : state == State::backup ? programs.backup
                                  : state == State::fault  ? programs.fault
                                                           : programs.stop;
    if (!special.empty()) run(special, {});
    if (programs.any.empty()) return;
    const std::string word = deleted ? "DELETED" : std::string(keepalived_name(state));
    run(programs.any, {kind, name, word, std::to_string(priority)});
}

void Plane::run(const vip::Command& command, const std::vector<std::string>& more) {
    if (telling_->waiting.size() >= most_waiting_programs) {
        callbacks_.log(Severity::warning, "vip: " + command.arguments.front() + " is not run: too many wait");
        return;
    }
    telling_->waiting.push_back({command, more});
    telling_->next();
}

FrameSocket* Plane::frames(const std::string& interface) {
    const Link* const link = links_.find(interface);
    if (link == nullptr) return nullptr;
    auto& socket = frames_[interface];
    auto& index = frame_indexes_[interface];
    if (socket && index == link->index) return socket.get();
    auto opened = FrameSocket::open(loop_, link->index, [this, interface](const Claim& claim) {
        for (const auto& router : routers_) router->hear_claim(claim, interface);
    });
    if (!opened) {
        callbacks_.log(Severity::warning, "vip: " + interface + ": " + opened.error().text());
        return nullptr;
    }
    socket = std::move(*opened);
    index = link->index;
    return socket.get();
}

// Once a virtual router has no_accept.
AcceptFilter* Plane::accept_filter() {
    if (accept_filter_) return accept_filter_.get();
    auto opened = AcceptFilter::open();
    if (!opened) {
        callbacks_.log(Severity::warning, "vip: no_accept cannot be kept: " + opened.error().text());
        return nullptr;
    }
    accept_filter_ = std::move(*opened);
    return accept_filter_.get();
}

std::vector<Status> Plane::status() {
    std::vector<Status> out;
    run_on_thread([&] {
        for (const auto& router : routers_) out.push_back(router->status());
    });
    return out;
}

}  // namespace hawser::vip
