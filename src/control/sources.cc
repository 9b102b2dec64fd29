// SPDX-License-Identifier: Apache-2.0
#include "control/sources.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

namespace hawser::control {

namespace {

constexpr std::size_t most_changes_logged = 200;  // of one snapshot

gateway::LogLevel level_of(const catalog::Diagnostic& diagnostic) {
    if (diagnostic.severity == catalog::Severity::error) return gateway::LogLevel::error;
    return diagnostic.severity == catalog::Severity::warning ? gateway::LogLevel::warning
                                                             : gateway::LogLevel::debug;
}

// The level stands in front of the line already.
std::string line_of(const catalog::Diagnostic& diagnostic) {
    const auto where = diagnostic.position.text();
    return where.empty() ? diagnostic.message : where + ": " + diagnostic.message;
}

}  // namespace

struct Sources::Attempt {
    std::string cause;
    std::shared_ptr<const catalog::Snapshot> previous;
    ReadResult read;
    catalog::BuildResult built;
    std::vector<std::string> changes;
};

Sources::Sources(boost::asio::io_context& io, Read read, Build build, Plane& plane, std::shared_ptr<Log> log)
    : io_(io),
      read_(std::move(read)),
      build_(std::move(build)),
      plane_(plane),
      log_(std::move(log)),
      files_(io, [this] { reload("file change"); }) {}

Sources::~Sources() { reader_.join(); }

net::Result<void> Sources::watch_files() {
    auto opened = files_.open();
    watching_ = opened.has_value();
    return opened;
}

void Sources::reload(std::string cause, Done done) {
    if (stopped_) return;
    if (done) waiting_.push_back(std::move(done));
    pending_cause_ = std::move(cause);
    pending_ = true;
    if (!busy_) start();
}

void Sources::start() {
    busy_ = true;
    pending_ = false;
    attending_ = std::exchange(waiting_, {});
    auto attempt = std::make_shared<Attempt>();
    attempt->cause = pending_cause_;
    attempt->previous = plane_.current();
    auto work = boost::asio::make_work_guard(io_);
    boost::asio::post(reader_, [this, attempt, work = std::move(work)] {
        try {
            attempt->read = read_();
            if (!attempt->read.diagnostics.has_errors()) {
                attempt->read.objects.remarks = attempt->read.diagnostics;
                attempt->built = build_(attempt->read.objects, attempt->previous);
                static const catalog::Snapshot nothing;
                if (attempt->built.snapshot)
                    attempt->changes = catalog::diff(attempt->previous ? *attempt->previous : nothing,
                                                     *attempt->built.snapshot);
            }
        } catch (const std::exception& failure) {  // out of memory; nothing of the input throws
            attempt->built.snapshot = nullptr;
            attempt->built.diagnostics.error({}, std::string("reading the sources: ") + failure.what());
        }
        boost::asio::post(io_, [this, attempt] { finish(attempt); });
    });
}

void Sources::finish(const std::shared_ptr<Attempt>& attempt) {
    if (stopped_) return;
    status_.cause = attempt->cause;
    status_.attempted = std::chrono::system_clock::now();
    status_.diagnostics = std::move(attempt->read.diagnostics);
    status_.diagnostics.append(attempt->built.diagnostics);
    if (!status_.diagnostics.has_errors() && attempt->built.snapshot)
        status_.diagnostics.append(plane_.apply(attempt->built.snapshot));
    status_.last_success = !status_.diagnostics.has_errors() && attempt->built.snapshot;
    if (status_.last_success) {
        ++status_.succeeded;
        status_.applied = status_.attempted;
        remember_services(*attempt->built.snapshot);
    } else {
        ++status_.failed;
    }
    report(attempt->changes);
    if (watching_) {
        if (auto watched = files_.watch(attempt->read.watch, attempt->read.began); !watched)
            log_->warning("a change of the files may go unseen: " + watched.error().text());
    }
    busy_ = false;
    for (auto& done : std::exchange(attending_, {})) done(status_);
    if (pending_ && !busy_) start();
}

void Sources::report(const std::vector<std::string>& changes) {
    for (const auto& diagnostic : status_.diagnostics.all())
        log_->write(level_of(diagnostic), line_of(diagnostic));
    const auto current = plane_.current();
    const std::string in_force = current ? "snapshot " + std::to_string(current->number) : "no snapshot";
    if (!status_.last_success) {
        log_->error("configuration refused (" + status_.cause +
                    "): " + std::to_string(status_.diagnostics.errors()) + " error(s); " + in_force +
                    " stays in force");
        return;
    }
    log_->info(in_force + " is in force (" + status_.cause + "), changes: " + std::to_string(changes.size()));
    const std::size_t shown = std::min(changes.size(), most_changes_logged);
    for (std::size_t i = 0; i < shown; ++i) log_->info(changes[i]);
    if (shown < changes.size()) log_->info("... and " + std::to_string(changes.size() - shown) + " more");
}

void Sources::remember_services(const catalog::Snapshot& snapshot) {
    std::map<std::string, std::chrono::system_clock::time_point> seen;
    for (const auto& service : snapshot.services) {
        const auto key = service.object->metadata.key();
        const auto known = first_seen_.find(key);
        seen[key] = known == first_seen_.end() ? status_.attempted : known->second;
    }
    first_seen_ = std::move(seen);
}

}  // namespace hawser::control
