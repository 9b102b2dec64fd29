// SPDX-License-Identifier: Apache-2.0
#include "bench/generator/serve.h"

#include <charconv>
#include <cstdio>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bench/generator/backlog.h"
#include "bench/generator/socket.h"
#include "bench/wire/frame.h"
#include "bench/wire/handshake.h"
#include "bench/wire/message.h"

namespace hawser::bench {

namespace {

enum class Role : std::uint8_t { opening, echo, sink, source, closing };

struct Tunnel {
    Fd fd;
    std::size_t slot = 0;  // its place in the list of its thread
    FrameReader reader;
    Backlog out;
    std::string head;                                  // of the request, until it is whole
    std::vector<std::uint8_t> control;                 // the payload of a ping or a Close, until it is whole
    const std::vector<std::uint8_t>* frame = nullptr;  // what a source sends, again and again
    std::size_t frame_at = 0;
    std::uint32_t interest = EPOLLIN;
    Role role = Role::opening;
    bool verify = false;
};

class Server {
  public:
    Server(Fd listener, const MessageTape& tape)
        : listener_(std::move(listener)), tape_(tape), input_(256 * 1024) {}

    void run(const std::atomic<bool>& stop) {
        poller_.add(listener_, EPOLLIN, nullptr);
        while (!stop.load(std::memory_order_relaxed)) {
            for (const auto& event : poller_.wait(100)) {
                if (event.data.ptr == nullptr) {
                    accept_all();
                } else {
                    auto& tunnel = *static_cast<Tunnel*>(event.data.ptr);
                    if (!serve_tunnel(tunnel, event.events)) forget(tunnel);
                }
            }
        }
    }

  private:
    void accept_all() {
        while (Fd fd = accept_from(listener_)) {
            auto tunnel = std::make_unique<Tunnel>();
            tunnel->fd = std::move(fd);
            tunnel->slot = tunnels_.size();
            poller_.add(tunnel->fd, tunnel->interest, tunnel.get());
            tunnels_.push_back(std::move(tunnel));
        }
    }

    void forget(Tunnel& tunnel) {
        const std::size_t slot = tunnel.slot;
        tunnels_.back()->slot = slot;
        std::swap(tunnels_[slot], tunnels_.back());
        tunnels_.pop_back();
    }

    // False when the tunnel is over.
    bool serve_tunnel(Tunnel& t, std::uint32_t events) {
        if ((events & EPOLLOUT) != 0 && !write(t)) return false;
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !read(t)) return false;
        if (t.role == Role::closing && t.out.empty()) return false;
        return watch(t);
    }

    bool watch(Tunnel& t) {
        // A tunnel that cannot write is not read: that is the back-pressure.
        const std::uint32_t wanted = !t.out.empty()           ? EPOLLOUT
                                     : t.role == Role::source ? EPOLLIN | EPOLLOUT
                                                              : EPOLLIN;
        if (wanted != t.interest) poller_.change(t.fd, t.interest = wanted, &t);
        return true;
    }

    bool write(Tunnel& t) {
        if (!t.out.empty() || t.role != Role::source) return t.out.flush(t.fd.get());
        const auto sent = Backlog::send_some(t.fd.get(), std::span(*t.frame).subspan(t.frame_at));
        if (sent < 0) return false;
        t.frame_at = (t.frame_at + static_cast<std::size_t>(sent)) % t.frame->size();
        return true;
    }

    bool read(Tunnel& t) {
        const auto size = recv(t.fd.get(), input_.data(), input_.size(), 0);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        if (size == 0) return false;
        auto bytes = std::span(input_).first(static_cast<std::size_t>(size));
        if (t.role == Role::opening) {
            t.head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            const auto end = head_end(t.head);
            if (end == std::string::npos) return t.head.size() <= longest_head;
            bytes = bytes.last(t.head.size() - end);
            t.head.resize(end);
            if (!open(t)) return false;
        }
        return take_frames(t, bytes);
    }

    bool open(Tunnel& t) {
        const Opening opening = answer(t.head);
        t.head = {};
        if (!t.out.send(t.fd.get(), std::span(reinterpret_cast<const std::uint8_t*>(opening.response.data()),
                                              opening.response.size())))
            return false;
        t.role = Role::closing;
        if (!opening.accepted) return true;
        t.role = Role::echo;
        t.verify = opening.path.find("verify") != std::string::npos;
        if (opening.path.starts_with("/sink")) t.role = Role::sink;
        if (opening.path.starts_with("/source")) {
            t.role = Role::source;
            t.frame = &source_frame(opening.path);
        }
        return true;
    }

