// SPDX-License-Identifier: Apache-2.0
#include "im/database.h"

#include <sqlite3.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace hawser::im {
namespace {

// Inside this file SQLite's errors travel as exceptions; transaction() and its like turn them into Results.
struct Failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr const char* schema = R"(
    CREATE TABLE IF NOT EXISTS kept(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS rooms(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL, position INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS messages(
        room INTEGER NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, sender TEXT NOT NULL,
        message_id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(room, seq)) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS message_ids ON messages(room, sender, message_id);
)";

net::Error failure(std::string_view what, const std::exception& why) {
    net::Error cause;
    cause.message = why.what();
    return net::wrap(what, std::move(cause));
}

}  // namespace

void Database::Closer::operator()(sqlite3* db) const { sqlite3_close_v2(db); }
void Database::Closer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

struct Database::Statements {
    std::unique_ptr<sqlite3_stmt, Closer> begin, commit, rollback, room, make_room, find, insert, set_end,
        forward, backward, rooms, applied, keep, kept;
};

// A prepared statement in use: bound from 1 on, reset at the end.
class Database::Statement {
  public:
    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
    ~Statement() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(const std::string& text) {  // must live until the end of the statement
        check(sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                                SQLITE_STATIC));
        return *this;
    }
    Statement& bind(std::int64_t number) {
        check(sqlite3_bind_int64(statement_, ++bound_, number));
        return *this;
    }
    Statement& bind(std::uint64_t number) { return bind(static_cast<std::int64_t>(number)); }

    bool row() {
        const int got = sqlite3_step(statement_);
        if (got != SQLITE_ROW && got != SQLITE_DONE)
            throw Failed(sqlite3_errmsg(sqlite3_db_handle(statement_)));
        return got == SQLITE_ROW;
    }
    void run() {
        while (row()) continue;
    }

    [[nodiscard]] std::int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
    [[nodiscard]] std::uint64_t count(int column) const { return static_cast<std::uint64_t>(number(column)); }
    [[nodiscard]] std::string text(int column) const {
        const auto* bytes = sqlite3_column_text(statement_, column);
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
        return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
    }

  private:
    void check(int result) {
        if (result != SQLITE_OK) throw Failed(sqlite3_errstr(result));
    }
    sqlite3_stmt* statement_;
    int bound_ = 0;
};

Database::Database(sqlite3* db) : db_(db), statements_(std::make_unique<Statements>()) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&& other) noexcept {
    statements_ = std::move(other.statements_);  // before the connection that they belong to
    db_ = std::move(other.db_);
    return *this;
}
Database::~Database() { statements_.reset(); }

