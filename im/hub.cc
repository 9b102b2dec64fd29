// SPDX-License-Identifier: Apache-2.0
#include "im/hub.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

std::int64_t seconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

Hub::Hub(Options options, Store& store, Metrics& metrics, std::function<TimePoint()> clock)
    : options_(std::move(options)),
      store_(store),
      metrics_(metrics),
      clock_(std::move(clock)),
      instance_(random_hex(8)),
      delivery_(store),
      presence_(options_.pod, instance_) {}

Store::Events Hub::events() {
    Store::Events events;
    events.history = [this](const std::string& epoch, std::vector<RoomInfo> rooms) {
        got_history(epoch, std::move(rooms));
    };
    events.messages = [this](const std::vector<Message>& messages) { got_messages(messages); };
    events.signal = [this](const Signal& signal) { got_signal(signal); };
    events.ready = [this](bool ready) { set_ready(ready); };
    return events;
}

SessionId Hub::opened(Connection& connection) {
    const auto id = next_id_++;
    Session session{.connection = &connection,
                    .name = {},
                    .opened = clock_(),
                    .allowance = Allowance(options_.limits.rate, options_.limits.burst)};
    const auto [place, fresh] = sessions_.emplace(id, std::move(session));
    if (draining_) close(place->second, CloseCode::going_away, "the service is going down");
    return id;
}

void Hub::closed(SessionId id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    if (!found->second.name.empty()) {
        delivery_.remove(id);
        presence_.left(found->second.name, clock_());
        metrics_.sessions.Set(static_cast<double>(delivery_.sessions()));
    }
    sessions_.erase(found);
}

void Hub::drained(SessionId id) { delivery_.drained(id); }

Hub::Session* Hub::find(SessionId id) {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : &found->second;
}

void Hub::frame(SessionId id, std::string_view text) {
    auto* session = find(id);
    if (session == nullptr || session->closing || session->leaving != TimePoint{}) return;
    metrics_.frames_in.Increment();
    metrics_.bytes_in.Increment(static_cast<double>(text.size()));
    auto decoded = decode_request(text);
    if (!allowed(*session)) {
        Refusal refusal{
            .code = "rate_limited", .message = "too many requests", .ref = {}, .id = {}, .retry_after = {}};
        refusal.retry_after = static_cast<std::uint64_t>(session->allowance.wait().count());
        if (const auto* request = std::get_if<Request>(&decoded)) {
            refusal.ref = request->ref;
            if (const auto* send = std::get_if<Send>(&request->what)) refusal.id = send->id;
        }
        session->connection->send(encode_refusal(refusal));
        if (++session->strikes >= options_.limits.strikes)
            close(*session, CloseCode::policy, "too many requests");
        return;
    }
    session->strikes = 0;
    if (const auto* refusal = std::get_if<Refusal>(&decoded)) {
        session->connection->send(encode_refusal(*refusal));
        return;
    }
    handle(id, *session, std::get<Request>(decoded));
}

bool Hub::allowed(Session& session) {
    if (session.allowance.take(clock_())) return true;
    metrics_.rate_limited.Increment();
    return false;
}

void Hub::handle(SessionId id, Session& session, const Request& request) {
    const bool before_sign_in =
        std::holds_alternative<SignIn>(request.what) || std::holds_alternative<Ping>(request.what);
    if (session.name.empty() && !before_sign_in) {
        refuse(session, "not_signed_in", "sign in first", request.ref);
        return;
    }
    std::visit([&](const auto& what) { on(id, session, what, request.ref); }, request.what);
}

void Hub::refuse(Session& session, std::string_view code, std::string message, const std::string& ref,
                 const std::string& id) {
    session.connection->send(encode_refusal(
        {.code = code, .message = std::move(message), .ref = ref, .id = id, .retry_after = std::nullopt}));
}

void Hub::close(Session& session, CloseCode code, std::string reason) {
    if (session.closing) return;
    session.closing = true;
    session.connection->close(code, std::move(reason));
}

void Hub::close_all(CloseCode code, const std::string& reason) {
    for (auto& [id, session] : sessions_) close(session, code, reason);
}

