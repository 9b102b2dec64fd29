// SPDX-License-Identifier: Apache-2.0
#include "vip/virtual_router.h"

#include <gtest/gtest.h>

#include <random>

namespace hawser::vip {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using What = Action::What;

net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

// Readable: "advert 100", "take", "announce 5", "Backup -> Active".
std::string text(const Actions& actions) {
    std::string out;
    for (const Action& action : actions) {
        if (!out.empty()) out += ", ";
        switch (action.what) {
            case What::advert:
                out += "advert " + std::to_string(action.priority);
                break;
            case What::take:
                out += "take";
                break;
            case What::release:
                out += "release";
                break;
            case What::announce:
                out += "announce " + std::to_string(action.repeat);
                break;
            case What::changed:
                out += std::string(to_string(action.from)) + " -> " + std::string(to_string(action.to));
                break;
            case What::heard_lower_priority:
                out += "heard lower";
                break;
        }
    }
    return out;
}

class VirtualRouterTest : public ::testing::Test {
  protected:
    VirtualRouterTest() { settings_.own = ip("192.168.0.100"); }

    VirtualRouter& make() {
        router_.emplace(settings_);
        now_ = TimePoint{} + std::chrono::hours(1);
        return *router_;
    }
    VirtualRouter& backup() {
        VirtualRouter& router = make();
        EXPECT_EQ(text(router.start(now_)), "Stopped -> Backup");
        return router;
    }
    VirtualRouter& active() {
        VirtualRouter& router = backup();
        now_ = *router.deadline();
        EXPECT_EQ(text(router.on_time(now_)), "advert 100, take, announce 5, Backup -> Active");
        return router;
    }
    static Advert advert(int priority, milliseconds interval = seconds(1)) {
        Advert out;
        out.id = 51;
        out.priority = static_cast<std::uint8_t>(priority);
        out.interval = interval;
        return out;
    }
    std::string hear(int priority, const char* from = "192.168.0.101", milliseconds interval = seconds(1)) {
        return text(router_->hear(now_, advert(priority, interval), ip(from)));
    }
    // Until the deadline.
    [[nodiscard]] Duration left() const {
        return std::chrono::duration_cast<Duration>(*router_->deadline() - now_);
    }

