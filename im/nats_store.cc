// SPDX-License-Identifier: Apache-2.0
#include "im/nats_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <future>
#include <utility>

#include "im/token.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

constexpr std::string_view signal_prefix = "hawser.im.signal.";
constexpr std::size_t most_entries_together = 256;
constexpr std::size_t most_batches_applying = 8;

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

net::Error unavailable(std::string why) {
    net::Error error;
    error.message = std::move(why);
    return error;
}

// What the server says about a publish: "" when it is stored.
std::string refusal_in(std::string_view payload) {
    boost::system::error_code failed;
    const auto value = json::parse(payload, failed);
    if (failed || !value.is_object()) return "no answer of a stream";
    const auto* error = value.as_object().if_contains("error");
    if (error == nullptr) return {};
    const auto* text = error->is_object() ? error->as_object().if_contains("description") : nullptr;
    return text != nullptr && text->is_string() ? std::string(text->as_string()) : "refused";
}

}  // namespace

net::Result<std::unique_ptr<NatsStore>> NatsStore::open(Options options, Post post) {
    auto nats = NatsConnection::open(
        {.url = options.url, .name = "hawser-im " + options.pod, .replicas = options.replicas});
    if (!nats) return nats.error();
    auto view = Database::open(options.view_path, Database::Durability::none);
    if (!view) return view.error();
    return std::unique_ptr<NatsStore>(
        new NatsStore(std::move(options), std::move(post), std::move(*nats), std::move(*view)));
}

NatsStore::NatsStore(Options options, Post post, std::unique_ptr<NatsConnection> nats, Database view)
    : options_(std::move(options)),
      post_(std::move(post)),
      nats_(std::move(nats)),
      view_(std::move(view)),
      writer_(random_hex(8)),
      inbox_(nats_->new_inbox()) {}

NatsStore::~NatsStore() { stop(); }

void NatsStore::start(Events events) {
    events_ = std::move(events);
    const auto answers =
        nats_->subscribe(inbox_ + ".*", [this](std::string_view subject, std::string_view payload) {
            auto why = refusal_in(payload);
            if (why.empty()) return;  // the entry itself tells, when it comes back
            const auto flight =
                std::strtoull(std::string(subject.substr(inbox_.size() + 1)).c_str(), nullptr, 10);
            worker_.post([this, flight, why = std::move(why)] { refused(flight, why); });
        });
    const auto signals = nats_->subscribe(
        std::string(signal_prefix) + "*", [this](std::string_view subject, std::string_view payload) {
            Signal signal{std::string(subject.substr(signal_prefix.size())), std::string(payload)};
            post_([this, signal = std::move(signal)] { events_.signal(signal); });
        });
    if (!answers || !signals) spdlog::error("{}", (answers ? signals.error() : answers.error()).text());
    follower_ = std::thread([this] { follow(); });
}

// ---- the follower: reads the stream and hands it to the worker

