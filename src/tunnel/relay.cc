// SPDX-License-Identifier: Apache-2.0
#include "tunnel/relay.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hawser::tunnel {

namespace {
// What one read asks for, and so what a slow reader can make us keep. Larger reads gave no more bulk
// throughput.
constexpr std::size_t piece_size = 64 * 1024;
static_assert(piece_size <= net::Loop::scratch_size);
// Pieces moved for one tunnel before the others have their turn.
constexpr int pieces_per_turn = 8;
// Dead peers are looked for in tunnels that last: ten socket options are a tenth of a short tunnel's cost.
constexpr net::Duration keep_alive_after{10'000};
// A tunnel that ends before would pay for the hand-off and have nothing of it.
constexpr net::Duration depart_after{20};
constexpr net::Duration transit_poll{2};
constexpr net::Duration longest_poll{20};
// One that was too busy to be caught between two bytes.
constexpr net::Duration depart_again{5'000};

Side other(Side side) { return side == Side::client ? Side::endpoint : Side::client; }
}  // namespace

Relay::Relay(Registry& registry, Tunnel tunnel, Ends ends, std::unique_ptr<Epilogue> epilogue)
    : registry_(registry),
      tunnel_(std::move(tunnel)),
      client_(std::move(ends.client)),
      endpoint_(std::move(ends.endpoint)),
      started_(registry.loop().now()),
      last_activity_(started_),
      epilogue_(std::move(epilogue)),
      companion_(std::move(ends.companion)) {
    if (!ends.early_from_client.empty()) {
        account(up_, Side::client, ends.early_from_client.data(), ends.early_from_client.size());
        keep(up_, ends.early_from_client.data(), ends.early_from_client.size());
    }
    if (!ends.early_from_endpoint.empty()) {
        account(down_, Side::endpoint, ends.early_from_endpoint.data(), ends.early_from_endpoint.size());
        keep(down_, ends.early_from_endpoint.data(), ends.early_from_endpoint.size());
    }
}

Relay::~Relay() = default;

void Relay::start() {
    client_->set_listener(this);
    endpoint_->set_listener(this);
    registry_.loop().timers().set(*this, last_activity_ + std::min(tunnel_.idle_timeout, keep_alive_after));
    // Readiness that the handshake left behind brings no event; and the caller may still be using the
    // sockets.
    client_->again();
    if (registry_.splicer_ == nullptr || !tunnel_.may_splice) return;
    tunnel_.splice = "starting";
    departure_ = std::make_unique<Departure>(*this);
    registry_.loop().timers().set(*departure_, last_activity_ + depart_after);
}

Tunnel Relay::snapshot() const {
    Tunnel t = tunnel_;
    const auto fill = [](Flow& flow, const Direction& d) {
        flow.bytes = d.bytes;
        flow.frames = d.frames.frames();
        flow.close_code = d.frames.close_code();
    };
    fill(t.from_client, up_);
    fill(t.from_endpoint, down_);
    const auto now = registry_.loop().now();
    t.idle = std::chrono::duration_cast<net::Duration>(now - last_activity_);
    t.duration = std::chrono::duration_cast<net::Duration>(now - started_);
    return t;
}

void Relay::on_readiness(net::Socket&) { pump(); }

void Relay::pump() {
    if (ended_) return;
    const Progress up = move(up_, *client_, *endpoint_, Side::client);
    if (up == Progress::ended) return;
    const Progress down = move(down_, *endpoint_, *client_, Side::endpoint);
    if (down == Progress::ended) return;
    if (up_.finished() && down_.finished() && !in_transit()) {
        end(drain_code_ != 0 ? CloseReason::drained : CloseReason::finished, false);
        return;
    }
    if (up == Progress::more || down == Progress::more) client_->again();
    // In transit the timer asks.
    if (departure_ && departure_->hand_off && !in_transit()) advance_hand_off();
}

void Relay::depart() {
    if (ended_) return;
    if (!departure_->hand_off) {
        if (drain_code_ != 0 || up_.source_finished || down_.source_finished) {
            tunnel_.splice = "closing";
            departure_.reset();
            return;
        }
        departure_->hand_off =
            registry_.splicer_->begin(tunnel_, client_->fd(), endpoint_->fd(), tunnel_.splice);
        if (!departure_->hand_off) {
            departure_.reset();
            return;
        }
        tunnel_.splice = "starting";
    }
    const bool asks_itself = !in_transit();
    pump();
    if (ended_ || !departure_ || !departure_->hand_off) return;
    if (!asks_itself) advance_hand_off();
    if (!ended_ && departure_ && !departure_->is_set())
        registry_.loop().timers().set(*departure_, registry_.loop().now() + transit_poll);
}

void Relay::advance_hand_off() {
    const bool is_transit = in_transit();
    if (!is_transit && (up_.source_finished || down_.source_finished)) {
        tunnel_.splice = "closing";
        departure_.reset();
        return;
    }
    const auto drained = [](const Direction& d, const net::Socket& from) {
        return !d.pending && (d.source_finished || !from.readable());
    };
    HandOff::Relayed relayed;
    relayed.from_client = {up_.bytes, up_.frames.frames(), {}};
    relayed.from_endpoint = {down_.bytes, down_.frames.frames(), {}};
    relayed.client_finished = up_.finished();
    relayed.endpoint_finished = down_.finished();
    relayed.quiet = drained(up_, *client_) && drained(down_, *endpoint_);
    auto& timers = registry_.loop().timers();
    const auto now = registry_.loop().now();
    switch (departure_->hand_off->advance(relayed)) {
        case HandOff::Step::wait:
            timers.set(
                *departure_,
                now + std::min(longest_poll, net::Duration{1 + static_cast<int>(departure_->tries++) / 8}));
            return;
        case HandOff::Step::transit:
            if (!is_transit) enter_transit();
            timers.set(*departure_, now + transit_poll);
            return;
        case HandOff::Step::spliced:
            return leave_to_the_kernel();
        case HandOff::Step::refused:
            if (is_transit) return end(CloseReason::failed, true);
            tunnel_.splice = departure_->hand_off->why_not();
            departure_.reset();
            if (std::string_view(tunnel_.splice) != "busy") return;
            departure_ = std::make_unique<Departure>(*this);
            timers.set(*departure_, now + depart_again);
            return;
    }
}

// From now on the kernel may be the one that sees the end.
void Relay::enter_transit() {
    tunnel_.splice = "transit";
    registry_.splicer_->take_over(tunnel_.id, registry_, std::move(epilogue_));
}

// The sockets are dead by now; the rest of the tunnel's life is told by the splicer.
void Relay::leave_to_the_kernel() {
    ended_ = true;
    cancel();
    client_->close();
    endpoint_->close();
    companion_.reset();
    registry_.remove(*this);
}

Relay::Progress Relay::move(Direction& d, net::Socket& from, net::Socket& to, Side from_side) {
    if (d.pending && !flush(d, to, other(from_side))) return Progress::ended;
    if (d.pending) return Progress::blocked;
    if (d.source_finished && from.has_error()) {
        // RST behind its FIN: nothing is left to read that would tell.
        failed(from_side, from.take_error());
        return Progress::ended;
    }
    char* const buffer = from.loop().scratch();
    for (int pieces = 0; !d.source_finished && from.readable(); ++pieces) {
        if (pieces == pieces_per_turn) return Progress::more;
        const ssize_t n = from.read(buffer, piece_size);
        if (n == -EAGAIN) break;
        if (n < 0) {
            failed(from_side, static_cast<int>(-n));
            return Progress::ended;
        }
        last_activity_ = from.loop().now();
        if (n == 0) {
            d.source_finished = true;
            if (!tunnel_.closed_by && drain_code_ == 0) tunnel_.closed_by = from_side;
            break;
        }
        const auto size = static_cast<std::size_t>(n);
        std::size_t send = size;
        if (d.discarding) {
            account(d, from_side, buffer, size);
            continue;
        }
        const std::size_t boundary = account(d, from_side, buffer, size);
        // A drain waits for a frame to end: cut there, and put our Close behind it.
        const bool cut = drain_code_ != 0 && boundary != 0 && !d.frames.close_code();
        if (cut) send = boundary;
        if (!forward(d, to, other(from_side), buffer, send)) return Progress::ended;
        if (cut) inject_close(d, to, other(from_side));
        if (ended_) return Progress::ended;
        if (d.pending) return Progress::blocked;
    }
    if ((d.source_finished || d.discarding) && !d.fin_sent && !d.pending) {
        d.fin_sent = true;
        // Where both ends have finished, closing sends this FIN.
        const Direction& opposite = &d == &up_ ? down_ : up_;
        // In transit the closing is silent.
        if (!(d.source_finished && opposite.finished()) || in_transit()) to.finish_writing();
    }
    return Progress::blocked;
}

std::size_t Relay::account(Direction& d, Side from_side, const char* bytes, std::size_t size) {
    d.bytes += size;
    if (tunnel_.protocol != "websocket") return 0;
    const bool had_close = d.frames.close_code().has_value();
    const std::size_t boundary = d.frames.feed(bytes, size);
    if (!had_close && d.frames.close_code() && !tunnel_.closed_by && drain_code_ == 0)
        tunnel_.closed_by = from_side;
    return boundary;
}

bool Relay::forward(Direction& d, net::Socket& to, Side to_side, const char* bytes, std::size_t size) {
    std::size_t sent = 0;
    if (!d.pending && to.writable()) {
        const ssize_t n = to.write(bytes, size);
        if (n < 0 && n != -EAGAIN) {
            failed(to_side, static_cast<int>(-n));
            return false;
        }
        if (n > 0) sent = static_cast<std::size_t>(n);
    }
    if (sent < size) keep(d, bytes + sent, size - sent);
    return true;
}

void Relay::keep(Direction& d, const char* bytes, std::size_t size) {
    const std::uint32_t have = d.pending_end - d.pending_begin;
    auto grown = std::make_unique_for_overwrite<char[]>(have + size);
    if (have != 0) std::memcpy(grown.get(), d.pending.get() + d.pending_begin, have);
    std::memcpy(grown.get() + have, bytes, size);
    d.pending = std::move(grown);
    d.pending_begin = 0;
    d.pending_end = have + static_cast<std::uint32_t>(size);
}

bool Relay::flush(Direction& d, net::Socket& to, Side to_side) {
    while (to.writable()) {
        const ssize_t n = to.write(d.pending.get() + d.pending_begin, d.pending_end - d.pending_begin);
        if (n == -EAGAIN) return true;
        if (n < 0) {
            failed(to_side, static_cast<int>(-n));
            return false;
        }
        last_activity_ = to.loop().now();
        d.pending_begin += static_cast<std::uint32_t>(n);
        if (d.pending_begin == d.pending_end) {
            d.pending.reset();
            d.pending_begin = d.pending_end = 0;
            return true;
        }
    }
    return true;
}

void Relay::failed(Side side, int error) {
    // Writing to a side that has closed: what it sent last may still be worth reading, but the stream is cut
    // there.
    if (!tunnel_.closed_by) tunnel_.closed_by = side;
    const bool timed_out = error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
    end(timed_out ? CloseReason::timed_out : CloseReason::reset, true);
}

void Relay::kill(CloseReason reason) { end(reason, true); }

void Relay::drain(std::uint16_t code, std::string_view reason, net::Duration grace) {
    if (ended_ || drain_code_ != 0 || in_transit()) return;  // what is in transit is the kernel's in a moment
    departure_.reset();
    drain_code_ = code;
    close_reason_text_ = reason;
    drain_deadline_ = registry_.loop().now() + grace;
    registry_.loop().timers().set(*this, drain_deadline_);
    if (tunnel_.protocol != "websocket") return;  // no word for "go" in it: it may end by itself until then
    if (down_.frames.at_boundary()) inject_close(down_, *client_, Side::client);
    if (!ended_ && up_.frames.at_boundary()) inject_close(up_, *endpoint_, Side::endpoint);
    if (!ended_) client_->again();
}

void Relay::inject_close(Direction& d, net::Socket& to, Side to_side) {
    if (d.discarding || d.source_finished) return;
    const std::string frame = make_close_frame(drain_code_, close_reason_text_, to_side == Side::endpoint);
    if (!forward(d, to, to_side, frame.data(), frame.size())) return;
    d.discarding = true;
}

void Relay::on_timer() {
    const auto now = registry_.loop().now();
    if (in_transit()) {
        registry_.loop().timers().set(*this, now + keep_alive_after);
        return;
    }
    if (drain_code_ != 0) {
        if (now >= drain_deadline_) end(CloseReason::drained, false);
        return;
    }
    if (!keep_alive_ && now >= started_ + keep_alive_after) {
        keep_alive_ = true;
        const net::KeepAlive keep_alive;
        net::set_keep_alive(client_->fd(), keep_alive);
        net::set_keep_alive(endpoint_->fd(), keep_alive);
    }
    const auto idle_at = last_activity_ + tunnel_.idle_timeout;
    if (now >= idle_at)
        end(CloseReason::idle, false);
    else
        registry_.loop().timers().set(*this,
                                      keep_alive_ ? idle_at : std::min(idle_at, started_ + keep_alive_after));
}

void Relay::end(CloseReason reason, bool with_reset) {
    if (ended_) return;
    if (is_spliced()) {
        departure_->hand_off->close();
        return leave_to_the_kernel();
    }
    const bool ours =
        reason == CloseReason::idle || reason == CloseReason::killed || reason == CloseReason::drained;
    if (ours) tunnel_.closed_by.reset();
    if (in_transit()) {
        // What the program has carried past us is the kernel's to count.
        if (departure_->hand_off->end(reason, tunnel_.closed_by)) return leave_to_the_kernel();
        epilogue_ = registry_.splicer_->give_back(tunnel_.id);
    }
    ended_ = true;
    cancel();
    departure_.reset();
    Tunnel value = snapshot();
    value.reason = reason;
    for (auto* socket : {client_.get(), endpoint_.get()}) {
        if (with_reset)
            socket->close_with_reset();
        else
            socket->close();
    }
    companion_.reset();
    if (epilogue_) epilogue_->ended(value);
    registry_.count_end(value);
    registry_.remove(*this);
}

Registry::~Registry() {
    relays_.clear_and_dispose([](Relay* relay) { delete relay; });
}

Relay& Registry::add(Tunnel tunnel, Relay::Ends ends, std::unique_ptr<Epilogue> epilogue) {
    tunnel.id = next_id_;
    next_id_ += id_step_;
    auto* relay = new Relay(*this, std::move(tunnel), std::move(ends), std::move(epilogue));
    relays_.push_back(*relay);
    ++size_;
    ++ended_.opened;
    relay->start();
    return *relay;
}

void Registry::count_end(const Tunnel& tunnel) {
    ++ended_.closed;
    ended_.bytes_in += tunnel.from_client.bytes;
    ended_.bytes_out += tunnel.from_endpoint.bytes;
    ended_.frames_in += tunnel.from_client.frames;
    ended_.frames_out += tunnel.from_endpoint.frames;
}

void Registry::ended(const Tunnel& tunnel, std::unique_ptr<Epilogue> epilogue) {
    loop_.post([this, tunnel, last = std::shared_ptr<Epilogue>(std::move(epilogue))] {
        count_end(tunnel);
        if (last) last->ended(tunnel);
    });
}

void Registry::remove(Relay& relay) {
    relays_.erase(relays_.iterator_to(relay));
    --size_;
    // The relay may be on the stack above us.
    loop_.defer([dead = &relay] { delete dead; });
}

void Registry::each(const std::function<void(Relay&)>& visit) {
    for (auto at = relays_.begin(); at != relays_.end();) {
        Relay& relay = *at++;
        visit(relay);
    }
}

bool Registry::kill(std::uint64_t id) {
    for (Relay& relay : relays_) {
        if (relay.id() != id || relay.is_spliced()) continue;
        relay.kill(CloseReason::killed);
        return true;
    }
    return false;
}

Registry::Totals Registry::totals() const {
    Totals out = ended_;
    for (const Relay& relay : relays_) {
        const Tunnel t = relay.snapshot();
        out.bytes_in += t.from_client.bytes;
        out.bytes_out += t.from_endpoint.bytes;
        out.frames_in += t.from_client.frames;
        out.frames_out += t.from_endpoint.frames;
    }
    return out;
}

}  // namespace hawser::tunnel
