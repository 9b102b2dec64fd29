// SPDX-License-Identifier: Apache-2.0
#include "vip/virtual_router.h"

#include <algorithm>

namespace hawser::vip {

namespace {

using What = Action::What;

constexpr Duration last_word_delay{200'000};

Action advert(std::uint8_t priority) { return {.what = What::advert, .priority = priority}; }
Action announce(unsigned repeat) { return {.what = What::announce, .repeat = repeat}; }
Action plain(What what) { return {.what = what}; }

}  // namespace

std::string_view to_string(State state) {
    switch (state) {
        case State::stopped:
            return "Stopped";
        case State::fault:
            return "Fault";
        case State::backup:
            return "Backup";
        case State::active:
            return "Active";
    }
    return "?";
}

std::string_view keepalived_name(State state) {
    switch (state) {
        case State::stopped:
            return "STOP";
        case State::fault:
            return "FAULT";
        case State::backup:
            return "BACKUP";
        case State::active:
            return "MASTER";
    }
    return "?";
}

Duration VirtualRouter::skew() const { return skew(master_interval_); }

Duration VirtualRouter::skew(Duration interval) const {
    // RFC 3768 §6.1 counts seconds, whatever the interval.
    const Duration unit = settings_.version == 2 ? Duration{1'000'000} : interval;
    return unit * (256 - priority_) / 256;
}

Duration VirtualRouter::down_interval() const { return settings_.down_timer_adverts * master_interval_ + skew(); }

std::optional<TimePoint> VirtualRouter::deadline() const {
    if (state_ == State::backup) return timer_;
    if (state_ != State::active) return std::nullopt;
    TimePoint first = timer_;
    for (const auto& other : {second_burst_, refresh_, last_word_, lower_priority_burst_})
        if (other) first = std::min(first, *other);
    return first;
}

void VirtualRouter::change(TimePoint now, State to, Actions& out) {
    Action action = plain(What::changed);
    action.from = state_;
    action.to = to;
    state_ = to;
    since_ = now;
    out.push_back(action);
}

void VirtualRouter::go_active(TimePoint now, Actions& out) {
    // The advert first: it keeps the next backup from doing the same. Announcements need the addresses (V-26).
    out.push_back(advert(priority_));
    out.push_back(plain(What::take));
    if (settings_.repeat > 0) out.push_back(announce(settings_.repeat));
    change(now, State::active, out);
    master_ = settings_.own;
    master_interval_ = settings_.interval;
    timer_ = now + settings_.interval;
    preempt_from_.reset();
    second_burst_.reset();
    refresh_.reset();
    if (settings_.second_burst.count() > 0 && settings_.repeat > 0) second_burst_ = now + settings_.second_burst;
    if (settings_.refresh.count() > 0) refresh_ = now + settings_.refresh;
    last_word_.reset();
    lower_priority_burst_.reset();
}

void VirtualRouter::go_backup(TimePoint now, Actions& out) {
    if (state_ == State::active) out.push_back(plain(What::release));
    change(now, State::backup, out);
    timer_ = now + down_interval();
}

// To a state in which it takes no part.
void VirtualRouter::leave(TimePoint now, State to, Actions& out) {
    if (state_ == State::active) {
        // The addresses first: nobody may have them twice when the next one takes over.
        out.push_back(plain(What::release));
        out.push_back(advert(0));
    }
    change(now, to, out);
    preempt_from_.reset();
}

Actions VirtualRouter::start(TimePoint now) {
    Actions out;
    if (state_ != State::stopped) return out;
    if (at_fault_) {
        change(now, State::fault, out);
        return out;
    }
    master_interval_ = settings_.interval;
    if (is_owner()) {
        go_active(now, out);
        return out;
    }
    go_backup(now, out);
    if (settings_.preempt && !settings_.starts_as_master && settings_.preempt_delay.count() > 0) {
        preempt_from_ = now + settings_.preempt_delay;
        timer_ += settings_.preempt_delay;
    }
    return out;
}

Actions VirtualRouter::shut_down(TimePoint now) {
    Actions out;
    if (state_ != State::stopped) leave(now, State::stopped, out);
    return out;
}

void VirtualRouter::configure(const Settings& settings) {
    if (master_interval_ == settings_.interval || state_ == State::active) master_interval_ = settings.interval;
    settings_ = settings;
    if (state_ == State::active) master_ = settings.own;
    if (is_owner()) priority_ = 255;
}

Actions VirtualRouter::set_fault(TimePoint now, bool is_at_fault) {
    Actions out;
    at_fault_ = is_at_fault;
    if (state_ == State::stopped) return out;
    if (is_at_fault) {
        if (state_ != State::fault) leave(now, State::fault, out);
        return out;
    }
    if (state_ != State::fault) return out;
    master_interval_ = settings_.interval;
    if (is_owner())
        go_active(now, out);
    else
        go_backup(now, out);
    return out;
}

void VirtualRouter::set_priority(TimePoint now, int priority) {
    const auto next = is_owner() ? std::uint8_t{255} : static_cast<std::uint8_t>(std::clamp(priority, 1, 254));
    if (next == priority_) return;
    const Duration before = skew();
    priority_ = next;
    // The Active_Down_Timer is as if it had been set with this skew; never into the past.
    if (state_ == State::backup) timer_ = std::max(now, timer_ + (skew() - before));
}

// The other one is the active router.
void VirtualRouter::follow(TimePoint now, const Advert& heard, const net::IpAddress& sender) {
    master_ = sender;
    if (settings_.version == 3) master_interval_ = heard.interval;
    timer_ = now + down_interval();
}

void VirtualRouter::hear_as_backup(TimePoint now, const Advert& heard, const net::IpAddress& sender, bool waits) {
    if (heard.priority == 0) {  // V-14
        // One of ours says with it how short the wait may be (leaving_interval).
        timer_ = now + skew(std::min<Duration>(master_interval_, std::max<Duration>(heard.interval, leaving_interval)));
        return;
    }
    if (heard.priority >= priority_ || !preempts() || (waits && !is_owner())) {  // V-15
        preempt_from_.reset();
        follow(now, heard, sender);
        return;
    }
    if (settings_.preempt_delay.count() == 0 || is_owner()) return;  // V-16: the timer goes on
    if (!preempt_from_) preempt_from_ = now + settings_.preempt_delay;
    if (now < *preempt_from_) follow(now, heard, sender);
}

// A lower priority while we are active: somebody did not hear us. It will, and so will the switches.
void VirtualRouter::answer_lower_priority(TimePoint now, Actions& out) {
    // Not for every packet of a flood.
    if (last_answer_ && now - *last_answer_ < settings_.interval / 10) return;
    last_answer_ = now;
    out.push_back(plain(What::heard_lower_priority));
    if (settings_.lower_priority_no_advert) return;
    out.push_back(advert(priority_));  // V-22
    if (settings_.lower_priority_repeat == 0) return;
    // The other one announces itself too, perhaps behind our first answer.
    if (!last_word_) out.push_back(announce(settings_.lower_priority_repeat));
    last_word_ = now + last_word_delay;
    if (settings_.lower_priority_burst.count() > 0) lower_priority_burst_ = now + settings_.lower_priority_burst;
}

void VirtualRouter::hear_as_active(TimePoint now, const Advert& heard, const net::IpAddress& sender, Actions& out) {
    if (heard.priority == 0) {  // V-20
        out.push_back(advert(priority_));
        timer_ = now + settings_.interval;
        return;
    }
    // V-21: addresses as unsigned numbers in network order, which is how they compare.
    const bool loses = heard.priority > priority_ || (heard.priority == priority_ && sender > settings_.own);
    if (!loses) return answer_lower_priority(now, out);
    // keepalived's higher_prio_send_advert: the other one announces itself again after hearing this.
    if (settings_.higher_priority_advert) out.push_back(advert(priority_));
    if (settings_.version == 3) master_interval_ = heard.interval;
    go_backup(now, out);
    follow(now, heard, sender);
}

Actions VirtualRouter::hear(TimePoint now, const Advert& heard, const net::IpAddress& sender, bool waits) {
    Actions out;
    if (state_ == State::backup)
        hear_as_backup(now, heard, sender, waits);
    else if (state_ == State::active)
        hear_as_active(now, heard, sender, out);
    return out;
}

Actions VirtualRouter::on_time(TimePoint now) {
    Actions out;
    if (state_ == State::backup && now >= timer_) {
        go_active(now, out);  // V-13
        return out;
    }
    if (state_ != State::active) return out;
    if (now >= timer_) {
        out.push_back(advert(priority_));
        // Steps of the interval, unless some were missed.
        timer_ += settings_.interval;
        if (timer_ <= now) timer_ = now + settings_.interval;
    }
    if (second_burst_ && now >= *second_burst_) {
        second_burst_.reset();
        out.push_back(announce(settings_.repeat));
    }
    if (refresh_ && now >= *refresh_) {
        refresh_ = now + settings_.refresh;
        out.push_back(announce(settings_.refresh_repeat));
    }
    if (last_word_ && now >= *last_word_) {
        last_word_.reset();
        out.push_back(announce(settings_.lower_priority_repeat));
    }
    if (lower_priority_burst_ && now >= *lower_priority_burst_) {
        lower_priority_burst_.reset();
        out.push_back(announce(settings_.lower_priority_repeat));
    }
    return out;
}

Actions VirtualRouter::step_down(TimePoint now) {
    Actions out;
    if (state_ != State::active || is_owner()) return out;
    leave(now, State::backup, out);
    timer_ = now + down_interval();
    return out;
}

Actions VirtualRouter::become_active(TimePoint now) {
    Actions out;
    if (state_ == State::backup) go_active(now, out);
    return out;
}

Actions VirtualRouter::become_backup(TimePoint now) {
    Actions out;
    if (state_ == State::active) go_backup(now, out);
    return out;
}

}  // namespace hawser::vip