net::Result<Database> Database::open(const std::string& path, Durability durability) {
    sqlite3* raw = nullptr;
    const int opened = sqlite3_open_v2(
        path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database database(raw);
    try {
        if (opened != SQLITE_OK) throw Failed(raw == nullptr ? "out of memory" : sqlite3_errmsg(raw));
        sqlite3_busy_timeout(raw, 10'000);
        database.run("PRAGMA journal_mode=WAL");
        database.run(durability == Durability::full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
        database.run("PRAGMA wal_autocheckpoint=4000");
        database.run(schema);
    } catch (const Failed& why) {
        return failure("open the message store " + (path.empty() ? std::string("(temporary)") : path), why);
    }
    return database;
}

Database::Statement Database::use(std::unique_ptr<sqlite3_stmt, Closer>& slot, const char* sql) {
    if (!slot) {
        sqlite3_stmt* raw = nullptr;
        if (sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK)
            throw Failed(sqlite3_errmsg(db_.get()));
        slot.reset(raw);
    }
    return Statement(slot.get());
}

void Database::run(const char* sql) {
    if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        throw Failed(sqlite3_errmsg(db_.get()));
}

template <class Work>
auto Database::transaction(std::string_view what, Work work) -> net::Result<decltype(work())> {
    try {
        // IMMEDIATE: takes the write lock now, so that a read cannot turn into a refused write half way.
        use(statements_->begin, "BEGIN IMMEDIATE").run();
        auto result = work();
        use(statements_->commit, "COMMIT").run();
        return result;
    } catch (const Failed& why) {
        auto error = failure(what, why);
        if (sqlite3_get_autocommit(db_.get()) == 0)
            sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
        return error;
    }
}

std::optional<std::pair<std::int64_t, RoomEnd>> Database::room_row(const std::string& room) {
    auto get = use(statements_->room, "SELECT id, last, position FROM rooms WHERE name = ?");
    if (!get.bind(room).row()) return std::nullopt;
    return std::pair{get.number(0), RoomEnd{get.count(1), get.count(2)}};
}

std::int64_t Database::make_room(const std::string& room) {
    use(statements_->make_room, "INSERT INTO rooms(name, last, position) VALUES(?, 0, 0)").bind(room).run();
    return sqlite3_last_insert_rowid(db_.get());
}

std::optional<Appended> Database::find_row(std::int64_t room, const std::string& from,
                                           const std::string& id) {
    auto get = use(statements_->find,
                   "SELECT seq, time_ms FROM messages WHERE room = ? AND sender = ? AND message_id = ?");
    if (!get.bind(room).bind(from).bind(id).row()) return std::nullopt;
    return Appended{get.count(0), get.number(1), true};
}

void Database::insert(std::int64_t room, const Message& message) {
    use(statements_->insert,
        "INSERT INTO messages(room, seq, time_ms, sender, message_id, body) VALUES(?, ?, ?, ?, ?, ?)")
        .bind(room)
        .bind(message.seq)
        .bind(message.time_ms)
        .bind(message.from)
        .bind(message.id)
        .bind(message.text)
        .run();
}

void Database::set_end(std::int64_t room, const RoomEnd& end) {
    use(statements_->set_end, "UPDATE rooms SET last = ?, position = ? WHERE id = ?")
        .bind(end.last)
        .bind(end.position)
        .bind(room)
        .run();
}

net::Result<std::vector<Appended>> Database::append(std::span<const Draft> drafts, std::int64_t now_ms) {
    return transaction("store messages", [&] {
        std::vector<Appended> out;
        out.reserve(drafts.size());
        for (const auto& draft : drafts) {
            auto row = room_row(draft.room);
            if (!row) row = std::pair{make_room(draft.room), RoomEnd{}};
            auto& [room, end] = *row;
            if (const auto known = find_row(room, draft.from, draft.id)) {
                out.push_back(*known);
                continue;
            }
            ++end.last;
            insert(room, Message{draft.room, end.last, now_ms, draft.from, draft.id, draft.text});
            set_end(room, end);
            out.push_back(Appended{end.last, now_ms, false});
        }
        return out;
    });
}

net::Result<void> Database::apply(std::span<const Batch> batches) {
    const auto done = transaction("apply the stream", [&] {
        for (const auto& batch : batches) {
            auto row = room_row(batch.room);
            if (!row) row = std::pair{make_room(batch.room), RoomEnd{}};
            auto& [room, end] = *row;
            if (batch.position <= end.position) continue;
            for (const auto& message : batch.messages) {
                // Neither can be, unless somebody else writes to the stream; the view must not stop for that.
                if (message.seq <= end.last || find_row(room, message.from, message.id)) continue;
                insert(room, message);
                end.last = message.seq;
            }
            end.position = batch.position;
            set_end(room, end);
        }
        return true;
    });
    if (!done) return done.error();
    return {};
}

net::Result<HistoryPage> Database::read(const HistoryQuery& query) {
    try {
        HistoryPage page;
        const auto row = room_row(query.room);
        if (!row) return page;
        const std::int64_t bound =
            query.forward ? static_cast<std::int64_t>(query.after)
                          : (query.before == 0 ? INT64_MAX : static_cast<std::int64_t>(query.before));
        auto get = query.forward ? use(statements_->forward,
                                       "SELECT seq, time_ms, sender, message_id, body FROM messages "
                                       "WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?")
                                 : use(statements_->backward,
                                       "SELECT seq, time_ms, sender, message_id, body FROM messages "
                                       "WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT ?");
        get.bind(row->first).bind(bound).bind(std::int64_t{query.limit} + 1);
        while (get.row()) {
            if (page.messages.size() == query.limit) {
                page.more = true;
                break;
            }
            page.messages.push_back(
                Message{query.room, get.count(0), get.number(1), get.text(2), get.text(3), get.text(4)});
        }
        if (!query.forward) std::reverse(page.messages.begin(), page.messages.end());
        return page;
    } catch (const Failed& why) {
        return failure("read history", why);
    }
}

net::Result<std::vector<RoomInfo>> Database::rooms() {
    try {
        std::vector<RoomInfo> out;
        auto get = use(statements_->rooms, "SELECT name, last FROM rooms ORDER BY name");
        while (get.row()) out.push_back(RoomInfo{get.text(0), get.count(1)});
        return out;
    } catch (const Failed& why) {
        return failure("list the rooms", why);
    }
}

net::Result<RoomEnd> Database::end_of(const std::string& room) {
    try {
        const auto row = room_row(room);
        return row ? row->second : RoomEnd{};
    } catch (const Failed& why) {
        return failure("read a room", why);
    }
}

net::Result<std::optional<Appended>> Database::find(const std::string& room, const std::string& from,
                                                    const std::string& id) {
    try {
        const auto row = room_row(room);
        if (!row) return std::optional<Appended>();
        return find_row(row->first, from, id);
    } catch (const Failed& why) {
        return failure("look a message up", why);
    }
}

net::Result<std::uint64_t> Database::applied() {
    try {
        auto get = use(statements_->applied, "SELECT coalesce(max(position), 0) FROM rooms");
        get.row();
        return get.count(0);
    } catch (const Failed& why) {
        return failure("read the position", why);
    }
}

net::Result<std::string> Database::keep(const std::string& key, const std::string& value) {
    return transaction("keep a value", [&] {
        use(statements_->keep, "INSERT OR IGNORE INTO kept(key, value) VALUES(?, ?)")
            .bind(key)
            .bind(value)
            .run();
        auto get = use(statements_->kept, "SELECT value FROM kept WHERE key = ?");
        get.bind(key).row();
        return get.text(0);
    });
}

net::Result<void> Database::probe() {
    const auto done = transaction("write to the message store", [&] {
        run("INSERT INTO kept(key, value) VALUES('probe', 1) "
            "ON CONFLICT(key) DO UPDATE SET value = 1 + value");
        return true;
    });
    if (!done) return done.error();
    return {};
}

net::Result<void> Database::erase_everything() {
    const auto done = transaction("erase the view", [&] {
        run("DELETE FROM messages");
        run("DELETE FROM rooms");
        run("DELETE FROM kept");
        return true;
    });
    if (!done) return done.error();
    return {};
}

}  // namespace hawser::im
