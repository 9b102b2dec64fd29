// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/loop.h"
#include "splice/names.h"
#include "splice/program.h"
#include "splice/vips.h"
#include "tunnel/splicer.h"

struct ring_buffer;  // libbpf

namespace hawser::splice {

// Both flows of a tunnel, as they were read.
struct FlowPair {
    layout::flow_key client_key{}, endpoint_key{};  // of the flows from the client, from the endpoint
    layout::flow client{}, endpoint{};
};

// All tunnels that the kernel carries, those of earlier processes too: told of, counted, looked after, ended.
// Runs on the loop's thread; list(), find(), kill() and take_over() may be called on any.
class Inventory : private net::EventHandler, private net::Timer {
  public:
    struct Callbacks {
        // A tunnel that no relay of this process handed over (L4, or of an earlier process) has opened (L4
        // only) or ended. Called on the loop's thread.
        std::function<void(const tunnel::Tunnel&)> opened, closed;
    };
    // Is told of tunnels over a VIP that is here, on the loop's thread; `missed`: of some it was not.
    struct Sharing {
        std::function<void(const FlowPair&, std::uint64_t id, const layout::record&)> begun, ended;
        std::function<void()> missed;
    };
    struct Limits {
        std::chrono::seconds probe_after{60}, probe_interval{15};
        int probes = 4;                         // without an answer: dead
        std::size_t probes_per_second = 5000;   // of all tunnels; with more the probes come later
        std::chrono::milliseconds sweep{1000};  // at least; longer when there are very many tunnels
        std::chrono::milliseconds slice{5};     // of a sweep: the loop does its other work after it
    };
    Inventory(net::Loop& loop, Program& program, Names& names, const Vips& vips, Callbacks callbacks, Limits limits);
    ~Inventory() override;
    Inventory(const Inventory&) = delete;
    Inventory& operator=(const Inventory&) = delete;

    net::Result<void> open();  // listens to the program; the first sweep follows at once
    void share(Sharing sharing) { sharing_ = std::move(sharing); }  // before open()
    // A tunnel is in the kernel alone now. Any thread.
    void begun(const layout::flow_key& client, std::uint64_t id);
    // A tunnel that another node carries now has ended there, or went out of the tables.
    void moved(const FlowPair& pair, std::uint64_t id, const layout::record& record);
    [[nodiscard]] std::optional<FlowPair> pair_of(const layout::flow_key& client_key, const layout::flow& client) const;

    void take_over(std::uint64_t id, tunnel::Home& home, std::unique_ptr<tunnel::Epilogue> epilogue);
    std::unique_ptr<tunnel::Epilogue> give_back(std::uint64_t id);
    void forget_tails();  // their homes are about to go; the tunnels stay
    // Those with an id above `after`, at most `limit` of them and the lowest; by id.
    [[nodiscard]] std::vector<tunnel::Tunnel> list(std::uint64_t after, std::size_t limit) const;
    [[nodiscard]] std::optional<tunnel::Tunnel> find(std::uint64_t id) const;
    bool kill(std::uint64_t id);
    // Ends it on the loop's thread, with RST to both ends. One whose end the program has seen by then has
    // ended so. `client`: of the flow from the client.
    void end_soon(const layout::flow_key& client, std::uint64_t id, tunnel::CloseReason reason,
                  std::optional<tunnel::Side> by);
    // The highest id below the program's own that a tunnel has, or had, since the tables are there.
    [[nodiscard]] std::uint64_t highest_id() const;

    // Of the last whole sweep.
    struct Counts {
        std::size_t l7 = 0, l4_tcp = 0, l4_udp = 0;
        std::size_t standby = 0;  // carried by another node, which has their VIP
        std::map<std::string, std::size_t> by_service;  // adopted and L4 ones: those that no worker counts
    };
    [[nodiscard]] Counts counts() const;

    // UDP flows to endpoints that their service no longer has go at once (H-09). `endpoints`: keys of those
    // there are, by service key.
    void drop_udp(const std::function<bool(std::uint64_t service, std::uint64_t endpoint)>& is_gone);

    // Adds the keys of names that the records hold.
    void add_names_in_use(std::unordered_set<std::uint64_t>& keys) const;

    void sweep();  // a whole one, now; for tests

