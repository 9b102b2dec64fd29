// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "im/database.h"
#include "im/store.h"
#include "im/worker.h"

namespace hawser::im {

// The store of a single replica: one SQLite file. Group commit: while one transaction waits for the disk, the
// next one gathers, so that many senders share an fsync.
class SqliteStore final : public Store {
  public:
    static constexpr std::size_t most_waiting = 20'000;  // drafts not yet stored; further ones are refused
    static constexpr std::size_t most_in_a_commit = 2'000;

    // Errors: the file cannot be opened, or another process serves it (a lock file FILE.lock tells).
    static net::Result<std::unique_ptr<SqliteStore>> open(const std::string& path, Post post);
    ~SqliteStore() override;

    void start(Events events) override;
    void append(Draft draft, Answer<Appended> answer) override;
    void read(HistoryQuery query, Answer<HistoryPage> answer) override;
    void send_signal(Signal signal) override;  // nobody else is there
    net::Result<std::string> shared_secret(const std::string& candidate) override;
    void tick() override;
    void stop() override;

  private:
    struct Waiting {
        Draft draft;
        Answer<Appended> answer;
    };

    SqliteStore(Post post, Database writing, Database reading, int lock);
    std::vector<Waiting> take();
    void commit_all();
    void commit(std::vector<Waiting> taken);
    void set_ready(bool ready);

    Post post_;
    Database writing_;  // of writer_
    Database reading_;  // of reader_
    int lock_;
    Events events_;
    bool ready_ = false;  // of writer_
    std::mutex mutex_;
    std::vector<Waiting> waiting_;  // under mutex_
    Worker writer_;
    Worker reader_;
};

}  // namespace hawser::im
