// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "im/message.h"
#include "net/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hawser::im {

// Consecutive messages of one room that a stream keeps as one entry.
struct Batch {
    std::string room;
    std::uint64_t position = 0;  // the entry's number in the stream
    std::vector<Message> messages;
};

// Where a room's history ends.
struct RoomEnd {
    std::uint64_t last = 0;      // seq
    std::uint64_t position = 0;  // of its newest Batch; 0 without a stream
};

// The messages in an SQLite file. One object belongs to one thread; several objects may have the same file
// open.
class Database {
  public:
    enum class Durability : unsigned char {
        full,  // a committed message survives power loss (WAL, synchronous=FULL)
        none,  // a view of something durable elsewhere
    };

    // `path` "" is a temporary file that vanishes with the object.
    static net::Result<Database> open(const std::string& path, Durability durability);

    Database(Database&&) noexcept;
    Database& operator=(Database&&) noexcept;
    ~Database();

    // All drafts in one transaction: one fsync. Gives one Appended for each draft, in order.
    net::Result<std::vector<Appended>> append(std::span<const Draft> drafts, std::int64_t now_ms);

    // Entries of a stream, in one transaction. Those whose position is not new are passed over.
    net::Result<void> apply(std::span<const Batch> batches);

    net::Result<HistoryPage> read(const HistoryQuery& query);
    net::Result<std::vector<RoomInfo>> rooms();  // by name
    net::Result<RoomEnd> end_of(const std::string& room);
    net::Result<std::optional<Appended>> find(const std::string& room, const std::string& from,
                                              const std::string& id);
    net::Result<std::uint64_t> applied();  // highest position applied

    // The value kept under `key`; `value` is kept if there was none.
    net::Result<std::string> keep(const std::string& key, const std::string& value);
    net::Result<void> probe();  // whether something can be written
    net::Result<void> erase_everything();

  private:
    class Statement;
    struct Closer {
        void operator()(sqlite3* db) const;
        void operator()(sqlite3_stmt* statement) const;
    };
    struct Statements;

    explicit Database(sqlite3* db);
    Statement use(std::unique_ptr<sqlite3_stmt, Closer>& slot, const char* sql);
    void run(const char* sql);
    std::optional<std::pair<std::int64_t, RoomEnd>> room_row(const std::string& room);
    std::int64_t make_room(const std::string& room);
    std::optional<Appended> find_row(std::int64_t room, const std::string& from, const std::string& id);
    void insert(std::int64_t room, const Message& message);
    void set_end(std::int64_t room, const RoomEnd& end);
    template <class Work>
    auto transaction(std::string_view what, Work work) -> net::Result<decltype(work())>;

    std::unique_ptr<sqlite3, Closer> db_;
    std::unique_ptr<Statements> statements_;
};

}  // namespace hawser::im