void Hub::on(SessionId id, Session& session, const SignIn& sign_in, const std::string& ref) {
    if (!session.name.empty()) {
        refuse(session, "already_signed_in", "this connection is signed in as " + session.name, ref);
        return;
    }
    if (epoch_.empty()) {
        refuse(session, "unavailable", "the message store is not there yet", ref);
        close(session, CloseCode::try_again_later, "not ready");
        return;
    }
    const auto claims = verify_token(sign_in.token, options_.secret, seconds_since_1970());
    const bool good = claims && (claims->name == sign_in.name || claims->scope == Scope::service);
    if (!good) {
        refuse(session, "unauthorized", claims ? "the token is for another name" : claims.error().text(),
               ref);
        if (++session.attempts >= most_sign_in_attempts) close(session, CloseCode::policy, "sign-in failed");
        return;
    }
    session.name = sign_in.name;
    delivery_.add(id, session.name, *session.connection);
    presence_.arrived(session.name, clock_());
    metrics_.sessions.Set(static_cast<double>(delivery_.sessions()));
    Welcome welcome{.name = session.name, .pod = options_.pod, .epoch = epoch_, .direct = {}};
    welcome.direct = delivery_.direct_rooms_of(session.name);
    session.connection->send(encode_welcome(welcome, ref));
    for (const auto& [room, seq] : sign_in.resume) on(id, session, Join{room, seq}, {});
}

void Hub::on(SessionId id, Session& session, const Join& join, const std::string& ref) {
    if (!may_enter(session.name, join.room))
        refuse(session, "forbidden", "this is a direct room of others", ref);
    else if (!has_place_for(join.room))
        refuse(session, "too_many_rooms", "there are too many rooms", ref);
    else if (!delivery_.join(id, join.room, join.after, ref))
        refuse(session, "too_many_rooms", "leave another room first", ref);
}

void Hub::on(SessionId id, Session& session, const Leave& leave, const std::string& ref) {
    delivery_.leave(id, leave.room);
    session.connection->send(encode_left(leave.room, ref));
}

void Hub::on(SessionId id, Session& session, const Send& send, const std::string& ref) {
    const auto room =
        send.room.empty() && send.to != session.name ? direct_room(session.name, send.to) : send.room;
    if (!may_enter(session.name, room)) {
        refuse(session, "forbidden", "you cannot write there", ref, send.id);
        return;
    }
    if (!has_place_for(room)) {
        refuse(session, "too_many_rooms", "there are too many rooms", ref, send.id);
        return;
    }
    Draft draft{.room = room, .from = session.name, .id = send.id, .text = send.text};
    ++session.pending;
    // The text is not needed for the ack.
    const Draft key{.room = draft.room, .from = draft.from, .id = draft.id, .text = {}};
    append(std::move(draft), [this, id, key, ref](const net::Result<Appended>& appended) {
        auto* sender = find(id);
        if (sender == nullptr) return;
        --sender->pending;
        if (appended)
            sender->connection->send(encode_ack(key, *appended, ref));
        else
            refuse(*sender, "unavailable", appended.error().text(), ref, key.id);
    });
}

void Hub::on(SessionId, Session& session, const Typing& typing, const std::string&) {
    const auto now = clock_();
    if (now - session.typed < typing_pace || !may_enter(session.name, typing.room)) return;
    session.typed = now;
    delivery_.whisper(typing.room, encode_typing(typing.room, session.name), session.name);
    store_.send_signal(
        Signal{"typing", json::serialize(json::object{
                             {"instance", instance_}, {"room", typing.room}, {"from", session.name}})});
}

void Hub::on(SessionId id, Session& session, const History& history, const std::string& ref) {
    if (!may_enter(session.name, history.query.room)) {
        refuse(session, "forbidden", "this is a direct room of others", ref);
        return;
    }
    // Answers count against the queue like everything else: a client that does not read cannot ask for more.
    store_.read(history.query,
                [this, id, room = history.query.room, ref](const net::Result<HistoryPage>& page) {
                    auto* asker = find(id);
                    if (asker == nullptr) return;
                    if (page)
                        asker->connection->send(encode_history(room, *page, ref));
                    else
                        refuse(*asker, "unavailable", page.error().text(), ref);
                });
}

void Hub::on(SessionId, Session& session, const ListRooms&, const std::string& ref) {
    session.connection->send(encode_rooms(rooms(), ref));
}

void Hub::on(SessionId, Session& session, const ListUsers&, const std::string& ref) {
    session.connection->send(encode_users(presence_.users(most_listed), presence_.count(), ref));
}

void Hub::on(SessionId, Session& session, const Ping&, const std::string& ref) {
    session.connection->send(encode_pong(ref));
}

