// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/error.h"
#include "net/fd.h"
#include "splice/bpf/layout.h"
#include "splice/table.h"

namespace hawser::splice {

// The tables by name. Valid while their Program lives.
struct Tables {
    Table<layout::flow_key, layout::flow> flows, nascent;
    Table<std::uint64_t, layout::record> records, nascent_records;
    Table<std::uint64_t, layout::name> names;
    Table<layout::frontend_key, layout::frontend> frontends;
    Table<std::uint64_t, layout::group> groups;
    Table<layout::part_key, layout::endpoint> endpoints;
    Table<layout::part_key, layout::hashes> hash_parts;
    Table<layout::part_key, layout::entries> entry_parts;
    Table<layout::member_key, std::uint32_t> members;
    Table<std::uint64_t, std::uint64_t> loads;
    Table<std::uint64_t, layout::port_counters> port_counters;
    Table<layout::affinity_key, layout::affinity> affinities;
    Table<layout::address, std::uint32_t> node_addresses, cluster_addresses;
    Table<std::uint32_t, layout::interface> interfaces;
    Table<layout::prefix_key, std::uint8_t> pod_ranges, service_ranges;
    Table<layout::source_range_key, std::uint8_t> source_ranges;
    Table<std::uint32_t, layout::settings> settings;
    Table<std::uint32_t, std::uint64_t> last_id, origin;
    Table<std::uint32_t, layout::vip> vips;
    Table<layout::address, std::uint32_t> places;
    int events = -1;  // ring buffer
    int counts = -1;  // per-CPU array of layout::counter
};

enum class Hook : std::uint8_t { ingress, egress };

// The eBPF programs in the kernel and the tables pinned under a directory of a bpffs. What an earlier process
// left there is taken over: its tables are this one's, and attach() turns its links over to this one's
// programs. Destroying it leaves everything in place.
class Program {
  public:
    struct Options {
        std::string directory =
            "/sys/fs/bpf/hawser";  // made if missing; a bpffs is mounted there or above if need be
        std::uint32_t most_tunnels = 524'288;  // ignored where tables are taken over
    };
    // Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON (or CAP_SYS_ADMIN) and Linux 5.12. The error says what is
    // missing, and whether another process has the directory.
    static net::Result<std::unique_ptr<Program>> load(const Options& options);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    [[nodiscard]] const Tables& tables() const { return tables_; }
    [[nodiscard]] bool adopted() const { return adopted_; }  // there were tables
    // The bpffs was mounted by this process where only its own mount namespace sees it: the tables may end
    // with the process.
    [[nodiscard]] bool fleeting() const { return fleeting_; }

    // Idempotent. Links are pinned, so that they outlive the process (tcx), or filters stay by themselves
    // (clsact).
    net::Result<void> attach(std::uint32_t interface, Hook hook);
    void detach(std::uint32_t interface, Hook hook);
    // Pins of interfaces that are gone.
    void forget_gone_interfaces();

    // What packets may change at the same time. False: there is no such tunnel. Any thread.
    bool change(const layout::change& change) const;
    // Both flows of a tunnel go. `key`: of one of them; nothing happens if it is another tunnel's. Any thread.
    void forget(const layout::flow_key& key, std::uint64_t id) const;

    [[nodiscard]] std::uint64_t count(layout::counter which) const;  // over all CPUs

    // Descriptors of the programs, for BPF_PROG_TEST_RUN.
    [[nodiscard]] int program(Hook hook) const;

    // What an earlier process left under `directory` picks no endpoints any more; tunnels that there are go
    // on. False: nothing was left, or nothing of this kind. Fails while a process has the directory.
    static net::Result<bool> stop_serving(const std::string& directory);

    // Takes programs, links and tables away: every spliced tunnel under `directory` ends here without a word
    // to its ends. False: there was nothing. Fails while a process has the directory.
    static net::Result<bool> remove(const std::string& directory);

  private:
    struct Skeleton;
    Program() = default;
    net::Result<void> attach_tcx(std::uint32_t interface, Hook hook);
    net::Result<void> attach_clsact(std::uint32_t interface, Hook hook);
    [[nodiscard]] std::string link_path(std::uint32_t interface, Hook hook) const;

    std::string directory_;  // with the version
    net::Fd lock_;
    std::unique_ptr<Skeleton> skeleton_;
    Tables tables_;
    bool adopted_ = false, fleeting_ = false;
    bool has_tcx_ = true;
};

}  // namespace hawser::splice
