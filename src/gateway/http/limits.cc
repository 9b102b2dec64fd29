// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/limits.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <limits>
#include <list>
#include <mutex>

#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::LimitConnections;
using catalog::http::LimitRequests;
using catalog::http::LimitZone;
using catalog::http::Settings;

namespace {

// What a key costs in nginx's shared memory on a 64-bit machine: a power of two that holds the node's head
// and the key. So a zone holds about as many keys here as there.
constexpr std::size_t connection_node = 36, request_node = 80;
std::size_t cost(std::size_t head, std::string_view key) { return std::bit_ceil(head + key.size()); }

struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace

class ConnectionZone {
  public:
    void set_size(std::uint64_t bytes) { size_.store(bytes, std::memory_order_relaxed); }

    bool enter(std::string_view key, std::uint32_t limit) {
        const std::lock_guard lock(mutex_);
        auto at = counts_.find(key);
        if (at == counts_.end()) {
            const std::size_t bytes = cost(connection_node, key);
            if (used_ + bytes > size_.load(std::memory_order_relaxed)) return false;
            used_ += bytes;
            counts_.emplace(std::string(key), 1);
            return true;
        }
        if (at->second >= limit) return false;
        ++at->second;
        return true;
    }

    void leave(const std::string& key) {
        const std::lock_guard lock(mutex_);
        const auto at = counts_.find(key);
        if (at == counts_.end() || --at->second > 0) return;
        used_ -= cost(connection_node, key);
        counts_.erase(at);
    }

  private:
    std::mutex mutex_;
    std::atomic<std::uint64_t> size_{0};
    std::size_t used_ = 0;
    std::unordered_map<std::string, std::uint32_t, StringHash, std::equal_to<>> counts_;
};

// nginx's arithmetic: excess in thousandths of a request, rates in thousandths per second, whole
// milliseconds; so the same requests at the same times get the same answers.
class RequestZone {
  public:
    struct Bucket {
        std::string key;
        std::int64_t excess = 0;
        std::int64_t last = 0;  // ms
        std::uint32_t users = 0;
        bool fresh = true;  // `last` is not set yet
    };
    using Buckets = std::list<Bucket>;

    enum class Found : unsigned char { passed, busy, pending, full };

    void set_size(std::uint64_t bytes) { size_.store(bytes, std::memory_order_relaxed); }

    // account: the last of the limits writes its counter at once; the others keep the bucket for account().
    Found look_up(std::string_view key, std::int64_t rate, std::int64_t burst, std::int64_t now, bool account,
                  std::int64_t& excess, Buckets::iterator& bucket) {
        const std::lock_guard lock(mutex_);
        if (const auto at = index_.find(key); at != index_.end()) {
            bucket = at->second;
            buckets_.splice(buckets_.begin(), buckets_, bucket);
            const std::int64_t ms = elapsed(*bucket, now);
            excess = std::max<std::int64_t>(leaked(*bucket, rate, ms) + 1000, 0);
            if (excess > burst) return Found::busy;
            if (account) {
                bucket->excess = excess;
                if (ms != 0) bucket->last = now;
                return Found::passed;
            }
            ++bucket->users;
            return Found::pending;
        }
        excess = 0;
        if (!make_room(key, rate, now)) return Found::full;
        buckets_.push_front(Bucket{std::string(key), 0, now, account ? 0U : 1U, !account});
        bucket = buckets_.begin();
        index_.emplace(bucket->key, bucket);
        return account ? Found::passed : Found::pending;
    }

    std::int64_t account(Buckets::iterator bucket, std::int64_t rate, std::int64_t now) {
        const std::lock_guard lock(mutex_);
        if (bucket->fresh) {
            bucket->fresh = false;
            bucket->last = now;
        } else {
            const std::int64_t ms = elapsed(*bucket, now);
            bucket->excess = std::max<std::int64_t>(leaked(*bucket, rate, ms) + 1000, 0);
            if (ms != 0) bucket->last = now;
        }
        --bucket->users;
        return bucket->excess;
    }

