// SPDX-License-Identifier: Apache-2.0
#pragma once

// For the tests of this folder: a gateway over loopback, clients and endpoints that are plain sockets played
// by the test itself, byte by byte. Every wait has a deadline.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gateway/gateway.h"
#include "net/fd.h"
#include "net/socket.h"
#include "sources/nginx/load.h"

namespace hawser::gateway::testing {

inline constexpr std::chrono::seconds patience{10};

// Asks until the answer is yes, or patience is over.
inline bool eventually(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!is_so()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

// One end of a TCP connection: a client, or the connection that an endpoint accepted.
class Peer {
  public:
    explicit Peer(net::Fd fd) : fd_(std::move(fd)) {
        const timeval limit{patience.count(), 0};
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        net::set_no_delay(fd_.get());
    }
    // receive_buffer: bytes, for a client that reads slowly.
    static Peer connect(const net::SocketAddress& to, int receive_buffer = 0) {
        sockaddr_storage storage;
        const socklen_t size = to.to_sockaddr(storage);
        net::Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (receive_buffer != 0)
            setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0)
            throw std::runtime_error("connect " + to.text() + ": " + std::strerror(errno));
        return Peer(std::move(fd));
    }

    // False: the other side does not take it.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }
    // Up to and with `mark`; less if the stream ends or patience does.
    std::string read_until(std::string_view mark) {
        std::size_t at;
        while ((at = input_.find(mark)) == std::string::npos)
            if (!fill()) return std::exchange(input_, {});
        return take(at + mark.size());
    }
    std::string read(std::size_t size) {
        while (input_.size() < size)
            if (!fill()) break;
        return take(std::min(size, input_.size()));
    }
    // Everything until the stream ends.
    std::string read_to_end() {
        while (fill()) {
        }
        return std::exchange(input_, {});
    }
    // The other side has sent FIN, after nothing more.
    bool sees_end() { return read_to_end().empty() && end_ == End::fin; }
    bool sees_reset() {
        read_to_end();
        return end_ == End::reset;
    }
    // Nothing is there to read now.
    bool is_quiet() {
        pollfd one{fd_.get(), POLLIN, 0};
        return input_.empty() && ::poll(&one, 1, 0) == 0;
    }
    void finish() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }
    void reset() {
        net::set_reset_on_close(fd_.get());
        fd_.reset();
    }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] net::SocketAddress address() const { return net::local_address(fd_.get()); }

  private:
    enum class End { none, fin, reset, timeout };

    bool fill() {
        char buffer[65536];
        const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
        if (n > 0) {
            input_.append(buffer, static_cast<std::size_t>(n));
            return true;
        }
        end_ = n == 0 ? End::fin : errno == EAGAIN ? End::timeout : End::reset;
        return false;
    }
    std::string take(std::size_t size) {
        std::string out = input_.substr(0, size);
        input_.erase(0, size);
        return out;
    }
    net::Fd fd_;
    std::string input_;
    End end_ = End::none;
};

// An endpoint: a listening socket whose connections the test plays.
class Backend {
  public:
    Backend() {
        fd_ = net::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        bind_any_port(fd_.get());
        if (::listen(fd_.get(), 64) != 0) throw std::runtime_error("listen");
        address_ = net::local_address(fd_.get());
    }
    Peer accept() {
        pollfd one{fd_.get(), POLLIN, 0};
        if (::poll(&one, 1, static_cast<int>(patience.count() * 1000)) != 1)
            throw std::runtime_error("no connection came to " + address_.text());
        return Peer(net::Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    }
    // A connection waits to be accepted.
    [[nodiscard]] bool is_wanted() const {
        pollfd one{fd_.get(), POLLIN, 0};
        return ::poll(&one, 1, 0) == 1;
    }
    void close() { fd_.reset(); }
    [[nodiscard]] const net::SocketAddress& address() const { return address_; }
    [[nodiscard]] std::string text() const { return address_.text(); }

    static void bind_any_port(int fd) {
        sockaddr_storage storage;
        const net::SocketAddress any{*net::IpAddress::parse("127.0.0.1"), 0};
        const socklen_t size = any.to_sockaddr(storage);
        if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0) throw std::runtime_error("bind");
    }

  private:
    net::Fd fd_;
    net::SocketAddress address_;
};

