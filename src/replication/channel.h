// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"
#include "replication/message.h"

struct ssl_ctx_st;  // OpenSSL
struct ssl_st;

namespace hawser::replication {

// The secret that all nodes share, as TLS 1.3 wants it (an external pre-shared key, RFC 8446 section 2.2):
// both ends prove that they have it, and nobody else reads or changes what they say.
class Key {
  public:
    // A file of at least 32 characters, white space around them not counted, such as `openssl rand -hex 32`
    // prints. Errors name the file.
    static net::Result<Key> read(const std::string& file);
    static Key from_text(std::string_view secret);
    ~Key();
    Key(Key&&) noexcept;
    Key& operator=(Key&&) noexcept;

  private:
    friend class Channel;
    Key() = default;
    struct Contexts;  // for either side
    std::unique_ptr<Contexts> contexts_;
};

// One connection to another node: TLS over TCP, messages both ways. One loop's thread. Owns its descriptor.
class Channel : private net::EventHandler, private net::Timer {
  public:
    struct Limits {
        std::chrono::milliseconds handshake{5'000};  // TCP's and TLS's together
        std::chrono::milliseconds silence{5'000};    // nothing was heard for so long: the other is dead
    };
    // Is told what happens. May destroy the channel in on_closed() only.
    class Owner {
      public:
        virtual ~Owner() = default;
        virtual void on_open(Channel& channel) = 0;  // the handshake is done, on both sides with the same key
        virtual void on_message(Channel& channel, Message message) = 0;
        virtual void on_drained(Channel& channel) = 0;  // queued() has fallen to low_water or below
        // Once, and nothing after it; not after close(). `failure` says why.
        virtual void on_closed(Channel& channel, const net::Error& failure) = 0;
    };
    // Both outlive it. Errors are told by on_closed() in a later turn.
    static std::unique_ptr<Channel> connect(net::Loop& loop, const Key& key, const net::SocketAddress& to,
                                            Limits limits, Owner& owner);
    static std::unique_ptr<Channel> accept(net::Loop& loop, const Key& key, net::Fd connection, Limits limits,
                                           Owner& owner);
    ~Channel() override;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // After on_open(). What the connection does not take waits here, however much: the caller looks at
    // queued().
    void send(const Message& message);
    [[nodiscard]] std::size_t queued() const;  // bytes that wait
    static constexpr std::size_t low_water = 256 * 1024;
    [[nodiscard]] bool is_open() const { return open_; }
    [[nodiscard]] bool is_initiator() const { return initiator_; }  // of the connection
    [[nodiscard]] const net::SocketAddress& peer() const { return peer_; }
    void close();  // in silence

  private:
    struct SslFree {
        void operator()(::ssl_st* ssl) const;
    };
    struct Wire;  // the socket as OpenSSL sees it
    Channel(net::Loop& loop, net::Fd fd, const net::SocketAddress& peer, bool initiator, Limits limits,
            Owner& owner);
    void on_events(std::uint32_t events) override;
    void on_timer() override;
    void start(::ssl_ctx_st* context);
    bool is_connected(std::uint32_t events);
    bool shake_hands();
    bool read();
    void flush(bool tells);
    void fail(const net::Error& failure);
    void fail_soon(net::Error failure);
    [[nodiscard]] net::Error reason(int code) const;

    net::Loop& loop_;
    net::Fd fd_;
    net::SocketAddress peer_;
    bool initiator_, open_ = false, closed_ = false, connecting_ = false;
    std::optional<net::Error> failure_;  // that is still to be told
    net::TimePoint last_heard_;
    Limits limits_;
    Owner& owner_;
    std::unique_ptr<Wire> wire_;  // outlives what stands next
    std::unique_ptr<::ssl_st, SslFree> ssl_;
    Decoder decoder_;
    Bytes out_;
    std::size_t written_ = 0;  // of out_
};

}  // namespace hawser::replication
