// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "net/loop.h"
#include "splice/interfaces.h"
#include "splice/inventory.h"
#include "splice/names.h"
#include "splice/program.h"
#include "splice/shared_tunnels.h"
#include "splice/vips.h"

namespace hawser::splice {

// Tunnels over VIPs in the tables: told to other nodes, and taken from them. A tunnel whose VIP is not here waits in
// the tables for it to come; packets go by it until then (docs/replication.md). The loop's thread, but for what
// SharedTunnels says.
class Replicas final : public SharedTunnels {
  public:
    Replicas(net::Loop& loop, const Program& program, Names& names, Vips& vips, const Interfaces& interfaces,
             Inventory& inventory);

    // Of the inventory: a tunnel has come into the kernel, and a tunnel has ended.
    void begun(const FlowPair& pair, std::uint64_t id, const layout::record& record);
    void ended(const FlowPair& pair, std::uint64_t id, const layout::record& record);
    void missed();  // some of them
    void forget_unused_places();

    // SharedTunnels
    [[nodiscard]] std::uint64_t origin() const override { return vips_.origin(); }
    void listen(Listener* listener) override;
    void hear(Heard heard, std::function<void(Answer)> done) override;
    void read(std::shared_ptr<Reading> reading, Piece done) override;
    [[nodiscard]] std::vector<net::IpAddress> vips_here() const override { return vips_.here(); }
    [[nodiscard]] std::vector<net::IpAddress> vips_untold() const override { return vips_.untold(); }
    void told(const net::IpAddress& vip) override { vips_.told(vip); }
    void miss_node() override { vips_.contest(vips_.here()); }
    void set_part(unsigned part, unsigned parts) override;
    // Called by set_part(), with its thread.
    void watch_part(std::function<void(unsigned part, unsigned parts)> changed) { part_changed_ = std::move(changed); }

  private:
    class TableReading;
    enum class Taken : std::uint8_t { added, known, ended, refused };
    [[nodiscard]] Identity identity_of(std::uint64_t id, const layout::record& record) const;
    [[nodiscard]] Carried describe(const FlowPair& pair, std::uint64_t id, const layout::record& record) const;
    Taken take(const Carried& tunnel, std::uint64_t& id);
    bool make_room(const layout::flow_key& key, const Identity& identity, bool vip_is_here);
    bool insert(const Carried& tunnel, std::uint64_t id, std::uint32_t place);
    void drop(const Gone& gone);
    void forget(const FlowPair& pair, std::uint64_t id, const layout::record& record);
    void forget_unmentioned(const std::vector<net::IpAddress>& complete_for,
                            const boost::unordered_flat_set<std::uint64_t>& mentioned);
    void remember_end(const Identity& identity);
    [[nodiscard]] std::uint64_t next_id();

    net::Loop& loop_;
    const Program& program_;
    const Tables& tables_;
    Names& names_;
    Vips& vips_;
    const Interfaces& interfaces_;
    Inventory& inventory_;
    Listener* listener_ = nullptr;
    std::function<void(unsigned, unsigned)> part_changed_;
    std::uint64_t last_id_ = 0;  // of tunnels that began elsewhere; 0: not looked for yet
    // Tunnels that have ended here: a node that was away may still know them.
    std::deque<Identity> ends_;
    boost::unordered_flat_set<std::uint64_t> ended_;  // hashes of them
};

}  // namespace hawser::splice