    const std::vector<std::uint8_t>& source_frame(const std::string& path) {
        std::size_t size = 65536;
        if (const auto at = path.find("size="); at != std::string::npos)
            std::from_chars(path.data() + at + 5, path.data() + path.size(), size);
        size = std::min(size, longest_message);
        auto& frame = source_frames_[size];
        if (frame.empty()) {
            frame.resize(largest_header);
            frame.resize(encode({.length = size}, frame.data()));
            const auto message = tape_.message(0, size);
            frame.insert(frame.end(), message.begin(), message.end());
        }
        return frame;
    }

    struct Visitor {
        Server& server;
        Tunnel& t;

        bool begin(const FrameHeader& h) {
            if (!h.masked) return close_with(1002);  // RFC 6455 section 5.1
            if (h.opcode < close && t.role == Role::echo)
                server.put_header({.length = h.length, .opcode = h.opcode, .fin = h.fin});
            return true;
        }
        bool payload(const FrameHeader& h, std::span<std::uint8_t> piece, std::uint64_t offset) {
            if (h.opcode >= close) {
                apply_mask(piece, h.key, offset);
                t.control.insert(t.control.end(), piece.begin(), piece.end());
            } else if (t.role == Role::echo) {
                auto& reply = server.reply_;
                reply.resize(reply.size() + piece.size());
                copy_masked(piece, reply.data() + reply.size() - piece.size(), h.key, offset);
            } else if (t.verify) {
                apply_mask(piece, h.key, offset);
                if (!server.tape_.matches(0, offset, piece)) return close_with(1007);
            }
            return true;
        }
        bool end(const FrameHeader& h) {
            if (h.opcode >= close) return answer_control(h.opcode);
            if (t.role == Role::sink && h.fin) {
                server.put_header({.length = 0});
            }
            return true;
        }
        bool answer_control(std::uint8_t opcode) {
            // A source may stand within a message of its own: it answers nothing, it only ends.
            if (opcode != pong && t.role != Role::source) {
                server.put_header({.length = t.control.size(), .opcode = opcode == ping ? pong : close});
                server.reply_.insert(server.reply_.end(), t.control.begin(), t.control.end());
            }
            t.control = {};
            if (opcode == close) t.role = Role::closing;
            return opcode != close;
        }
        bool close_with(std::uint16_t code) {
            if (t.role != Role::source) {
                server.put_header({.length = 2, .opcode = close});
                server.reply_.push_back(static_cast<std::uint8_t>(code >> 8));
                server.reply_.push_back(static_cast<std::uint8_t>(code & 0xff));
            }
            t.role = Role::closing;
            return false;
        }
    };

    bool take_frames(Tunnel& t, std::span<std::uint8_t> bytes) {
        reply_.clear();
        Visitor visitor{*this, t};
        if (!t.reader.read(bytes, visitor) && t.role != Role::closing) visitor.close_with(1002);
        return reply_.empty() || t.out.send(t.fd.get(), reply_);
    }

    void put_header(const FrameHeader& header) {
        const std::size_t size = reply_.size();
        reply_.resize(size + largest_header);
        reply_.resize(size + encode(header, reply_.data() + size));
    }

    Fd listener_;
    const MessageTape& tape_;
    Poller poller_;
    std::vector<std::unique_ptr<Tunnel>> tunnels_;
    std::unordered_map<std::size_t, std::vector<std::uint8_t>> source_frames_;
    std::vector<std::uint8_t> input_, reply_;
};

}  // namespace

void serve(const ServeOptions& options, std::atomic<bool>& stop) {
    const MessageTape tape(longest_message);
    sockaddr_in address = parse_endpoint(options.listen);
    std::vector<std::unique_ptr<Server>> servers;
    for (unsigned i = 0; i < options.threads; ++i) {
        Fd listener = listen_on(address);
        address.sin_port = htons(local_port(listener));  // the first may have chosen it
        servers.push_back(std::make_unique<Server>(std::move(listener), tape));
    }
    std::printf("{\"event\":\"listening\",\"port\":%u}\n", ntohs(address.sin_port));
    std::fflush(stdout);
    std::vector<std::exception_ptr> failures(servers.size());
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            threads.emplace_back([&server = *servers[i], &failure = failures[i], &stop] {
                try {
                    server.run(stop);
                } catch (const std::system_error&) {
                    failure = std::current_exception();
                    stop = true;
                }
            });
        }
    }
    for (const auto& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

}  // namespace hawser::bench
