// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nats/nats.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/error.h"

namespace hawser::im {

// libnats with owners and Results: one connection that comes back by itself, and the few JetStream calls that
// the store needs. Thread-safe; callbacks come on threads of libnats.
class NatsConnection {
  public:
    struct Options {
        std::string url;  // nats://host:port[,nats://...]
        std::string name;
        int replicas = 1;  // of the stream and of the key-value bucket
    };

    struct StreamState {
        std::int64_t created = 0;  // nanoseconds since 1970: which stream it is
        std::uint64_t last = 0;
    };

    // A message of a subscription.
    struct Delivered {
        std::string subject;
        std::string payload;
        std::uint64_t position = 0;  // in the stream
    };

    // Follows a stream in order; belongs to one thread.
    class Reader {
      public:
        explicit Reader(natsSubscription* subscription) : subscription_(subscription) {}
        // Nothing came within the time: no value. Error: the reader is broken, make another.
        net::Result<std::optional<Delivered>> next(std::int64_t timeout_ms);

      private:
        struct Destroy {
            void operator()(natsSubscription* subscription) const { natsSubscription_Destroy(subscription); }
        };
        std::unique_ptr<natsSubscription, Destroy> subscription_;
    };

    // Does not fail when the server is not there: the connection keeps trying. Fails on a malformed URL.
    static net::Result<std::unique_ptr<NatsConnection>> open(const Options& options);
    ~NatsConnection();
    NatsConnection(const NatsConnection&) = delete;
    NatsConnection& operator=(const NatsConnection&) = delete;

    [[nodiscard]] bool connected() const { return connected_; }
    // Counts up with each connection made; what was subscribed before may have missed something.
    [[nodiscard]] unsigned generation() const { return generation_; }

    // `subject` may have wildcards. The callback runs until close().
    net::Result<void> subscribe(
        const std::string& subject,
        std::function<void(std::string_view subject, std::string_view payload)> callback);
    void publish(const std::string& subject, const std::string& payload);

    // Appends to a stream if the newest message of the subject has this number there (0: there is none). The
    // server's answer comes to `reply`.
    net::Result<void> publish_if_last(const std::string& stream, const std::string& subject,
                                      const std::string& payload, std::uint64_t last,
                                      const std::string& reply);

    // The stream, made if it is not there: on disk, never purged.
    net::Result<StreamState> ensure_stream(const std::string& stream, const std::string& subjects);
    net::Result<StreamState> stream_state(const std::string& stream);
    net::Result<Reader> read_stream(const std::string& stream, const std::string& subjects,
                                    std::uint64_t from);

    // The value under `key` of a bucket; `value` if there was none. The first of all replicas wins.
    net::Result<std::string> keep(const std::string& bucket, const std::string& key,
                                  const std::string& value);

    [[nodiscard]] std::string new_inbox() const;

    // No callback runs after this.
    void close();

  private:
    struct Callback {
        NatsConnection* owner = nullptr;
        std::function<void(std::string_view, std::string_view)> run;
        natsSubscription* subscription = nullptr;
    };

    explicit NatsConnection(Options options) : options_(std::move(options)) {}
    static void on_disconnected(natsConnection*, void* self);
    static void on_connected(natsConnection*, void* self);
    static void on_closed(natsConnection*, void* self);
    static void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* callback);

    Options options_;
    natsConnection* connection_ = nullptr;
    jsCtx* jetstream_ = nullptr;
    std::atomic<bool> connected_ = false;
    std::atomic<unsigned> generation_ = 0;
    std::vector<std::unique_ptr<Callback>> callbacks_;
    std::mutex mutex_;
    std::condition_variable quiet_;
    unsigned running_ = 0;  // subscriptions whose callbacks may still run
    bool closed_ = false;   // libnats has said so
};

}  // namespace hawser::im
