// SPDX-License-Identifier: Apache-2.0
#include "im/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

namespace hawser::im {
namespace {

// Runs what the store posts, on the test's thread.
class Loop {
  public:
    Store::Post post() {
        return [this](std::function<void()> job) {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(job));
            wake_.notify_one();
        };
    }
    template <class Condition>
    void run_until(Condition done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done()) {
            std::unique_lock lock(mutex_);
            ASSERT_TRUE(wake_.wait_until(lock, deadline, [this] { return !jobs_.empty(); }))
                << "nothing happens";
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
        }
    }

  private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
};

class SqliteStoreTest : public testing::Test {
  protected:
    SqliteStoreTest() {
        directory = std::filesystem::temp_directory_path() /
                    ("hawser-im-" + std::to_string(::getpid()) + "-" +
                     testing::UnitTest::GetInstance()->current_test_info()->name());
        std::filesystem::create_directories(directory);
    }
    ~SqliteStoreTest() override { std::filesystem::remove_all(directory); }

    std::unique_ptr<SqliteStore> start() {
        auto store = SqliteStore::open(directory / "im.db", loop.post()).value();
        Store::Events events;
        events.history = [this](const std::string& given, const std::vector<RoomInfo>& listed) {
            epoch = given;
            rooms = listed;
        };
        events.messages = [this](const std::vector<Message>& messages) {
            for (const auto& message : messages) seqs.push_back(message.seq);
        };
        events.signal = [](const Signal&) {};
        events.ready = [this](bool now) { ready = now; };
        ready = false;
        store->start(events);
        loop.run_until([this] { return ready; });
        return store;
    }

    std::filesystem::path directory;
    Loop loop;
    std::string epoch;
    std::vector<RoomInfo> rooms;
    std::vector<std::uint64_t> seqs;
    bool ready = false;
};

TEST_F(SqliteStoreTest, gives_numbers_without_holes_in_the_order_of_the_appends_and_tells_each_message_once) {
    auto store = start();
    constexpr int count = 5000;
    std::vector<std::uint64_t> acked;
    int duplicates = 0;
    for (int i = 0; i < count; ++i)
        store->append({"a", "ann", std::to_string(i - i % 2), "x"},
                      [&](const net::Result<Appended>& appended) {
                          acked.push_back(appended.value().seq);
                          duplicates += appended->duplicate ? 1 : 0;
                      });
    loop.run_until([&] { return acked.size() == count && seqs.size() == count / 2; });
    EXPECT_EQ(duplicates, count / 2);
    for (std::size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], i + 1);
    for (std::size_t i = 0; i < acked.size(); ++i) EXPECT_EQ(acked[i], i / 2 + 1);
}

TEST_F(SqliteStoreTest, finds_its_history_and_its_epoch_again) {
    auto store = start();
    bool done = false;
    store->append({"a", "ann", "1", "x"}, [&](const net::Result<Appended>&) { done = true; });
    loop.run_until([&] { return done; });
    const auto before = epoch;
    const auto secret = store->shared_secret("first").value();
    store.reset();
    store = start();
    EXPECT_EQ(epoch, before);
    EXPECT_EQ(store->shared_secret("second").value(), secret);
    EXPECT_EQ(rooms, (std::vector<RoomInfo>{{"a", 1}}));
}

TEST_F(SqliteStoreTest, answers_everything_that_was_appended_before_the_stop) {
    auto store = start();
    int answers = 0;
    for (int i = 0; i < 100; ++i)
        store->append({"a", "ann", std::to_string(i), "x"}, [&](const net::Result<Appended>& appended) {
            EXPECT_TRUE(appended);
            ++answers;
        });
    store->stop();
    loop.run_until([&] { return answers == 100; });
}

TEST_F(SqliteStoreTest, refuses_when_too_much_waits) {
    auto store = start();
    int refused = 0;
    int answers = 0;
    constexpr int count = SqliteStore::most_waiting + SqliteStore::most_in_a_commit * 20;
    for (int i = 0; i < count; ++i)
        store->append({"a", "ann", "same", "x"}, [&](const net::Result<Appended>& appended) {
            refused += appended ? 0 : 1;
            ++answers;
        });
    loop.run_until([&] { return answers == count; });
    EXPECT_LE(refused, count - static_cast<int>(SqliteStore::most_waiting));
}

TEST_F(SqliteStoreTest, a_second_one_on_the_same_file_is_refused) {
    auto store = start();
    const auto again = SqliteStore::open(directory / "im.db", loop.post());
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().text(), testing::HasSubstr("another hawser-im"));
}

}  // namespace
}  // namespace hawser::im