    void forget(Buckets::iterator bucket) {
        const std::lock_guard lock(mutex_);
        --bucket->users;
    }

  private:
    static std::int64_t elapsed(const Bucket& bucket, std::int64_t now) {
        const std::int64_t ms = now - bucket.last;
        if (ms < -60'000) return 1;
        return std::max<std::int64_t>(ms, 0);
    }
    static std::int64_t leaked(const Bucket& bucket, std::int64_t rate, std::int64_t ms) {
        return bucket.excess - rate * ms / 1000;
    }

    void drop_last() {
        const Bucket& last = buckets_.back();
        used_ -= cost(request_node, last.key);
        index_.erase(last.key);
        buckets_.pop_back();
    }

    // A new key clears away up to two buckets that ran empty a minute ago; a full zone gives up its least
    // recently used bucket whatever is in it.
    bool make_room(std::string_view key, std::int64_t rate, std::int64_t now) {
        for (int i = 0; i < 2 && !buckets_.empty(); ++i) {
            const Bucket& last = buckets_.back();
            if (last.users > 0 || now - last.last < 60'000) break;
            if (leaked(last, rate, now - last.last) > 0) break;
            drop_last();
        }
        const std::size_t bytes = cost(request_node, key);
        const std::uint64_t size = size_.load(std::memory_order_relaxed);
        while (used_ + bytes > size && !buckets_.empty() && buckets_.back().users == 0) drop_last();
        if (used_ + bytes > size) return false;
        used_ += bytes;
        return true;
    }

    std::mutex mutex_;
    std::atomic<std::uint64_t> size_{0};
    std::size_t used_ = 0;
    Buckets buckets_;  // most recently used first
    std::unordered_map<std::string_view, Buckets::iterator> index_;
};

template <class Zone>
std::shared_ptr<Zone> LimitZones::find(ByName<Zone>& zones, const LimitZone& zone) {
    {
        const std::shared_lock lock(mutex_);
        if (const auto at = zones.find(zone.name); at != zones.end()) {
            at->second->set_size(zone.size);
            return at->second;
        }
    }
    const std::unique_lock lock(mutex_);
    auto& found = zones[zone.name];
    if (!found) found = std::make_shared<Zone>();
    found->set_size(zone.size);
    return found;
}

std::shared_ptr<ConnectionZone> LimitZones::connections(const LimitZone& zone) {
    return find(connections_, zone);
}
std::shared_ptr<RequestZone> LimitZones::requests(const LimitZone& zone) { return find(requests_, zone); }

std::shared_ptr<LimitZones> make_limit_zones() { return std::make_shared<LimitZones>(); }

struct LimitHold::Impl {
    std::vector<std::pair<std::shared_ptr<ConnectionZone>, std::string>> held;
    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        for (const auto& [zone, key] : held) zone->leave(key);
    }
};

LimitHold::LimitHold() = default;
LimitHold::~LimitHold() = default;
LimitHold::LimitHold(LimitHold&&) noexcept = default;
LimitHold& LimitHold::operator=(LimitHold&&) noexcept = default;

std::optional<Answer> limit_connections(Exchange& x, LimitZones& zones, LimitHold& hold) {
    constexpr std::size_t longest_key = 255;
    const Settings& settings = settings_of(x);
    if (settings.limit_connections.empty() || x.limit_conn_status != nullptr) return std::nullopt;
    bool counted = false;
    auto taken = std::make_unique<LimitHold::Impl>();
    for (const LimitConnections& limit : settings.limit_connections) {
        std::string key = expand(limit.zone->key, x);
        if (key.empty() || key.size() > longest_key) continue;
        counted = true;
        auto zone = zones.connections(*limit.zone);
        if (zone->enter(key, limit.limit)) {
            taken->held.emplace_back(std::move(zone), std::move(key));
            continue;
        }
        if (settings.limit_connections_dry_run) {
            x.limit_conn_status = "REJECTED_DRY_RUN";
            return std::nullopt;
        }
        x.limit_conn_status = "REJECTED";
        Answer answer;
        answer.status = settings.limit_connections_status;
        answer.reason = "limiting connections by zone \"" + limit.zone->name + '"';
        return answer;
    }
    if (!counted) return std::nullopt;
    x.limit_conn_status = "PASSED";
    hold.impl_ = std::move(taken);
    return std::nullopt;
}

namespace {

struct Pending {
    const LimitRequests* limit = nullptr;
    std::shared_ptr<RequestZone> zone;
    RequestZone::Buckets::iterator bucket;
    std::int64_t rate = 0;
};

std::int64_t rate_of(const LimitZone& zone) {
    // Thousandths of a request per second, cut off as nginx does; the epsilon undoes binary fractions.
    return std::max<std::int64_t>(static_cast<std::int64_t>(zone.rate_per_second * 1000 + 1e-6), 1);
}

std::int64_t delay_after(const LimitRequests& limit) {
    return limit.no_delay ? std::numeric_limits<std::int64_t>::max()
                          : std::int64_t{limit.no_delay_after} * 1000;
}

std::int64_t delay_ms(const LimitRequests& limit, std::int64_t excess, std::int64_t rate) {
    const std::int64_t free = delay_after(limit);
    return excess <= free ? 0 : (excess - free) * 1000 / rate;
}

std::string excess_text(std::string_view what, std::int64_t excess, const LimitZone& zone) {
    char number[32];
    std::snprintf(number, sizeof number, "%lld.%03d", static_cast<long long>(excess / 1000),
                  static_cast<int>(excess % 1000));
    return std::string(what) + ", excess: " + number + " by zone \"" + zone.name + '"';
}

}  // namespace

RequestVerdict limit_requests(Exchange& x, LimitZones& zones, SteadyTime now) {
    constexpr std::size_t longest_key = 65535;
    const Settings& settings = settings_of(x);
    if (settings.limit_requests.empty() || x.limit_req_status != nullptr) return {};
    const std::int64_t ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();

    std::vector<Pending> pending;
    std::int64_t longest = 0;
    bool looked_up = false;
    for (std::size_t i = 0; i < settings.limit_requests.size(); ++i) {
        const LimitRequests& limit = settings.limit_requests[i];
        const std::string key = expand(limit.zone->key, x);
        if (key.empty() || key.size() > longest_key) continue;
        looked_up = true;
        Pending each{&limit, zones.requests(*limit.zone), {}, rate_of(*limit.zone)};
        std::int64_t excess = 0;
        const bool account = i + 1 == settings.limit_requests.size();
        const auto found = each.zone->look_up(key, each.rate, std::int64_t{limit.burst} * 1000, ms, account,
                                              excess, each.bucket);
        if (found == RequestZone::Found::pending) {
            pending.push_back(std::move(each));
        } else if (found == RequestZone::Found::passed) {
            longest = delay_ms(limit, excess, each.rate);
        } else {
            for (const Pending& p : pending) p.zone->forget(p.bucket);
            if (settings.limit_requests_dry_run) {
                x.limit_req_status = "REJECTED_DRY_RUN";
                return {};
            }
            x.limit_req_status = "REJECTED";
            Answer answer;
            answer.status = settings.limit_requests_status;
            answer.reason = found == RequestZone::Found::full
                                ? "no room in zone \"" + limit.zone->name + '"'
                                : excess_text("limiting requests", excess, *limit.zone);
            return {std::move(answer), {}};
        }
    }
    if (!looked_up) return {};
    for (const Pending& p : pending) {
        longest = std::max(longest, delay_ms(*p.limit, p.zone->account(p.bucket, p.rate, ms), p.rate));
    }
    if (longest == 0) {
        x.limit_req_status = "PASSED";
        return {};
    }
    x.limit_req_status = settings.limit_requests_dry_run ? "DELAYED_DRY_RUN" : "DELAYED";
    if (settings.limit_requests_dry_run) return {};
    return {std::nullopt, std::chrono::milliseconds(longest)};
}

}  // namespace hawser::gateway
