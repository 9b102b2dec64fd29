// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "balance/picker.h"
#include "catalog/snapshot.h"
#include "gateway/access_logs.h"
#include "gateway/admission.h"
#include "gateway/endpoint_pool.h"
#include "gateway/gateway.h"
#include "gateway/http/rules.h"
#include "gateway/stats.h"
#include "net/loop.h"
#include "tunnel/relay.h"

namespace hawser::gateway {

// What all workers of a process share. Each member is immutable or thread-safe.
struct Shared {
    Options options;
    std::shared_ptr<LogSink> log;
    Admission admission;
    std::shared_ptr<LimitZones> limit_zones = make_limit_zones();
    balance::AffinityTable affinity;
    std::atomic<std::uint64_t> next_connection{1};  // $connection

    Shared(Options o, std::shared_ptr<LogSink> l)
        : options(std::move(o)), log(std::move(l)), admission(options.limits) {}
};

// An HTTP listener as workers use it; made once per snapshot, shared.
struct HttpRules {
    std::shared_ptr<const catalog::Snapshot> snapshot;
    const catalog::http::Listener* listener = nullptr;  // in *snapshot
    ServerIndex index;

    HttpRules(std::shared_ptr<const catalog::Snapshot> s, const catalog::http::Listener& l)
        : snapshot(std::move(s)), listener(&l), index(l) {}
};

// What a listening socket is for. Connections that came in by it look here at each request, so that they
// follow the snapshot in force; both are null once nothing listens there any more.
struct Purpose {
    std::shared_ptr<const HttpRules> http;              // an HTTP listener, or
    std::shared_ptr<const catalog::Frontend> frontend;  // an L4 service
};
using PurposeSlot = std::shared_ptr<Purpose>;  // one per worker and bind key

class Acceptor;
class UdpService;

// A client's connection that is not a tunnel (yet) as the worker's list of them sees it.
class ServedConnection : public boost::intrusive::list_base_hook<> {
  public:
    virtual ~ServedConnection() = default;
    virtual void end_if_idle() = 0;                      // if it waits for a request (a drain does)
    virtual void cut() = 0;                              // whatever it does
    [[nodiscard]] virtual bool is_orphaned() const = 0;  // nothing listens any more where it came in
};

// One thread of the gateway: its loop and everything that lives on it. Public functions run on the worker's
// own thread unless they say otherwise.
class Worker {
  public:
    Worker(Shared& shared, unsigned index, unsigned count);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void start_thread();  // control thread
    void stop_thread();   // control thread: stops the loop and joins

    // The sockets of this worker for a new snapshot: keys that are gone are closed, those in `opened` are
    // new, the others get their new purpose.
    struct Change {
        std::map<std::string, Purpose> purposes;  // by bind key: everything that is listened on from now on
        std::map<std::string, net::Fd> opened;
        std::shared_ptr<const LogFiles> logs;
        std::vector<net::IpAddress> node_addresses;
        std::shared_ptr<const std::set<std::string>> groups;  // ids of all endpoint groups
    };
    void apply(Change change);
    void follow_mss();  // the listeners of this worker (Splicing::listener_mss)

    void drain(net::Duration spread, net::Duration grace);
    [[nodiscard]] bool draining() const { return draining_; }
    [[nodiscard]] bool is_idle() const;  // no client, no tunnel
    [[nodiscard]] Stats collect_stats() const;

    net::Loop& loop() { return loop_; }
    Shared& shared() { return shared_; }
    tunnel::Registry& tunnels() { return tunnels_; }
    EndpointPool& pool() { return pool_; }
    AccessLogs& logs() { return logs_; }
    Stats& stats() { return stats_; }

    // The picker of a group; kept while its group is in use. Failure marks survive a change of the group.
    std::shared_ptr<balance::Picker> picker(const std::shared_ptr<const catalog::EndpointGroup>& group);

    // Connections that are served now, so that a drain can end the idle ones.
    void add(ServedConnection& connection);
    void remove(ServedConnection& connection);
    // P-04: a client of this node or of one of its pods. `asked`: the address that it connected to, which a
    // process of this node has for its own where that address is a local route's.
    [[nodiscard]] bool is_inside(const net::IpAddress& client, const net::IpAddress& asked) const;

    // Bytes that are not printable ASCII stand as \xHH: a line may quote a client or an endpoint.
    void log(LogLevel level, std::string_view line) const;
    [[nodiscard]] bool wants_log(LogLevel level) const { return shared_.log->wants(level); }

    // What every tunnel of a worker ends with: it is counted and logged.
    class TunnelEnd : public tunnel::Epilogue {
      public:
        explicit TunnelEnd(Worker& worker) : worker_(worker) {}
        void ended(const tunnel::Tunnel& tunnel) override;

      protected:
        Worker& worker_;

      private:
        friend class Worker;
        Admission::Pass pass_;
    };
    // Joins two connections, logs the opening and counts it. `pass` is held as long as the limits count the
    // tunnel.
    void open_tunnel(tunnel::Tunnel tunnel, tunnel::Relay::Ends ends, Admission::Pass pass,
                     std::unique_ptr<TunnelEnd> end);
    void accepted(net::Fd fd, const net::SocketAddress& peer, const PurposeSlot& purpose);
    // Said once for a shortage, however many listeners meet it, and once when it is over.
    void out_of_descriptors(int error);
    void descriptors_are_back();

  private:
    struct WorkTimer : net::Timer {
        std::function<void()> work;
        void on_timer() override {
            const auto once = work;  // it may set itself anew
            once();
        }
    };
    void count_end(const tunnel::Tunnel& tunnel, Stats::PerService& service);
    void end_idle_connections();
    void cut_connections();
    void drain_some_tunnels(net::TimePoint until, net::Duration grace);

    Shared& shared_;
    unsigned index_;
    net::Loop loop_;
    tunnel::Registry tunnels_;
    EndpointPool pool_;
    AccessLogs logs_;
    Stats stats_;
    std::map<std::string, std::unique_ptr<Acceptor>> acceptors_;
    std::map<std::string, std::unique_ptr<UdpService>> udp_services_;
    std::unordered_map<std::string, std::shared_ptr<balance::Picker>> pickers_;
    boost::intrusive::list<ServedConnection, boost::intrusive::constant_time_size<false>> connections_;
    std::size_t connection_count_ = 0;
    std::size_t turning_away_ = 0;
    std::vector<net::IpAddress> node_addresses_;
    WorkTimer drain_timer_, cut_timer_;
    bool draining_ = false;
    bool short_of_descriptors_ = false;
    std::thread thread_;
};

}  // namespace hawser::gateway
