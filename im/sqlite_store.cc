// SPDX-License-Identifier: Apache-2.0
#include "im/sqlite_store.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "im/token.h"

namespace hawser::im {
namespace {

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

net::Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, Post post) {
    // Sequence numbers would stay right with two processes on one file, but neither would see the other's
    // messages.
    const auto lock_path = path + ".lock";
    const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return net::system_error("open " + lock_path, errno);
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
        const int why = errno;
        ::close(lock);
        return net::system_error("lock " + lock_path + " (is another hawser-im using this file?)", why);
    }
    auto writing = Database::open(path, Database::Durability::full);
    if (!writing) {
        ::close(lock);
        return writing.error();
    }
    auto reading = Database::open(path, Database::Durability::full);
    if (!reading) {
        ::close(lock);
        return reading.error();
    }
    return std::unique_ptr<SqliteStore>(
        new SqliteStore(std::move(post), std::move(*writing), std::move(*reading), lock));
}

SqliteStore::SqliteStore(Post post, Database writing, Database reading, int lock)
    : post_(std::move(post)), writing_(std::move(writing)), reading_(std::move(reading)), lock_(lock) {}

SqliteStore::~SqliteStore() {
    stop();
    ::close(lock_);
}

void SqliteStore::start(Events events) {
    events_ = std::move(events);
    writer_.post([this] {
        auto epoch = writing_.keep("epoch", random_hex(8));
        auto rooms = writing_.rooms();
        if (!epoch || !rooms) {
            spdlog::error("{}", (epoch ? rooms.error() : epoch.error()).text());
            return;
        }
        post_([this, epoch = *epoch, rooms = *rooms] { events_.history(epoch, rooms); });
        set_ready(true);
    });
}

void SqliteStore::append(Draft draft, Answer<Appended> answer) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.size() < most_waiting) {
            first = waiting_.empty();
            waiting_.push_back({std::move(draft), std::move(answer)});
            answer = nullptr;
        }
    }
    if (answer) {
        net::Error busy;
        busy.message = "too many messages wait to be stored";
        post_([answer = std::move(answer), busy] { answer(busy); });
    } else if (first) {
        writer_.post([this] { commit_all(); });
    }
}

std::vector<SqliteStore::Waiting> SqliteStore::take() {
    std::vector<Waiting> taken;
    const std::lock_guard lock(mutex_);
    if (waiting_.size() <= most_in_a_commit) {
        taken.swap(waiting_);
    } else {
        const auto end = waiting_.begin() + most_in_a_commit;
        taken.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);
    }
    return taken;
}

void SqliteStore::commit_all() {
    for (auto taken = take(); !taken.empty(); taken = take()) commit(std::move(taken));
}

void SqliteStore::commit(std::vector<Waiting> taken) {
    std::vector<Draft> drafts;
    std::vector<Answer<Appended>> answers;
    drafts.reserve(taken.size());
    answers.reserve(taken.size());
    for (auto& waiting : taken) {
        drafts.push_back(std::move(waiting.draft));
        answers.push_back(std::move(waiting.answer));
    }
    auto appended = writing_.append(drafts, now_ms());
    if (!appended) {
        spdlog::error("{}", appended.error().text());
        set_ready(false);
        post_([answers = std::move(answers), error = appended.error()] {
            for (const auto& answer : answers) answer(error);
        });
        return;
    }
    set_ready(true);
    post_([this, drafts = std::move(drafts), answers = std::move(answers),
           appended = std::move(*appended)]() mutable {
        std::vector<Message> messages;
        for (std::size_t i = 0; i < drafts.size(); ++i) {
            answers[i](appended[i]);
            if (!appended[i].duplicate)
                messages.push_back(Message{std::move(drafts[i].room), appended[i].seq, appended[i].time_ms,
                                           std::move(drafts[i].from), std::move(drafts[i].id),
                                           std::move(drafts[i].text)});
        }
        if (!messages.empty()) events_.messages(std::move(messages));
    });
}

void SqliteStore::set_ready(bool ready) {
    if (ready == ready_) return;
    ready_ = ready;
    post_([this, ready] { events_.ready(ready); });
}

void SqliteStore::read(HistoryQuery query, Answer<HistoryPage> answer) {
    reader_.post([this, query = std::move(query), answer = std::move(answer)] {
        post_([answer, page = reading_.read(query)] { answer(page); });
    });
}

void SqliteStore::send_signal(Signal) {}

net::Result<std::string> SqliteStore::shared_secret(const std::string& candidate) {
    return writing_.keep("secret", candidate);
}

void SqliteStore::tick() {
    writer_.post([this] {
        if (!ready_ && events_.ready) set_ready(static_cast<bool>(writing_.probe()));
    });
}

void SqliteStore::stop() {
    writer_.stop();
    reader_.stop();
}

}  // namespace hawser::im