void Hub::append(Draft draft, Store::Answer<Appended> answer) {
    store_.append(std::move(draft), [this, began = Clock::now(),
                                     answer = std::move(answer)](const net::Result<Appended>& appended) {
        const std::chrono::duration<double> took = Clock::now() - began;
        metrics_.append_seconds.Observe(took.count());
        auto& counter = !appended             ? metrics_.messages_failed
                        : appended->duplicate ? metrics_.messages_duplicate
                                              : metrics_.messages_stored;
        counter.Increment();
        answer(appended);
    });
}

std::vector<RoomInfo> Hub::rooms() const {
    auto out = delivery_.open_rooms(most_listed);
    for (const auto& name : options_.rooms) {
        const auto same = [&](const RoomInfo& room) { return room.name == name; };
        if (std::none_of(out.begin(), out.end(), same)) out.push_back(RoomInfo{name, delivery_.last(name)});
    }
    return out;
}

void Hub::tick() {
    const auto now = clock_();
    if (now - store_ticked_ >= std::chrono::seconds(1)) {
        store_ticked_ = now;
        store_.tick();
        for (auto& [id, session] : sessions_) session.connection->check(now);
    }
    if (draining_) {
        drain_some(now);
        return;
    }
    if (auto signal = presence_.tell(now)) store_.send_signal(std::move(*signal));
    if (const auto changes = presence_.changes(now)) {
        delivery_.whisper_all(encode_presence(changes->online, changes->offline, changes->count));
        metrics_.users.Set(static_cast<double>(changes->count));
    }
    for (auto& [id, session] : sessions_)
        if (session.name.empty() && now - session.opened >= options_.limits.auth_timeout)
            close(session, CloseCode::policy, "no sign-in");
}

void Hub::drain(std::chrono::milliseconds spread) {
    if (draining_) return;
    draining_ = true;
    metrics_.ready.Set(0);
    drain_began_ = clock_();
    drain_spread_ = spread;
    for (const auto& [id, session] : sessions_) to_drain_.push_back(id);
    store_.send_signal(presence_.farewell());
    tick();
}

void Hub::drain_some(TimePoint now) {
    const auto passed = now - drain_began_;
    auto due = to_drain_.size();
    if (passed < drain_spread_) {
        const auto whole = static_cast<std::size_t>(std::chrono::nanoseconds(drain_spread_).count());
        due = std::min(due,
                       due * static_cast<std::size_t>(std::chrono::nanoseconds(passed).count()) / whole + 1);
    }
    for (; drained_ < due; ++drained_)
        if (auto* session = find(to_drain_[drained_])) session->leaving = now;
    for (auto& [id, session] : sessions_)
        if (session.leaving != TimePoint{} && (session.pending == 0 || now - session.leaving >= last_words))
            close(session, CloseCode::going_away, "the service is going down");
}

void Hub::got_history(const std::string& epoch, std::vector<RoomInfo> rooms) {
    // Sequence numbers of the old history mean nothing now; the clients see the new epoch when they come
    // back.
    if (!epoch_.empty() && epoch != epoch_)
        close_all(CloseCode::service_restart, "the history is another one");
    epoch_ = epoch;
    delivery_.set_rooms(rooms);
}

void Hub::got_messages(const std::vector<Message>& messages) {
    for (const auto& message : messages) {
        if (delivery_.last(message.room) == 0 && !direct_members(message.room))
            delivery_.whisper_all(encode_room(RoomInfo{message.room, message.seq}));
        delivery_.publish(message);
    }
    metrics_.messages_seen.Increment(static_cast<double>(messages.size()));
}

void Hub::got_signal(const Signal& signal) {
    if (signal.kind == "presence") {
        presence_.heard(signal.text, clock_());
        return;
    }
    boost::system::error_code failed;
    const auto value = json::parse(signal.text, failed);
    if (signal.kind != "typing" || failed || !value.is_object()) return;
    const auto& object = value.as_object();
    const auto text = [&](std::string_view key) {
        const auto* field = object.if_contains(key);
        return field != nullptr && field->is_string() ? std::string(field->as_string()) : std::string();
    };
    const auto room = text("room");
    const auto from = text("from");
    if (text("instance") != instance_ && valid_name(from) && may_enter(from, room))
        delivery_.whisper(room, encode_typing(room, from), from);
}

void Hub::set_ready(bool ready) {
    ready_ = ready;
    metrics_.ready.Set(this->ready() ? 1 : 0);
    if (ready) presence_.ask();
    spdlog::info(ready ? "ready: messages can be stored" : "not ready: messages cannot be stored now");
}

}  // namespace hawser::im
