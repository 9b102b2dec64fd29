// SPDX-License-Identifier: Apache-2.0
#include "im/delivery.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "im/names.h"

namespace hawser::im {

void Delivery::set_rooms(const std::vector<RoomInfo>& rooms) {
    direct_rooms_.clear();
    for (auto& [name, room] : rooms_) room.last = 0;
    for (const auto& room : rooms) {
        rooms_[room.name].last = room.last;
        add_direct(room.name);
    }
}

void Delivery::add_direct(const std::string& room) {
    if (const auto members = direct_members(room)) {
        direct_rooms_[members->first].insert(room);
        direct_rooms_[members->second].insert(room);
    }
}

std::uint64_t Delivery::last(const std::string& room) const {
    const auto found = rooms_.find(room);
    return found == rooms_.end() ? 0 : found->second.last;
}

std::vector<RoomInfo> Delivery::open_rooms(std::size_t limit) const {
    std::vector<RoomInfo> out;
    for (const auto& [name, room] : rooms_) {
        if (out.size() == limit) break;
        if (!direct_members(name)) out.push_back(RoomInfo{name, room.last});
    }
    return out;
}

std::vector<RoomInfo> Delivery::direct_rooms_of(const std::string& user) const {
    std::vector<RoomInfo> out;
    if (const auto found = direct_rooms_.find(user); found != direct_rooms_.end())
        for (const auto& room : found->second) out.push_back(RoomInfo{room, last(room)});
    return out;
}

void Delivery::add(SessionId id, const std::string& user, Connection& connection) {
    auto& subscriber = subscribers_[id];
    subscriber.user = user;
    subscriber.connection = &connection;
    sessions_of_[user].insert(id);
}

void Delivery::remove(SessionId id) {
    const auto found = subscribers_.find(id);
    if (found == subscribers_.end()) return;
    while (!found->second.cursors.empty()) leave(id, std::string(found->second.cursors.begin()->first));
    const auto sessions = sessions_of_.find(found->second.user);
    sessions->second.erase(id);
    if (sessions->second.empty()) sessions_of_.erase(sessions);
    subscribers_.erase(found);
}

bool Delivery::join(SessionId id, const std::string& room, std::optional<std::uint64_t> after,
                    std::string_view ref) {
    auto& subscriber = subscribers_.at(id);
    if (!subscriber.cursors.contains(room) && subscriber.cursors.size() >= most_rooms_resumed) return false;
    auto& state = rooms_[room];
    state.members.insert(id);
    const auto [cursor, fresh] = subscriber.cursors.try_emplace(room);
    // A position beyond the end is of another history; there is nothing after it, so the session starts at
    // the end.
    if (fresh) cursor->second.next = std::min(after.value_or(state.last), state.last) + 1;
    subscriber.connection->send(encode_joined(room, state.last, ref));
    catch_up(id, subscriber, room);
    return true;
}

void Delivery::leave(SessionId id, const std::string& room) {
    auto& subscriber = subscribers_.at(id);
    subscriber.cursors.erase(room);
    subscriber.behind.erase(room);
    if (const auto found = rooms_.find(room); found != rooms_.end()) {
        found->second.members.erase(id);
        // A room that was never written to exists as long as somebody is in it.
        if (found->second.members.empty() && found->second.last == 0) rooms_.erase(found);
    }
}

void Delivery::publish(const Message& message) {
    auto& room = rooms_[message.room];
    if (room.last == 0) add_direct(message.room);
    if (message.seq <= room.last) return;
    room.last = message.seq;
    if (const auto members = direct_members(message.room)) {
        // The two users of a direct room are in it without joining, on all their sessions.
        for (const auto& user : {members->first, members->second})
            if (const auto sessions = sessions_of_.find(user); sessions != sessions_of_.end())
                for (const auto id : sessions->second) {
                    room.members.insert(id);
                    subscribers_.at(id).cursors.try_emplace(message.room, Cursor{message.seq, 0});
                }
    }
    Frame frame;
    for (const auto id : room.members) {
        auto& subscriber = subscribers_.at(id);
        auto& cursor = subscriber.cursors.at(message.room);
        if (cursor.next == message.seq && cursor.reading == 0 &&
            subscriber.connection->queued_bytes() < short_queue) {
            if (!frame) frame = encode_message(message);
            subscriber.connection->send(frame);
            cursor.next = message.seq + 1;
        } else {
            subscriber.behind.insert(message.room);
            catch_up(id, subscriber, message.room);
        }
    }
}

void Delivery::catch_up(SessionId id, Subscriber& subscriber, const std::string& room) {
    auto& cursor = subscriber.cursors.at(room);
    if (cursor.next > last(room)) {
        subscriber.behind.erase(room);
        return;
    }
    subscriber.behind.insert(room);
    if (cursor.reading != 0 || subscriber.connection->queued_bytes() >= short_queue) return;
    cursor.reading = ++reads_;
    HistoryQuery query;
    query.room = room;
    query.forward = true;
    query.after = cursor.next - 1;
    query.limit = page;
    store_.read(query, [this, id, room, read = reads_](const net::Result<HistoryPage>& result) {
        got_page(id, room, read, result);
    });
}

void Delivery::got_page(SessionId id, const std::string& room, std::uint64_t read,
                        const net::Result<HistoryPage>& result) {
    const auto found = subscribers_.find(id);
    if (found == subscribers_.end()) return;
    auto& subscriber = found->second;
    const auto cursor = subscriber.cursors.find(room);
    // Another number: the session left and came back meanwhile, and stands somewhere else now.
    if (cursor == subscriber.cursors.end() || cursor->second.reading != read) return;
    cursor->second.reading = 0;
    if (!result) {
        // Better cut than a hole: the client comes back and resumes where it was.
        spdlog::error("bringing {} up in {}: {}", subscriber.user, room, result.error().text());
        subscriber.connection->close(CloseCode::try_again_later, "history cannot be read now");
        return;
    }
    for (const auto& message : result->messages) {
        if (message.seq < cursor->second.next) continue;
        subscriber.connection->send(encode_message(message));
        cursor->second.next = message.seq + 1;
    }
    if (result->messages.empty())
        cursor->second.next = last(room) + 1;  // trimmed away by the stream's limits
    catch_up(id, subscriber, room);
}

void Delivery::drained(SessionId id) {
    const auto found = subscribers_.find(id);
    if (found == subscribers_.end() || found->second.behind.empty()) return;
    const auto behind = found->second.behind;
    for (const auto& room : behind) catch_up(id, found->second, room);
}

void Delivery::whisper(const std::string& room, const Frame& frame, const std::string& except) {
    const auto found = rooms_.find(room);
    if (found == rooms_.end()) return;
    for (const auto id : found->second.members) {
        auto& subscriber = subscribers_.at(id);
        if (subscriber.user != except && subscriber.connection->queued_bytes() < short_queue)
            subscriber.connection->send(frame);
    }
}

void Delivery::whisper_all(const Frame& frame) {
    for (auto& [id, subscriber] : subscribers_)
        if (subscriber.connection->queued_bytes() < short_queue) subscriber.connection->send(frame);
}

}  // namespace hawser::im