    VirtualRouter::Settings settings_;
    std::optional<VirtualRouter> router_;
    TimePoint now_{};
};

constexpr Duration down_of_100{3'000'000 + 609'375};  // 3 s and a skew of 156/256 s

TEST_F(VirtualRouterTest, StartsAsBackupAndTakesOverWhenNobodySpeaks) {
    VirtualRouter& router = backup();
    EXPECT_EQ(left(), down_of_100);
    EXPECT_TRUE(router.on_time(now_ + down_of_100 - Duration{1}).empty());
    now_ += down_of_100;
    // V-13; V-26: announced only after the addresses have come.
    EXPECT_EQ(text(router.on_time(now_)), "advert 100, take, announce 5, Backup -> Active");
    EXPECT_EQ(left(), seconds(1));
}

TEST_F(VirtualRouterTest, V05_TheOwnerIsActiveAtOnceAndKeeps255) {
    settings_.priority = 255;
    VirtualRouter& router = make();
    EXPECT_EQ(text(router.start(now_)), "advert 255, take, announce 5, Stopped -> Active");
    router.set_priority(now_, 10);
    EXPECT_EQ(router.priority(), 255);
}

TEST_F(VirtualRouterTest, V05_OthersStayWithin1And254) {
    VirtualRouter& router = backup();
    router.set_priority(now_, 300);
    EXPECT_EQ(router.priority(), 254);
    router.set_priority(now_, -20);
    EXPECT_EQ(router.priority(), 1);
}

TEST_F(VirtualRouterTest, V12_ABackupStopsInSilence) {
    EXPECT_EQ(text(backup().shut_down(now_)), "Backup -> Stopped");
    EXPECT_FALSE(router_->deadline());
}

TEST_F(VirtualRouterTest, V14_WhenTheActiveOneLeavesTheSkewIsLeft) {
    backup();
    EXPECT_EQ(hear(0), "");
    EXPECT_EQ(left(), Duration{609'375});
}

TEST_F(VirtualRouterTest, V14_OneOfOursThatLeavesShortensTheSkew) {
    backup();
    hear(0, "192.168.0.101", leaving_interval);
    EXPECT_EQ(left(), Duration{6'093});
    backup();
    hear(0, "192.168.0.101", seconds(40));
    EXPECT_EQ(left(), Duration{609'375}) << "never a longer one";
    settings_.version = 2;
    backup();
    hear(0, "192.168.0.101", leaving_interval);
    EXPECT_EQ(left(), Duration{609'375}) << "it has no such field";
}

TEST_F(VirtualRouterTest, V15_AnAdvertOfAtLeastOurPrioritySetsTheTimerAnew) {
    for (const int priority : {100, 101, 255}) {
        backup();
        now_ += seconds(2);
        EXPECT_EQ(hear(priority), "") << priority;
        EXPECT_EQ(left(), down_of_100) << priority;
    }
}

TEST_F(VirtualRouterTest, V15_TheIntervalOfTheActiveOneIsOurs) {
    VirtualRouter& router = backup();
    hear(150, "192.168.0.101", milliseconds(100));
    EXPECT_EQ(left(), Duration{300'000 + 60'937});
    EXPECT_EQ(router.master_interval(), milliseconds(100));
    EXPECT_EQ(router.master(), ip("192.168.0.101"));
}

TEST_F(VirtualRouterTest, V15_WithoutPreemptALowerPriorityIsFollowedToo) {
    settings_.preempt = false;
    backup();
    now_ += seconds(3);
    EXPECT_EQ(hear(1), "");
    EXPECT_EQ(left(), down_of_100);
}

TEST_F(VirtualRouterTest, V16_ALowerPriorityIsFollowedWhileWeWait) {
    VirtualRouter& router = backup();
    const auto hear_waiting = [&](bool waits) {
        return text(router.hear(now_, Advert{.priority = 50, .addresses = {}}, ip("192.168.0.101"), waits));
    };
    now_ += seconds(3);
    EXPECT_EQ(hear_waiting(true), "");
    EXPECT_EQ(left(), down_of_100);
    now_ += seconds(3);
    EXPECT_EQ(hear_waiting(false), "");
    EXPECT_EQ(left(), down_of_100 - seconds(3)) << "the timer goes on";
}

TEST_F(VirtualRouterTest, V16_WithPreemptALowerPriorityIsNotHeard) {
    backup();
    now_ += seconds(3);
    EXPECT_EQ(hear(99), "");
    EXPECT_EQ(left(), down_of_100 - seconds(3));
}

TEST_F(VirtualRouterTest, V19_AnActiveOneLeavesWithPriority0) {
    EXPECT_EQ(text(active().shut_down(now_)), "release, advert 0, Active -> Stopped");
    EXPECT_FALSE(router_->deadline());
}

TEST_F(VirtualRouterTest, V20_AdvertsComeEveryIntervalWithoutDrift) {
    VirtualRouter& router = active();
    const TimePoint began = now_;
    for (int i = 1; i <= 3; ++i) {
        now_ = *router.deadline() + milliseconds(7);  // this thread is late each time
        EXPECT_EQ(text(router.on_time(now_)), "advert 100");
        EXPECT_EQ(*router.deadline(), began + seconds(i + 1));
    }
}

TEST_F(VirtualRouterTest, V20_AfterALongSleepThereIsOneAdvertNotMany) {
    settings_.second_burst = Duration{0};
    VirtualRouter& router = active();
    now_ += seconds(20);
    EXPECT_EQ(text(router.on_time(now_)), "advert 100");
    EXPECT_EQ(left(), seconds(1));
}

TEST_F(VirtualRouterTest, V20_AnotherActiveOneThatLeavesIsAnswered) {
    active();
    now_ += milliseconds(400);
    EXPECT_EQ(hear(0), "advert 100");
    EXPECT_EQ(left(), seconds(1));
}

TEST_F(VirtualRouterTest, V21_AHigherPriorityWins) {
    active();
    EXPECT_EQ(hear(101, "192.168.0.101", milliseconds(500)), "release, Active -> Backup");
    EXPECT_EQ(left(), Duration{1'500'000 + 304'687});
}

TEST_F(VirtualRouterTest, V21_AmongEqualsTheHigherAddressWinsAsAnUnsignedNumber) {
    active();
    EXPECT_NE(hear(100, "192.168.0.99"), "release, Active -> Backup");
    settings_.own = ip("10.0.0.1");
    active();
    EXPECT_EQ(hear(100, "200.0.0.1"), "release, Active -> Backup") << "200 is more than 127, not less than 0";
}

TEST_F(VirtualRouterTest, V22_ALowerPriorityIsAnsweredAtOnce) {
    active();
    now_ += milliseconds(300);
    EXPECT_EQ(hear(99), "heard lower, advert 100, announce 5");
    now_ = *router_->deadline();
    EXPECT_EQ(text(router_->on_time(now_)), "announce 5") << "the last word: the other one announced itself, too";
    EXPECT_EQ(*router_->deadline() - now_, milliseconds(500)) << "the own rhythm goes on";
}

TEST_F(VirtualRouterTest, V22_AFloodOfThemIsNotMultiplied) {
    active();
    now_ += milliseconds(300);
    hear(99);
    for (int i = 0; i < 90; ++i) {
        now_ += milliseconds(1);
        EXPECT_EQ(hear(99), "");
    }
    now_ += milliseconds(10);
    EXPECT_EQ(hear(99), "heard lower, advert 100") << "announcements wait for the next burst";
}

TEST_F(VirtualRouterTest, LowerPrioNoAdvert) {
    settings_.lower_priority_no_advert = true;
    active();
    EXPECT_EQ(hear(99), "heard lower");
}

TEST_F(VirtualRouterTest, HigherPrioSendAdvert) {
    settings_.higher_priority_advert = true;
    active();
    EXPECT_EQ(hear(200), "advert 100, release, Active -> Backup");
}

TEST_F(VirtualRouterTest, PreemptDelayWaitsAtTheStart) {
    settings_.preempt_delay = seconds(2);
    backup();
    EXPECT_EQ(left(), down_of_100 + seconds(2));
}

TEST_F(VirtualRouterTest, PreemptDelayFollowsALowerPriorityUntilItIsOver) {
    settings_.preempt_delay = seconds(5);
    backup();
    hear(150);
    now_ += milliseconds(500);
    const TimePoint first = now_;
    while (now_ < first + seconds(5)) {
        hear(50);
        EXPECT_EQ(left(), down_of_100);
        now_ += seconds(1);
    }
    now_ += milliseconds(1);
    const Duration before = left();
    hear(50);
    EXPECT_EQ(left(), before) << "from here on it is not heard";
}

TEST_F(VirtualRouterTest, PreemptDelayBeginsAnewAfterAHigherPriority) {
    settings_.preempt_delay = seconds(5);
    backup();
    hear(150);
    hear(50);
    now_ += seconds(4);
    hear(150);
    now_ += seconds(2);
    hear(50);
    EXPECT_EQ(left(), down_of_100);
}

TEST_F(VirtualRouterTest, DownTimerAdverts) {
    settings_.down_timer_adverts = 10;
    backup();
    EXPECT_EQ(left(), seconds(7) + down_of_100);
}

TEST_F(VirtualRouterTest, Version2CountsTheSkewInSeconds) {
    settings_.version = 2;
    settings_.interval = seconds(10);
    backup();
    EXPECT_EQ(left(), seconds(30) + Duration{609'375});
}

TEST_F(VirtualRouterTest, AFaultGivesTheAddressesAwayAndSaysSo) {
    VirtualRouter& router = active();
    EXPECT_EQ(text(router.set_fault(now_, true)), "release, advert 0, Active -> Fault");
    EXPECT_EQ(text(router.set_fault(now_, true)), "");
    EXPECT_FALSE(router.deadline());
    EXPECT_EQ(hear(0), "");
    EXPECT_EQ(text(router.set_fault(now_, false)), "Fault -> Backup");
    EXPECT_EQ(left(), down_of_100);
}

TEST_F(VirtualRouterTest, AFaultFromTheBeginningWaits) {
    VirtualRouter& router = make();
    router.set_fault(now_, true);
    EXPECT_EQ(text(router.start(now_)), "Stopped -> Fault");
    EXPECT_EQ(text(router.set_fault(now_, false)), "Fault -> Backup");
}

TEST_F(VirtualRouterTest, AnotherPriorityMovesTheTimerByItsSkewOnly) {
    VirtualRouter& router = backup();
    now_ += seconds(1);
    router.set_priority(now_, 228);
    EXPECT_EQ(left(), seconds(2) + Duration{109'375});
}

TEST_F(VirtualRouterTest, AReloadChangesNothingThatRuns) {
    VirtualRouter& router = active();
    const TimePoint due = *router.deadline();
    settings_.interval = milliseconds(100);
    router.configure(settings_);
    EXPECT_EQ(router.state(), State::active);
    EXPECT_EQ(*router.deadline(), due);
    router.on_time(due);
    EXPECT_EQ(*router.deadline(), due + milliseconds(100));
}

TEST_F(VirtualRouterTest, AnnouncesAgainAfterTheDelayAndAtEveryRefresh) {
    settings_.refresh = seconds(60);
    settings_.refresh_repeat = 2;
    VirtualRouter& router = active();
    const TimePoint began = now_;
    std::vector<std::pair<std::int64_t, std::string>> seen;
    while (now_ < began + seconds(125)) {
        now_ = *router.deadline();
        for (const Action& action : router.on_time(now_))
            if (action.what == What::announce)
                seen.emplace_back(std::chrono::duration_cast<seconds>(now_ - began).count(), text({action}));
    }
    EXPECT_EQ(seen, (std::vector<std::pair<std::int64_t, std::string>>{
                        {5, "announce 5"}, {60, "announce 2"}, {120, "announce 2"}}));
}

TEST_F(VirtualRouterTest, StepsDownForOthersAndComesBackWhenThereAreNone) {
    VirtualRouter& router = active();
    router.set_priority(now_, 1);
    EXPECT_EQ(text(router.step_down(now_)), "release, advert 0, Active -> Backup");
    EXPECT_EQ(left(), Duration{3'000'000 + 996'093});
    now_ = *router.deadline();
    EXPECT_EQ(text(router.on_time(now_)), "advert 1, take, announce 5, Backup -> Active");
}

TEST_F(VirtualRouterTest, FollowsItsGroup) {
    VirtualRouter& router = backup();
    EXPECT_EQ(text(router.become_active(now_)), "advert 100, take, announce 5, Backup -> Active");
    EXPECT_EQ(text(router.become_active(now_)), "");
    EXPECT_EQ(text(router.become_backup(now_)), "release, Active -> Backup");
}

// Several of them on a network that loses, delays and partitions; then it is whole for a while.
class Network {
  public:
    explicit Network(std::uint32_t seed, std::size_t count) : dice_(seed) {
        for (std::size_t i = 0; i < count; ++i) {
            VirtualRouter::Settings settings;
            settings.priority = static_cast<std::uint8_t>(1 + dice_() % 254);
            settings.preempt = dice_() % 3 != 0;
            settings.interval = milliseconds(10 * (1 + dice_() % 100));
            settings.own = net::IpAddress::v4(static_cast<std::uint32_t>(0xc0a80001 + i * 0x01000000));
            nodes_.push_back({VirtualRouter(settings), settings, true});
        }
    }

    void run(Duration length, bool rough) {
        const TimePoint end = now_ + length;
        while (now_ < end) {
            now_ += milliseconds(1);
            if (rough) disturb();
            deliver();
            for (std::size_t i = 0; i < nodes_.size(); ++i)
                if (nodes_[i].router.deadline() && *nodes_[i].router.deadline() <= now_)
                    perform(i, nodes_[i].router.on_time(now_));
        }
    }
    void heal() {
        for (auto& node : nodes_) node.connected = true;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            perform(i, nodes_[i].router.set_fault(now_, false));
            perform(i, nodes_[i].router.start(now_));
        }
        rough_ = false;
    }
    [[nodiscard]] std::size_t active() const {
        std::size_t count = 0;
        for (const auto& node : nodes_) count += node.router.state() == State::active ? 1 : 0;
        return count;
    }
    [[nodiscard]] bool holds_match_states() const {
        for (const auto& node : nodes_)
            if (node.holds != (node.router.state() == State::active)) return false;
        return true;
    }

  private:
    struct Node {
        VirtualRouter router;
        VirtualRouter::Settings settings;
        bool connected = true;
        bool holds = false;
    };
    struct Flight {
        TimePoint at;
        std::size_t from, to;
        Advert advert;
    };
    void disturb() {
        rough_ = true;
        if (dice_() % 200 != 0) return;
        const std::size_t i = dice_() % nodes_.size();
        Node& node = nodes_[i];
        switch (dice_() % 5) {
            case 0:
                node.connected = !node.connected;
                break;
            case 1:
                perform(i, node.router.start(now_));
                break;
            case 2:
                perform(i, node.router.shut_down(now_));
                break;
            case 3:
                perform(i, node.router.set_fault(now_, dice_() % 2 == 0));
                break;
            default:
                node.router.set_priority(now_, static_cast<int>(dice_() % 300));
        }
    }
    void perform(std::size_t i, const Actions& actions) {
        for (const Action& action : actions) {
            if (action.what == What::take) nodes_[i].holds = true;
            if (action.what == What::release) nodes_[i].holds = false;
            if (action.what != What::advert) continue;
            Advert advert;
            advert.priority = action.priority;
            advert.interval = std::chrono::duration_cast<milliseconds>(nodes_[i].settings.interval);
            for (std::size_t to = 0; to < nodes_.size(); ++to) {
                if (to == i || !nodes_[i].connected || !nodes_[to].connected) continue;
                if (rough_ && dice_() % 10 == 0) continue;
                flights_.push_back({now_ + Duration{dice_() % 2'000}, i, to, advert});
            }
        }
    }
    void deliver() {
        for (std::size_t f = 0; f < flights_.size();) {
            if (flights_[f].at > now_) {
                ++f;
                continue;
            }
            const Flight flight = flights_[f];
            flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(f));
            perform(flight.to, nodes_[flight.to].router.hear(now_, flight.advert, nodes_[flight.from].settings.own));
        }
    }

    std::mt19937 dice_;
    std::vector<Node> nodes_;
    std::vector<Flight> flights_;
    TimePoint now_ = TimePoint{} + std::chrono::hours(1);
    bool rough_ = false;
};

TEST(Election, EndsWithOneActiveWhateverHappenedBefore) {
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Network network(seed, 2 + seed % 4);
        network.run(seconds(5), true);
        network.heal();
        network.run(seconds(10), false);
        EXPECT_EQ(network.active(), 1U);
        EXPECT_TRUE(network.holds_match_states());
    }
}

}  // namespace
}  // namespace hawser::vip