// A port at which nothing listens.
inline net::SocketAddress dead_address() {
    Backend gone;
    return gone.address();
}

class Lines : public LogSink {
  public:
    void write(LogLevel, std::string_view line) override {
        const std::lock_guard lock(mutex_);
        lines_.emplace_back(line);
    }
    [[nodiscard]] bool wants(LogLevel) const override { return true; }
    [[nodiscard]] bool has(std::string_view text) const {
        const std::lock_guard lock(mutex_);
        for (const std::string& line : lines_)
            if (line.find(text) != std::string::npos) return true;
        return false;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

class Site {
  public:
    explicit Site(unsigned workers = 1, Limits limits = {}) {
        Options options;
        options.workers = workers;
        options.limits = limits;
        options.host_name = "host.test";
        gateway = std::make_unique<Gateway>(std::move(options), log);
        gateway->start();
    }

    // The listeners of an nginx fragment. They say `listen ADDRESS:1`; they get free ports.
    static std::vector<catalog::http::Listener> listeners(const std::string& nginx) {
        catalog::Diagnostics diagnostics;
        auto loaded = nginx::load_text(nginx, "test.conf", {}, diagnostics);
        if (diagnostics.has_errors()) throw std::runtime_error(diagnostics.text());
        for (auto& listener : loaded.listeners) listener.address.port = 0;
        return std::move(loaded.listeners);
    }
    catalog::Diagnostics apply(std::vector<catalog::http::Listener> http,
                               std::vector<catalog::Frontend> frontends = {}) {
        auto snapshot = std::make_shared<catalog::Snapshot>();
        snapshot->number = ++number_;
        snapshot->listeners = std::move(http);
        snapshot->frontends = std::move(frontends);
        return gateway->apply(std::move(snapshot));
    }
    // Applies it; everything that goes wrong fails the test.
    void use(const std::string& nginx) {
        const auto diagnostics = apply(listeners(nginx));
        EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.text();
    }
    void use(std::vector<catalog::Frontend> frontends) {
        const auto diagnostics = apply({}, std::move(frontends));
        EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.text();
    }
    [[nodiscard]] net::SocketAddress address(std::string_view what = "http") const {
        for (const auto& each : gateway->listening())
            if (each.what == what) return each.address;
        throw std::runtime_error("nothing listens for " + std::string(what));
    }
    [[nodiscard]] Peer client(int receive_buffer = 0) const {
        return Peer::connect(address(), receive_buffer);
    }
    [[nodiscard]] Stats stats() const { return gateway->stats(); }

    std::shared_ptr<Lines> log = std::make_shared<Lines>();
    std::unique_ptr<Gateway> gateway;

  private:
    std::uint64_t number_ = 0;
};

// A server that passes everything to one backend over HTTP/1.1; `more` are directives of its location.
inline std::string passes_to(const Backend& backend, const std::string& more = "") {
    return "upstream app { server " + backend.text() + "; keepalive 4; }\n" +
           "server { listen 127.0.0.1:1; location / { proxy_pass http://app; proxy_http_version 1.1;\n" +
           "proxy_set_header Connection \"\"; " + more + " } }";
}

inline std::shared_ptr<catalog::EndpointGroup> group_of(const std::vector<net::SocketAddress>& addresses) {
    auto group = std::make_shared<catalog::EndpointGroup>();
    group->id = "default/im:9080";
    group->service = "default/im";
    for (const auto& address : addresses) {
        catalog::Endpoint endpoint;
        endpoint.address = address;
        endpoint.name = "default/im-" + std::to_string(address.port);
        endpoint.max_fails = 0;
        endpoint.state = std::make_shared<catalog::EndpointState>();
        group->endpoints.push_back(std::move(endpoint));
    }
    return group;
}

inline catalog::Frontend frontend_of(std::shared_ptr<const catalog::EndpointGroup> group,
                                     catalog::Protocol protocol = catalog::Protocol::tcp) {
    catalog::Frontend frontend;
    frontend.id = "im";
    frontend.address = {*net::IpAddress::parse("127.0.0.1"), 0};
    frontend.protocol = protocol;
    frontend.service = "default/im";
    frontend.group = frontend.cluster_group = std::move(group);
    return frontend;
}

}  // namespace hawser::gateway::testing