  private:
    struct Ended {
        net::TimePoint since;
        layout::flow_key client_key;
        std::uint64_t id;
    };
    // A flow that owes an answer to a probe. There may be hundreds of thousands.
    struct Probed {
        std::uint64_t sent_at = 0;  // the last one, CLOCK_MONOTONIC, ns
        std::uint32_t sent = 0;
        std::uint32_t sweep = 0;  // that has met it last
    };
    struct Probe {
        layout::flow_key key;
        layout::flow flow, other;
    };
    // One look at all tunnels. With very many it is done in slices, between which the loop does its other work.
    struct Sweep {
        Sweep(const Tables& tables, bool all_records);
        decltype(Tables::flows)::Walk flows;
        std::optional<decltype(Tables::records)::Walk> records;  // in sweeps that look for records without flows
        bool flows_done = false;
        std::vector<std::uint64_t> seen;  // those with flows, where records are walked; eight bytes each
        boost::unordered_flat_set<std::uint64_t> lonely;
        Counts counts;
        std::unordered_map<std::uint64_t, std::size_t> services;  // Counts::by_service, by key of the name
        std::unordered_map<std::uint64_t, std::uint64_t> loads_before;
        std::unordered_map<std::uint64_t, std::int64_t> loads;  // as counted
    };
    struct Tail {
        tunnel::Home* home = nullptr;
        std::unique_ptr<tunnel::Epilogue> epilogue;
    };
    struct RingFree {
        void operator()(::ring_buffer* ring) const;
    };

    void on_events(std::uint32_t) override;
    void on_timer() override;
    void on_event(const layout::event& event);
    void look_at(const layout::flow_key& key, const layout::flow& flow, std::uint64_t now_ns);
    void probe_if_silent(const layout::flow_key& key, const layout::flow& flow, const FlowPair& pair,
                         const layout::record& record, std::uint64_t now_ns, std::uint64_t since_ns);
    [[nodiscard]] std::optional<FlowPair> pair_by_id(std::uint64_t id) const;
    [[nodiscard]] tunnel::Tunnel value_of(const FlowPair& pair, std::uint64_t id,
                                          const layout::record& record) const;
    void end(const FlowPair& pair, std::uint64_t id, tunnel::CloseReason reason,
             std::optional<tunnel::Side> by = {});
    void finish(const FlowPair& pair, std::uint64_t id, const layout::record& record,
                std::optional<tunnel::CloseReason> reason, std::optional<tunnel::Side> by = {});
    void begin_sweep();
    bool go_on_with_sweep();  // a piece; false: it is done
    void send_probes();
    [[nodiscard]] bool is_heard_of(const FlowPair& pair, std::optional<tunnel::CloseReason> reason) const;
    void finish_unheard();
    [[nodiscard]] bool is_elsewhere(const layout::flow& flow) const { return flow.vip != 0 && !vips_.find(flow.vip).here; }
    void finish_if_lonely(std::uint64_t id, const layout::record& record);
    void correct_loads() const;
    Tail tail_of(std::uint64_t id);  // taken out; home is null where this process has none
    bool bury();                     // flows whose quiet time is over, some of them; false: there are no more

    net::Loop& loop_;
    Program& program_;
    const Tables& tables_;
    Names& names_;
    const Vips& vips_;
    Callbacks callbacks_;
    Sharing sharing_;
    Limits limits_;
    std::unique_ptr<::ring_buffer, RingFree> ring_;
    int ring_fd_ = -1;
    std::deque<Ended> ended_;
    boost::unordered_flat_set<std::uint64_t> finished_;  // ids in ended_
    boost::unordered_flat_map<std::uint64_t, Probed> probed_;  // by the tunnel's id and the side
    std::vector<Probe> probes_;  // to be sent
    std::size_t tunnels_ = 0;    // that the last sweep has met
    double probes_left_ = 0;
    net::TimePoint probes_counted_;
    std::optional<Sweep> sweep_;
    std::uint32_t sweeps_ = 0;
    std::uint64_t events_lost_ = 0;
    boost::unordered_flat_set<std::uint64_t> lonely_;       // records that were without flows ten sweeps ago
    mutable std::mutex mutex_;                              // of what follows
    boost::unordered_flat_map<std::uint64_t, Tail> tails_;  // of the tunnels of this process's relays
    Counts counts_;
    std::uint64_t last_id_ = 0;  // that stands in the table
};

}  // namespace hawser::splice
