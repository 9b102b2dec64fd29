// SPDX-License-Identifier: Apache-2.0
#include "bench/generator/load_worker.h"

#include <cstring>
#include <random>
#include <system_error>

#include "bench/wire/handshake.h"

namespace hawser::bench {

namespace {

// How many handshakes one thread has under way while it opens the tunnels of a load.
constexpr std::uint64_t opening_at_once = 128;

std::string path_of(const LoadOptions& options) {
    if (options.mode == LoadMode::up) return options.verify ? "/sink?verify" : "/sink";
    if (options.mode == LoadMode::down) return "/source?size=" + std::to_string(options.size);
    return "/echo";
}

std::string random_key(std::mt19937_64& random) {
    static constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string key;
    for (int i = 0; i < 21; ++i) key += digits[random() % 64];
    return key + digits[random() % 4 * 16] + "==";  // the last digit of 16 bytes carries two bits
}

}  // namespace

LoadWorker::LoadWorker(const LoadOptions& options, std::uint64_t connections, const LoadClock& clock,
                       const MessageTape& tape)
    : options_(options),
      connections_(connections),
      clock_(clock),
      tape_(tape),
      target_(parse_endpoint(options.target)),
      input_(256 * 1024) {
    for (const auto& source : options.sources) sources_.push_back(parse_endpoint(source));
    make_keys();
    frame_.resize(largest_header + options.size);
    if (options.mode == LoadMode::up) {
        // One masked message, sent again and again: a fresh mask each time would only measure this program.
        const FrameHeader header{.length = options.size, .key = next_mask(), .masked = true};
        const std::size_t at = encode(header, frame_.data());
        copy_masked(tape_.message(0, options.size), frame_.data() + at, header.key, 0);
        frame_.resize(at + options.size);
    }
}

void LoadWorker::make_keys() {
    std::mt19937_64 random{std::random_device{}()};
    random_ = random() | 1;
    for (int i = 0; i < 64; ++i) {
        const std::string key = random_key(random);
        keys_.push_back({opening_request(options_.host, path_of(options_), key), accept_for(key)});
    }
}

MaskKey LoadWorker::next_mask() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    MaskKey key;
    std::memcpy(key.data(), &random_, key.size());
    return key;
}

void LoadWorker::run() {
    try {
        loop();
    } catch (const std::system_error& error) {
        fail(error.what());
        open_.store(true);
        answered_.store(connections_);
    }
}

bool LoadWorker::goes_on_and_on() const {
    return options_.mode == LoadMode::handshake || options_.mode == LoadMode::connect;
}

void LoadWorker::loop() {
    const bool again = goes_on_and_on();
    while (!clock_.stop.load(std::memory_order_relaxed)) {
        if (!running_ && clock_.started.load()) start_tunnels();
        if (again ? running_ : begun_ < connections_) open_more();
        if (again || settled_ == connections_) open_.store(true);
        for (const auto& event : poller_.wait(running_ ? 50 : 2))
            handle(*static_cast<Tunnel*>(event.data.ptr), event.events);
    }
}

sockaddr_in LoadWorker::next_target() {
    sockaddr_in out = target_;
    if (options_.spread > 1) {
        next_mask();  // turns random_
        const auto step = static_cast<std::uint32_t>(random_ % options_.spread);
        out.sin_addr.s_addr = htonl(ntohl(target_.sin_addr.s_addr) + step);
    }
    return out;
}

void LoadWorker::open_more() {
    const bool again = goes_on_and_on();
    while (again ? tunnels_.size() < connections_ : opening_ < opening_at_once && begun_ < connections_) {
        auto tunnel = std::make_unique<Tunnel>();
        tunnel->sent_at = now_ns();
        tunnel->fd =
            connect_to(next_target(), sources_.empty() ? nullptr : &sources_[begun_ % sources_.size()]);
        tunnel->key = static_cast<std::uint16_t>(begun_ % keys_.size());
        tunnel->slot = tunnels_.size();
        poller_.add(tunnel->fd, tunnel->interest, tunnel.get());
        tunnels_.push_back(std::move(tunnel));
        ++begun_;
        ++opening_;
    }
}

