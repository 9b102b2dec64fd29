// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/build.h"
#include "control/file_watch.h"
#include "control/inputs.h"
#include "control/log.h"
#include "control/plane.h"

namespace hawser::control {

// How the last attempts to change the configuration went.
struct ReloadStatus {
    std::uint64_t succeeded = 0, failed = 0;
    bool last_success = false;
    std::string cause;                                // of the last attempt: "start", "SIGHUP", ...
    std::chrono::system_clock::time_point attempted;  // the last one
    std::chrono::system_clock::time_point applied;    // the last that succeeded
    catalog::Diagnostics diagnostics;                 // of the last attempt
};

// Keeps the snapshot in force equal to what the sources say. A change is applied whole or refused whole:
// after a refusal the old snapshot stays, and status() says everything that is wrong. Reading and building
// happen on a thread of this object, one attempt at a time; all else on io's thread.
class Sources {
  public:
    using Read = std::function<ReadResult()>;
    using Build = std::function<catalog::BuildResult(
        const catalog::Objects&, const std::shared_ptr<const catalog::Snapshot>& previous)>;
    using Done = std::function<void(const ReloadStatus&)>;

    // `read` and `build` are called on this object's thread.
    Sources(boost::asio::io_context& io, Read read, Build build, Plane& plane, std::shared_ptr<Log> log);
    ~Sources();  // waits for an attempt that is under way
    Sources(const Sources&) = delete;
    Sources& operator=(const Sources&) = delete;

    // Begins to watch the files from the next attempt on.
    net::Result<void> watch_files();
    // Starts an attempt, or asks for one more after that which is under way: what was on disk when this was
    // called is always looked at. `done` (may be null) gets the outcome.
    void reload(std::string cause, Done done = nullptr);

    // From now on nothing is changed: the process goes down. Requests are forgotten.
    void stop() { stopped_ = true; }

    [[nodiscard]] const ReloadStatus& status() const { return status_; }
    // When a service was first in a snapshot of this process, by "namespace/name": its age when its manifest
    // has no creationTimestamp.
    [[nodiscard]] const std::map<std::string, std::chrono::system_clock::time_point>& first_seen() const {
        return first_seen_;
    }

  private:
    struct Attempt;
    void start();
    void finish(const std::shared_ptr<Attempt>& attempt);
    void report(const std::vector<std::string>& changes);
    void remember_services(const catalog::Snapshot& snapshot);

    boost::asio::io_context& io_;
    Read read_;
    Build build_;
    Plane& plane_;
    std::shared_ptr<Log> log_;
    FileWatch files_;
    bool watching_ = false;
    bool busy_ = false;
    bool stopped_ = false;
    std::string pending_cause_;
    bool pending_ = false;
    std::vector<Done> waiting_;    // for the next attempt
    std::vector<Done> attending_;  // for that which is under way
    ReloadStatus status_;
    std::map<std::string, std::chrono::system_clock::time_point> first_seen_;
    boost::asio::thread_pool reader_{1};
};

}  // namespace hawser::control
