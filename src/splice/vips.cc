// SPDX-License-Identifier: Apache-2.0
#include "splice/vips.h"

#include <sys/random.h>

#include <algorithm>
#include <ctime>

#include "splice/address.h"

namespace hawser::splice {

namespace {
constexpr std::uint64_t for_ever = ~std::uint64_t{0};

std::uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}
}  // namespace

PortPart part_of(std::uint16_t low, std::uint16_t high, unsigned part, unsigned parts) {
    const unsigned size = (high - low + 1U) / parts;
    if (size == 0) return {1, 0};
    const unsigned first = low + part * size;
    return {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(first + size - 1)};
}

Vips::Vips(const Tables& tables, const layout::settings& settings, bool on, std::chrono::milliseconds quiet_time)
    : tables_(tables),
      on_(on),
      quiet_ns_(static_cast<std::uint64_t>(quiet_time.count()) * 1'000'000),
      settings_(settings) {
    origin_ = tables_.origin.find(0).value_or(0);
    while (origin_ == 0)
        if (::getrandom(&origin_, sizeof origin_, 0) != sizeof origin_) origin_ = 0;
    tables_.origin.put(0, origin_);
    tables_.places.each([this](const layout::address& address, std::uint32_t index) {
        auto vip = tables_.vips.find(index);
        if (!vip) return;
        // What an earlier process held may have left with it; where nothing is shared, nothing is another node's.
        vip->owned_until = on_ ? 0 : for_ever;
        tables_.vips.put(index, *vip);
        places_[from_table(address)] = index;
        vips_[index] = *vip;
    });
    settings_.quiet_until = 0;
    set_part(0, 1);
}

void Vips::set_part(unsigned part, unsigned parts) {
    const std::lock_guard guard(mutex_);
    const PortPart mine = part_of(settings_.port_low, settings_.port_high, part, parts);
    settings_.vip_port_low = mine.low;
    settings_.vip_port_high = mine.high;
    tables_.settings.put(0, settings_);
}

void Vips::watch(std::function<void()> changed) {
    const std::lock_guard guard(mutex_);
    changed_ = std::move(changed);
}

std::uint32_t Vips::make_place(const net::IpAddress& vip) {
    if (const auto at = places_.find(vip); at != places_.end()) return at->second;
    for (std::uint32_t index = 1; index < layout::vip_places; ++index) {
        if (vips_.contains(index)) continue;
        layout::vip made{};
        made.address = to_table(vip);
        if (tables_.vips.put(index, made) != 0 || tables_.places.put(made.address, index) != 0) return 0;
        vips_[index] = made;
        places_[vip] = index;
        return index;
    }
    return 0;
}

void Vips::hold(const net::IpAddress& vip, std::chrono::milliseconds lease) {
    if (!on_ || vip.is_link_local()) return;
    std::function<void()> changed;
    {
        const std::lock_guard guard(mutex_);
        const std::uint32_t index = make_place(vip);
        if (index == 0) return;
        layout::vip& entry = vips_[index];
        const std::uint64_t now = monotonic_ns();
        if (now >= entry.owned_until) {
            ++entry.term;
            entry.since = now;
            entry.flags |= layout::vip_untold;
            begin_quiet_time(entry, now);
            changed = changed_;
        }
        entry.owned_until = now + static_cast<std::uint64_t>(lease.count()) * 1'000'000;
        tables_.vips.put(index, entry);
    }
    if (changed) changed();
}

void Vips::begin_quiet_time(layout::vip& vip, std::uint64_t now) {
    vip.quiet_until = settings_.quiet_until = now + quiet_ns_;
    tables_.settings.put(0, settings_);
}

void Vips::contest(const std::vector<net::IpAddress>& vips) {
    if (!on_) return;
    const std::lock_guard guard(mutex_);
    const std::uint64_t now = monotonic_ns();
    for (const auto& vip : vips) {
        const auto at = places_.find(vip);
        if (at == places_.end() || now >= vips_[at->second].owned_until) continue;
        layout::vip& entry = vips_[at->second];
        // A tenth of it more or less is not worth two system calls: adverts may come every 10 ms.
        if (entry.quiet_until > now && entry.quiet_until - now > quiet_ns_ - quiet_ns_ / 10) continue;
        begin_quiet_time(entry, now);
        tables_.vips.put(at->second, entry);
    }
}

void Vips::leave(const net::IpAddress& vip) {
    std::function<void()> changed;
    {
        const std::lock_guard guard(mutex_);
        const auto at = places_.find(vip);
        if (!on_ || at == places_.end()) return;
        layout::vip& entry = vips_[at->second];
        if (entry.owned_until == 0) return;
        entry.owned_until = 0;
        tables_.vips.put(at->second, entry);
        changed = changed_;
    }
    if (changed) changed();
}

Vips::Place Vips::place(std::uint32_t index, const layout::vip& vip) const {
    return {index, vip.term, vip.since, monotonic_ns() < vip.owned_until, (vip.flags & layout::vip_untold) != 0};
}

Vips::Place Vips::find(const net::IpAddress& vip) const {
    const std::lock_guard guard(mutex_);
    const auto at = places_.find(vip);
    return at == places_.end() ? Place{} : place(at->second, vips_.at(at->second));
}

Vips::Place Vips::find(std::uint32_t index) const {
    const std::lock_guard guard(mutex_);
    const auto at = vips_.find(index);
    return at == vips_.end() ? Place{} : place(index, at->second);
}

Vips::Place Vips::place_for(const net::IpAddress& vip) {
    const std::lock_guard guard(mutex_);
    const std::uint32_t index = make_place(vip);
    return index == 0 ? Place{} : place(index, vips_.at(index));
}

std::vector<net::IpAddress> Vips::here() const {
    std::vector<net::IpAddress> out;
    const std::lock_guard guard(mutex_);
    for (const auto& [ip, index] : places_)
        if (place(index, vips_.at(index)).here) out.push_back(ip);
    return out;
}

std::vector<net::IpAddress> Vips::untold() const {
    std::vector<net::IpAddress> out;
    const std::lock_guard guard(mutex_);
    for (const auto& [ip, index] : places_) {
        const Place found = place(index, vips_.at(index));
        if (found.untold && !found.here) out.push_back(ip);
    }
    return out;
}

void Vips::told(const net::IpAddress& vip) {
    const std::lock_guard guard(mutex_);
    const auto at = places_.find(vip);
    if (at == places_.end()) return;
    layout::vip& entry = vips_[at->second];
    if (place(at->second, entry).here || (entry.flags & layout::vip_untold) == 0) return;
    entry.flags &= ~layout::vip_untold;
    tables_.vips.put(at->second, entry);
}

bool Vips::is_crowded() const {
    const std::lock_guard guard(mutex_);
    return vips_.size() > layout::vip_places * 3 / 4;
}

void Vips::keep(const std::set<std::uint32_t>& used) {
    const std::lock_guard guard(mutex_);
    for (auto at = places_.begin(); at != places_.end();) {
        const std::uint32_t index = at->second;
        if (used.contains(index) || place(index, vips_.at(index)).here) {
            ++at;
            continue;
        }
        tables_.places.erase(to_table(at->first));
        vips_.erase(index);
        at = places_.erase(at);
    }
}

}  // namespace hawser::splice