void LoadWorker::start_tunnels() {
    running_ = true;
    for (std::size_t i = tunnels_.size(); i-- > 0;) {
        Tunnel& tunnel = *tunnels_[i];
        if (start(tunnel))
            watch(tunnel);
        else
            forget(tunnel);
    }
}

void LoadWorker::handle(Tunnel& t, std::uint32_t events) {
    bool alive = true;
    if ((events & EPOLLOUT) != 0) alive = write(t);
    if (alive && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) alive = read(t);
    if (alive)
        watch(t);
    else
        forget(t);
}

bool LoadWorker::write(Tunnel& t) {
    if (t.state == State::connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(t.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return fail("connect: " + std::generic_category().message(error));
        if (options_.mode == LoadMode::connect) return connected(t);
        t.state = State::upgrading;
        const std::string& request = keys_[t.key].request;
        const std::span bytes(reinterpret_cast<const std::uint8_t*>(request.data()), request.size());
        return t.out.send(t.fd.get(), bytes) || fail("the connection broke while the request was sent");
    }
    if (!t.out.flush(t.fd.get())) return fail("the connection broke while a message was sent");
    if (options_.mode != LoadMode::up || !running_ || !t.out.empty()) return true;
    const auto sent = Backlog::send_some(t.fd.get(), std::span(frame_).subspan(t.frame_at));
    if (sent < 0) return fail("the connection broke while a message was sent");
    t.frame_at = (t.frame_at + static_cast<std::size_t>(sent)) % frame_.size();
    return true;
}

// The end of it is a reset: thousands a second would otherwise be thousands of ports in TIME_WAIT.
bool LoadWorker::connected(Tunnel& t) {
    const std::uint64_t now = now_ns();
    if (clock_.measuring(now)) {
        count_message(0);
        report_.latency.record(now - t.sent_at);
    }
    reset_when_closed(t.fd);
    return false;
}

bool LoadWorker::read(Tunnel& t) {
    const auto size = recv(t.fd.get(), input_.data(), input_.size(), 0);
    if (size < 0) {
        if (errno == EAGAIN || errno == EINTR) return true;
        return fail("read: " + std::generic_category().message(errno));
    }
    if (size == 0) return stream_ended(t);
    auto bytes = std::span(input_).first(static_cast<std::size_t>(size));
    if (t.state == State::upgrading) {
        if (!take_head(t, bytes)) return false;
        if (t.state == State::upgrading) return true;
    }
    return take_frames(t, bytes);
}

bool LoadWorker::take_head(Tunnel& t, std::span<std::uint8_t>& bytes) {
    t.head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto end = head_end(t.head);
    if (end == std::string::npos) {
        if (t.head.size() > longest_head) return fail("the answer's head is longer than 16 KiB");
        return true;
    }
    bytes = bytes.last(t.head.size() - end);
    const auto wrong = check_response(std::string_view(t.head).substr(0, end), keys_[t.key].accept);
    if (!wrong.empty()) return fail(std::string(wrong) + " (" + t.head.substr(0, t.head.find('\r')) + ")");
    t.head = {};
    t.state = State::open;
    ++report_.opened;
    --opening_;
    ++settled_;
    return !running_ || start(t);
}

struct LoadWorker::Visitor {
    LoadWorker& worker;
    Tunnel& t;

    bool begin(const FrameHeader& h) {
        if (h.masked) return worker.fail("the server masked a frame");
        if (h.opcode == close) t.close_seen = true;
        return true;
    }
    bool payload(const FrameHeader& h, std::span<std::uint8_t> piece, std::uint64_t offset) {
        if (h.opcode >= close) return true;
        if (worker.options_.mode == LoadMode::down && worker.clock_.measuring(now_ns()))
            worker.report_.bytes += piece.size();
        if (worker.options_.verify && !worker.tape_.matches(t.number, offset, piece))
            return worker.fail("a message came back changed");
        return true;
    }
    bool end(const FrameHeader& h) { return h.opcode >= close || worker.message_ended(t, h); }
};

bool LoadWorker::take_frames(Tunnel& t, std::span<std::uint8_t> bytes) {
    Visitor visitor{*this, t};
    if (t.reader.read(bytes, visitor)) return true;
    return t.reader.error().empty() ? false : fail("not WebSocket: " + std::string(t.reader.error()));
}

void LoadWorker::count_message(std::uint64_t bytes) {
    ++report_.messages;
    report_.bytes += bytes;
}

bool LoadWorker::message_ended(Tunnel& t, const FrameHeader& header) {
    const std::uint64_t now = now_ns();
    const bool measured = clock_.measuring(now);
    switch (options_.mode) {
        case LoadMode::down:
            if (measured) count_message(0);
            return true;
        case LoadMode::up:
            if (measured) count_message(options_.size);
            return true;
        case LoadMode::handshake:
            return send_close(t);
        case LoadMode::idle:
            if (header.length != options_.size) return fail("a message came back with another length");
            ++report_.alive;
            ++answered_;
            return true;
        case LoadMode::echo:
        case LoadMode::connect:  // has no messages
            break;
    }
    if (header.length != options_.size) return fail("a message came back with another length");
    if (measured) {
        count_message(options_.size);
        report_.latency.record(now - t.sent_at);
    }
    ++t.number;
    return send_message(t);
}

bool LoadWorker::start(Tunnel& t) {
    if (t.state != State::open || options_.mode == LoadMode::down || options_.mode == LoadMode::up)
        return true;
    return send_message(t);
}

bool LoadWorker::send_message(Tunnel& t) {
    const FrameHeader header{.length = options_.size, .key = next_mask(), .masked = true};
    const std::size_t at = encode(header, frame_.data());
    copy_masked(tape_.message(t.number, options_.size), frame_.data() + at, header.key, 0);
    if (options_.mode == LoadMode::echo) t.sent_at = now_ns();
    return t.out.send(t.fd.get(), std::span(frame_).first(at + options_.size)) ||
           fail("the connection broke while a message was sent");
}

bool LoadWorker::send_close(Tunnel& t) {
    t.state = State::closing;
    const FrameHeader header{.length = 2, .key = next_mask(), .opcode = close, .masked = true};
    std::array<std::uint8_t, largest_header + 2> frame;
    const std::size_t at = encode(header, frame.data());
    const std::array<std::uint8_t, 2> normal{1000 >> 8, 1000 & 0xff};  // RFC 6455 section 7.4.1
    copy_masked(normal, frame.data() + at, header.key, 0);
    return t.out.send(t.fd.get(), std::span(frame).first(at + 2)) ||
           fail("the connection broke while a message was sent");
}

bool LoadWorker::stream_ended(Tunnel& t) {
    if (t.state == State::upgrading) return fail("the connection ended before the answer");
    if (t.state != State::closing || !t.close_seen) return fail("the connection ended");
    const std::uint64_t now = now_ns();
    if (clock_.measuring(now)) {
        count_message(options_.size);
        report_.latency.record(now - t.sent_at);
    }
    return false;
}

void LoadWorker::watch(Tunnel& t) {
    const bool streaming = options_.mode == LoadMode::up && running_ && t.state == State::open;
    const bool waiting = t.state == State::connecting || !t.out.empty() || streaming;
    const std::uint32_t wanted = (t.state == State::connecting ? 0U : EPOLLIN) | (waiting ? EPOLLOUT : 0U);
    if (wanted != t.interest) poller_.change(t.fd, t.interest = wanted, &t);
}

bool LoadWorker::fail(std::string why) {
    ++report_.errors[std::move(why)];
    return false;
}

void LoadWorker::forget(Tunnel& t) {
    if (t.state == State::connecting || t.state == State::upgrading) {
        --opening_;
        ++settled_;
    }
    if (options_.mode == LoadMode::idle) ++answered_;
    const std::size_t slot = t.slot;
    tunnels_.back()->slot = slot;
    std::swap(tunnels_[slot], tunnels_.back());
    tunnels_.pop_back();
}

}  // namespace hawser::bench
