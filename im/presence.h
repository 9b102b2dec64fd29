// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "im/protocol.h"
#include "im/store.h"

namespace hawser::im {

// Who is online, here and on the other replicas. Every replica tells the others its whole list when it
// changes and every `heartbeat`; a replica that is not heard for `lifetime` is taken for dead. Changes come
// out gathered, and a user counts as gone only after `grace`, so that a reconnect does not flicker.
class Presence {
  public:
    using Clock = std::chrono::steady_clock;
    using TimePoint = Clock::time_point;
    static constexpr std::chrono::milliseconds heartbeat{2'000};
    static constexpr std::chrono::milliseconds lifetime{6'000};
    static constexpr std::chrono::milliseconds grace{1'500};
    static constexpr std::chrono::milliseconds gather{200};
    static constexpr std::chrono::milliseconds gather_many{2'000};  // with more than `many` users online
    static constexpr std::size_t many = 500;

    struct Changes {
        std::vector<User> online;
        std::vector<std::string> offline;
        std::size_t count = 0;  // users online now
    };

    // `instance` is unique to this process.
    Presence(std::string pod, std::string instance);

    void arrived(const std::string& user, TimePoint now);  // one more session of this user here
    void left(const std::string& user, TimePoint now);     // one less

    // A Signal of kind "presence" or "hello" of another replica. Malformed ones and our own are ignored.
    void heard(const std::string& text, TimePoint now);

    // To be called often. The signal that the other replicas should get now, if any.
    std::optional<Signal> tell(TimePoint now);
    // The last signal: nobody is here any more.
    [[nodiscard]] Signal farewell() const;
    // Asks the other replicas for their lists at once.
    void ask() { ask_ = true; }

    // What changed since the last call, at most once in `gather`.
    std::optional<Changes> changes(TimePoint now);

    [[nodiscard]] std::vector<User> users(std::size_t limit) const;  // by name
    [[nodiscard]] std::size_t count() const { return shown_.size(); }

  private:
    struct Local {
        unsigned sessions = 0;
        TimePoint gone{};  // when sessions became 0
    };
    struct Replica {
        std::string pod;
        std::set<std::string> users;
        TimePoint heard{};
    };

    [[nodiscard]] std::chrono::milliseconds pace() const {
        return shown_.size() > many ? gather_many : gather;
    }
    [[nodiscard]] Signal list(const std::string& kind) const;
    void expire(TimePoint now);
    [[nodiscard]] std::map<std::string, std::string> present() const;

    std::string pod_;
    std::string instance_;
    std::map<std::string, Local> local_;
    std::map<std::string, Replica> replicas_;   // by instance
    std::map<std::string, std::string> shown_;  // user -> pod, as the clients know it
    bool ask_ = true;
    bool changed_ = false;      // local list, since told
    bool changed_any_ = false;  // any list, since changes()
    TimePoint told_{};
    TimePoint gathered_{};
};

}  // namespace hawser::im
