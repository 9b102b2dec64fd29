// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <coroutine>
#include <cstdint>
#include <optional>
#include <span>

#include "net/address.h"
#include "net/loop.h"

namespace hawser::net {

class Socket;

// Is told when a socket's readiness changed. One listener at a time.
class ReadinessListener {
  public:
    virtual ~ReadinessListener() = default;
    virtual void on_readiness(Socket& socket) = 0;
};

// A connected (or connecting) non-blocking stream socket on a loop: owns the descriptor and remembers what
// epoll said, so that nothing is asked of the kernel that it has answered already. Loop's thread only.
class Socket : private EventHandler {
  public:
    // Takes over a non-blocking descriptor. `writable`: true for an accepted or idle one, false while
    // connecting.
    Socket(Loop& loop, Fd fd, bool writable);
    ~Socket() override { close(); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    // Watches the descriptor. Without it no readiness is ever seen.
    Result<void> open();
    void close();             // FIN, or RST when unread data is left (the kernel's rule)
    void close_with_reset();  // RST

    void set_listener(ReadinessListener* listener) { listener_ = listener; }
    // The listener is called again in the next turn, whatever the kernel says.
    void again() { loop_.again(*this); }

    [[nodiscard]] bool is_open() const { return fd_.valid(); }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool readable() const { return readable_; }
    [[nodiscard]] bool writable() const { return writable_; }
    [[nodiscard]] bool peer_finished() const {
        return hangup_;
    }                                                        // FIN (or RST) has arrived, data may be left
    [[nodiscard]] bool has_error() const { return error_; }  // RST, or the connect failed
    [[nodiscard]] Loop& loop() const { return loop_; }

    // As recv and send: > 0 bytes, 0 the end (read only), < 0 -errno; -EAGAIN clears the readiness.
    ssize_t read(void* to, std::size_t size);
    ssize_t write(const void* from, std::size_t size);
    ssize_t write(std::span<const iovec> parts);
    void finish_writing();  // shutdown(SHUT_WR): FIN after what was written

    // SO_ERROR, cleared by reading: 0 when a connect went well.
    [[nodiscard]] int take_error() const;

  private:
    void on_events(std::uint32_t events) override;

    Loop& loop_;
    ReadinessListener* listener_ = nullptr;
    Fd fd_;
    bool readable_ = false;
    bool writable_ = false;
    bool hangup_ = false;
    bool error_ = false;
};

enum Readiness : std::uint8_t { nothing = 0, reading = 1, writing = 2, hangup = 4 };

// Awaits until one of up to two sockets is ready for what was asked, or the deadline. Sockets that are ready
// already do not suspend. Result of co_await: true = ready, false = the deadline passed.
//   const bool ready = co_await Wait{deadline, {&client, reading}, {&endpoint, writing | reading}};
class Wait : private ReadinessListener, private Timer {
  public:
    struct Interest {
        Socket* socket = nullptr;
        unsigned what = nothing;
    };
    Wait(TimePoint deadline, Interest first) : deadline_(deadline), first_(first) {}
    Wait(TimePoint deadline, Interest first, Interest second)
        : deadline_(deadline), first_(first), second_(second) {}

    [[nodiscard]] bool await_ready() const noexcept { return is_ready(first_) || is_ready(second_); }
    void await_suspend(std::coroutine_handle<> handle);
    bool await_resume() const noexcept { return !timed_out_; }

  private:
    static bool is_ready(const Interest& interest);
    void on_readiness(Socket& socket) override;
    void on_timer() override;
    void leave();

    TimePoint deadline_;
    Interest first_;
    Interest second_;
    std::coroutine_handle<> handle_;
    bool timed_out_ = false;
};

// Socket options; errors of options that only tune are ignored.
struct KeepAlive {
    std::chrono::seconds idle{60};
    std::chrono::seconds interval{15};
    int probes = 4;
    Duration user_timeout{
        300'000};  // TCP_USER_TIMEOUT: unacknowledged data, or a shut window, for so long = dead
};
void set_no_delay(int fd);
void set_keep_alive(int fd, const KeepAlive& keep_alive);
void set_reset_on_close(int fd);  // SO_LINGER 0
SocketAddress local_address(int fd);
SocketAddress peer_address(int fd);

// Starts a non-blocking connect. The descriptor is writable once it is decided: then ask take_error().
Result<Fd> start_connect(const SocketAddress& to);
// The same from an address and port (SO_REUSEADDR: it may have other connections); the peer is told `mss` at most, 0 = as
// the kernel likes. The error's code is EADDRINUSE or EADDRNOTAVAIL when that 4-tuple cannot be had.
Result<Fd> start_connect(const SocketAddress& to, const SocketAddress& from, int mss);

}  // namespace hawser::net