void NatsStore::pause() const { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

void NatsStore::follow() {
    auto watched_at = Clock::now();
    auto retried_at = Clock::now();
    bool was_connected = false;
    while (!stopping_) {
        const bool connected = nats_->connected();
        if (connected != was_connected) {
            was_connected = connected;
            if (!connected) worker_.post([this] { set_connected(false); });
        }
        const auto now = Clock::now();
        if (now - retried_at >= std::chrono::milliseconds(100)) {
            retried_at = now;
            worker_.post([this] { retry(); });
        }
        if (!connected) {
            reader_.reset();
            pause();
            continue;
        }
        if (resubscribe_.exchange(false) || generation_ != nats_->generation()) reader_.reset();
        if (!reader_ && !subscribe()) {
            pause();
            continue;
        }
        auto next = reader_->next(50);
        if (!next) {
            spdlog::warn("{}", next.error().text());
            reader_.reset();
        } else if (*next) {
            take(std::move(**next));
        } else if (now - watched_at >= std::chrono::seconds(2)) {
            watched_at = now;
            watch();
        }
    }
    reader_.reset();
}

bool NatsStore::subscribe() {
    generation_ = nats_->generation();
    const auto state = nats_->ensure_stream(options_.stream, std::string(room_subjects));
    if (!state) {
        spdlog::warn("{}", state.error().text());
        return false;
    }
    // The view says where to go on. The worker is through with everything earlier when it answers.
    std::promise<net::Result<std::uint64_t>> answer;
    auto applied = answer.get_future();
    const bool posted = worker_.post([this, &answer, state = *state] {
        start_view(std::to_string(state.created), state.last);
        answer.set_value(view_.applied());
    });
    if (!posted) return false;
    const auto position = applied.get();
    if (!position) {
        spdlog::error("{}", position.error().text());
        return false;
    }
    auto reader = nats_->read_stream(options_.stream, std::string(room_subjects), *position + 1);
    if (!reader) {
        spdlog::warn("{}", reader.error().text());
        return false;
    }
    created_ = state->created;
    received_ = watched_ = *position;
    reader_.emplace(std::move(*reader));
    worker_.post([this, position = *position] { caught_up_if(position); });
    return true;
}

void NatsStore::take(NatsConnection::Delivered first) {
    std::vector<Entry> entries;
    std::optional<NatsConnection::Delivered> delivered(std::move(first));
    while (delivered) {
        received_ = delivered->position;
        if (const auto room = room_of(delivered->subject)) {
            entries.push_back(decode_entry(*room, delivered->position, delivered->payload));
            if (entries.back().batch.messages.empty())
                spdlog::warn("entry {} of the stream is not ours: passed over", delivered->position);
        }
        if (entries.size() >= most_entries_together) break;
        auto next = reader_->next(0);
        if (!next) {
            reader_.reset();
            break;
        }
        delivered = std::move(*next);
    }
    while (applying_ >= most_batches_applying && !stopping_)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++applying_;
    const bool posted = worker_.post([this, entries = std::move(entries), position = received_]() mutable {
        --applying_;
        apply(std::move(entries));
        caught_up_if(position);
    });
    if (!posted) --applying_;
}

void NatsStore::watch() {
    // An idle stream and a dead consumer look the same from here; the stream itself knows.
    const auto state = nats_->stream_state(options_.stream);
    if (!state) {
        spdlog::warn("{}", state.error().text());
        if (state.error().code == static_cast<int>(JSStreamNotFoundErr)) reader_.reset();
        return;
    }
    const bool stuck = state->last > received_ && received_ == watched_;
    if (stuck || state->created != created_) {
        spdlog::warn("the stream is at {}, we at {}: reading it anew", state->last, received_);
        reader_.reset();
    }
    watched_ = received_;
}

// ---- the worker: the view, and what waits to be appended

void NatsStore::set_connected(bool connected) {
    if (!connected) caught_up_ = false;
    set_ready(connected && caught_up_);
}

void NatsStore::start_view(const std::string& epoch, std::uint64_t target) {
    caught_up_ = false;
    broken_ = false;
    target_ = target;
    auto kept = view_.keep("epoch", epoch);
    if (kept && *kept != epoch) {
        spdlog::warn("the stream is another one than before: the view starts anew");
        set_ready(false);
        if (const auto erased = view_.erase_everything(); !erased) spdlog::error("{}", erased.error().text());
        kept = view_.keep("epoch", epoch);
    }
    if (epoch_ != epoch) told_ = false;
    epoch_ = epoch;
}

void NatsStore::caught_up_if(std::uint64_t position) {
    if (caught_up_ || broken_ || position < target_) return;
    if (!told_) {
        auto rooms = view_.rooms();
        if (!rooms) {
            spdlog::error("{}", rooms.error().text());
            return;
        }
        told_ = true;
        post_([this, epoch = epoch_, rooms = std::move(*rooms)] { events_.history(epoch, rooms); });
    }
    caught_up_ = true;
    set_ready(true);
    retry();
}

void NatsStore::set_ready(bool ready) {
    if (ready == ready_) return;
    ready_ = ready;
    post_([this, ready] { events_.ready(ready); });
}

void NatsStore::apply(std::vector<Entry> entries) {
    if (broken_) return;
    std::vector<Batch> batches;
    batches.reserve(entries.size());
    for (auto& entry : entries) batches.push_back(std::move(entry.batch));
    if (const auto done = view_.apply(batches); !done) {
        spdlog::error("{}", done.error().text());
        broken_ = true;
        set_connected(false);
        resubscribe_ = true;  // from where the view is
        return;
    }
    for (std::size_t i = 0; i < batches.size(); ++i) {
        const auto found = rooms_.find(batches[i].room);
        if (found == rooms_.end() || found->second.in_flight.empty()) continue;
        auto& room = found->second;
        if (entries[i].writer != writer_ + "." + std::to_string(room.flight)) continue;
        auto landed = std::exchange(room.in_flight, {});
        flights_.erase(room.flight);
        for (std::size_t n = 0; n < landed.size() && n < batches[i].messages.size(); ++n)
            answer(landed[n], Appended{batches[i].messages[n].seq, batches[i].messages[n].time_ms, false});
    }
    if (told_) {
        std::vector<Message> messages;
        for (auto& batch : batches)
            std::move(batch.messages.begin(), batch.messages.end(), std::back_inserter(messages));
        post_([this, messages = std::move(messages)] { events_.messages(messages); });
    }
    for (const auto& batch : batches) pump(batch.room);
}

void NatsStore::append(Draft draft, Answer<Appended> answer) {
    if (++waiting_ > most_waiting) {
        --waiting_;
        post_([answer = std::move(answer)] { answer(unavailable("too many messages wait to be stored")); });
        return;
    }
    Waiting waiting{std::move(draft), std::move(answer), Clock::now()};
    worker_.post([this, waiting = std::move(waiting)] { enqueue(waiting); });
}

void NatsStore::enqueue(Waiting waiting) {
    if (stopping_) {
        answer(waiting, unavailable("the service is going down"));
        return;
    }
    const auto name = waiting.draft.room;
    rooms_[name].waiting.push_back(std::move(waiting));
    pump(name);
}

void NatsStore::answer(const Waiting& waiting, net::Result<Appended> result) {
    --waiting_;
    post_([answer = waiting.answer, result = std::move(result)] { answer(result); });
}

void NatsStore::pump(const std::string& name) {
    const auto found = rooms_.find(name);
    if (found == rooms_.end() || !caught_up_ || !found->second.in_flight.empty()) return;
    auto& room = found->second;
    const auto end = view_.end_of(name);
    if (!end) {
        spdlog::error("{}", end.error().text());
        return;
    }
    std::size_t bytes = 0;
    while (!room.waiting.empty() && room.in_flight.size() < most_in_an_entry && bytes < longest_entry) {
        const auto& draft = room.waiting.front().draft;
        const auto known = view_.find(name, draft.from, draft.id);
        if (!known) {
            spdlog::error("{}", known.error().text());
            break;
        }
        const auto same = [&](const Waiting& other) {
            return other.draft.from == draft.from && other.draft.id == draft.id;
        };
        // The same message twice: the second one is a duplicate when the first one has landed.
        if (std::any_of(room.in_flight.begin(), room.in_flight.end(), same)) break;
        if (*known) {
            answer(room.waiting.front(), **known);
        } else {
            bytes += draft.text.size();
            room.in_flight.push_back(std::move(room.waiting.front()));
        }
        room.waiting.pop_front();
    }
    if (!room.in_flight.empty())
        publish(name, room, *end);
    else if (room.waiting.empty())
        rooms_.erase(found);
}

void NatsStore::publish(const std::string& name, Room& room, const RoomEnd& end) {
    room.flight = next_flight_++;
    room.expected = end.position;
    room.sent = Clock::now();
    flights_[room.flight] = name;
    std::vector<Draft> drafts;
    drafts.reserve(room.in_flight.size());
    for (const auto& waiting : room.in_flight) drafts.push_back(waiting.draft);
    const auto number = std::to_string(room.flight);
    const auto entry = encode_entry(drafts, end.last + 1, now_ms(), writer_ + "." + number);
    const auto sent =
        nats_->publish_if_last(options_.stream, subject_of(name), entry, end.position, inbox_ + "." + number);
    if (!sent) {
        spdlog::warn("{}", sent.error().text());
        land(name);
    }
}

void NatsStore::refused(std::uint64_t flight, const std::string& why) {
    const auto found = flights_.find(flight);
    if (found == flights_.end()) return;
    const auto name = found->second;
    spdlog::debug("entry {} for {} was refused: {}", flight, name, why);
    const auto expected = rooms_[name].expected;
    land(name);
    // Another replica was faster. If its entry is in the view already, go on; otherwise its arrival is the
    // signal.
    const auto end = view_.end_of(name);
    if (end && end->position != expected) pump(name);
}

// The entry under way did not make it, as far as we know: its messages wait again, first in line.
void NatsStore::land(const std::string& name) {
    auto& room = rooms_[name];
    flights_.erase(room.flight);
    for (auto& waiting : room.in_flight) waiting.draft.room = name;
    room.waiting.insert(room.waiting.begin(), std::make_move_iterator(room.in_flight.begin()),
                        std::make_move_iterator(room.in_flight.end()));
    room.in_flight.clear();
}

void NatsStore::retry() {
    const auto now = Clock::now();
    std::vector<std::string> names;
    for (auto& [name, room] : rooms_) {
        // If it lands later all the same, the position that it expects has passed, or we find it in the view.
        if (!room.in_flight.empty() && now - room.sent >= flight_time) land(name);
        std::erase_if(room.waiting, [&](const Waiting& waiting) {
            if (now - waiting.since < options_.patience) return false;
            answer(waiting, unavailable("the message could not be stored in time"));
            return true;
        });
        names.push_back(name);
    }
    for (const auto& name : names) pump(name);
}

void NatsStore::read(HistoryQuery query, Answer<HistoryPage> answer) {
    worker_.post([this, query = std::move(query), answer = std::move(answer)] {
        post_([answer, page = view_.read(query)] { answer(page); });
    });
}

void NatsStore::send_signal(Signal signal) {
    nats_->publish(std::string(signal_prefix) + signal.kind, signal.text);
}

net::Result<std::string> NatsStore::shared_secret(const std::string& candidate) {
    const auto deadline = Clock::now() + options_.patience;
    while (!nats_->connected() && Clock::now() < deadline) pause();
    return nats_->keep("hawser-im", "secret", candidate);
}

void NatsStore::fail_all() {
    for (auto& [name, room] : rooms_) {
        for (const auto& waiting : room.in_flight) answer(waiting, unavailable("the service is going down"));
        for (const auto& waiting : room.waiting) answer(waiting, unavailable("the service is going down"));
    }
    rooms_.clear();
}

void NatsStore::stop() {
    if (stopping_.exchange(true)) return;
    worker_.post([this] { fail_all(); });
    if (follower_.joinable()) follower_.join();
    worker_.stop();
    nats_->close();
}

}  // namespace hawser::im
