// SPDX-License-Identifier: Apache-2.0
#pragma once

// The state machine of one virtual router (RFC 9568 §6.4; RFC 3768 §6.4 for version 2), with keepalived's additions:
// the fault state, preempt_delay, down_timer_adverts, repeated announcements. Pure: events and the time in, actions out.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "vip/advert.h"

namespace hawser::vip {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::microseconds;

// `stopped` is the RFC's Initialize; `fault` the same while something that it needs is missing.
enum class State : std::uint8_t { stopped, fault, backup, active };
std::string_view to_string(State state);       // "Stopped", "Fault", "Backup", "Active"
std::string_view keepalived_name(State state); // "STOP", "FAULT", "BACKUP", "MASTER"

struct Action {
    enum class What : std::uint8_t {
        advert,    // send one with `priority`
        take,      // the addresses come to this node
        release,   // and leave it
        announce,  // tell the neighbours, `repeat` times each address
        changed,   // the state is another: `from`, `to`
        heard_lower_priority  // while active: keepalived's notify_master_rx_lower_pri
    } what;
    std::uint8_t priority = 0;
    unsigned repeat = 0;
    State from = State::stopped, to = State::stopped;

    bool operator==(const Action&) const = default;
};
using Actions = std::vector<Action>;  // in the order in which they are to be done

class VirtualRouter {
  public:
    struct Settings {
        std::uint8_t version = 3;
        std::uint8_t priority = 100;  // 1..255; 255: the owner, whatever becomes of anything that is tracked
        Duration interval{1'000'000};
        bool starts_as_master = false;
        bool preempt = true;
        Duration preempt_delay{0};
        unsigned down_timer_adverts = 3;
        bool lower_priority_no_advert = false;
        bool higher_priority_advert = false;
        net::IpAddress own;  // source of the adverts: decides among equal priorities
        // Announcements: catalog::vip::Announcing.
        unsigned repeat = 5, refresh_repeat = 1, lower_priority_repeat = 5;
        Duration second_burst{5'000'000}, refresh{0}, lower_priority_burst{5'000'000};
    };
    explicit VirtualRouter(const Settings& settings)
        : settings_(settings), priority_(settings.priority), master_interval_(settings.interval) {}

    Actions start(TimePoint now);     // from stopped
    Actions shut_down(TimePoint now);  // to stopped
    // Changes nothing that is running: neither the state nor, in backup, the time that is left.
    void configure(const Settings& settings);
    // Whether something is missing that it needs: an interface, a script's success.
    Actions set_fault(TimePoint now, bool is_at_fault);
    // Base priority and what is tracked, together; an owner keeps its 255. Clamped to 1..254.
    void set_priority(TimePoint now, int priority);
    // waits: the sender keeps what it has for the moment, whatever our priority.
    Actions hear(TimePoint now, const Advert& advert, const net::IpAddress& sender, bool waits = false);
    // The deadline() has come.
    Actions on_time(TimePoint now);
    // Others shall be active, if there are any: an active router leaves as at its end, and is a backup from then on. An
    // owner stays.
    Actions step_down(TimePoint now);
    // A sync group follows one of its members. Nothing in stopped and fault.
    Actions become_active(TimePoint now);
    Actions become_backup(TimePoint now);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] std::uint8_t priority() const { return priority_; }
    [[nodiscard]] TimePoint since() const { return since_; }  // of the state
    [[nodiscard]] std::optional<TimePoint> deadline() const;
    // Of RFC 9568 §6.1, from the interval in force (in version 3 the active router's).
    [[nodiscard]] Duration skew() const;
    [[nodiscard]] Duration skew(Duration interval) const;
    [[nodiscard]] Duration down_interval() const;
    // Of the last one that was believed; until then unspecified.
    [[nodiscard]] const net::IpAddress& master() const { return master_; }
    [[nodiscard]] Duration master_interval() const { return master_interval_; }

  private:
    [[nodiscard]] bool is_owner() const { return settings_.priority == 255; }
    [[nodiscard]] bool preempts() const { return settings_.preempt || is_owner(); }
    void change(TimePoint now, State to, Actions& out);
    void go_active(TimePoint now, Actions& out);
    void go_backup(TimePoint now, Actions& out);
    void leave(TimePoint now, State to, Actions& out);
    void follow(TimePoint now, const Advert& advert, const net::IpAddress& sender);
    void hear_as_backup(TimePoint now, const Advert& advert, const net::IpAddress& sender, bool waits);
    void hear_as_active(TimePoint now, const Advert& advert, const net::IpAddress& sender, Actions& out);
    void answer_lower_priority(TimePoint now, Actions& out);

    Settings settings_;
    State state_ = State::stopped;
    bool at_fault_ = false;
    std::uint8_t priority_;
    Duration master_interval_;  // Active_Adver_Interval
    net::IpAddress master_;
    TimePoint since_{};
    TimePoint timer_{};                        // Adver_Timer while active, Active_Down_Timer in backup
    std::optional<TimePoint> preempt_from_;    // preempt_delay: until then a lower priority is followed
    std::optional<TimePoint> second_burst_, refresh_;
    // After a lower priority was heard: soon, when the other one has had its say, and once more after the delay.
    std::optional<TimePoint> last_word_, lower_priority_burst_;
    std::optional<TimePoint> last_answer_;     // to a lower priority
};

}  // namespace hawser::vip
