// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "net/address.h"
#include "splice/connection.h"
#include "splice/interfaces.h"
#include "splice/inventory.h"
#include "splice/names.h"
#include "splice/ports.h"
#include "splice/program.h"
#include "splice/smallest_mss.h"
#include "splice/vips.h"
#include "tunnel/splicer.h"

namespace hawser::splice {

// RELAY → TRANSIT → SPLICED of one tunnel; docs/splice.md has the protocol and why it loses nothing. Reads
// both connections' numbers at an instant at which the relay holds no byte, so that one pair of differences
// translates everything that will come.
class KernelHandOff final : public tunnel::HandOff {
  public:
    // What all hand-offs share; outlives them.
    struct Context {
        const Program& program;
        Inventory& inventory;
        const Interfaces& interfaces;
        Names& names;
        const Ports& ports;
        SmallestMss& smallest_mss;  // a tunnel that does not fit lowers it
        const Vips& vips;
    };
    // Null with the reason when it cannot be spliced.
    static std::unique_ptr<KernelHandOff> begin(const Context& context, const tunnel::Tunnel& tunnel,
                                                int client, int endpoint, const char*& why_not);
    ~KernelHandOff() override;

    Step advance(const Relayed& relayed) override;
    [[nodiscard]] const char* why_not() const override { return why_not_; }
    [[nodiscard]] bool can_turn_back() const override { return phase_ == Phase::relay; }
    [[nodiscard]] bool is_spliced() const override { return phase_ == Phase::closing; }
    void close() override;
    bool end(tunnel::CloseReason reason, std::optional<tunnel::Side> by) override;

  private:
    // closing: spliced, and the sockets still take what the program had given them before that.
    enum class Phase : std::uint8_t { relay, transit, closing, over };
    using Time = std::chrono::steady_clock::time_point;
    struct End {
        int fd = -1;
        layout::flow_key key{};  // of what arrives from it
        net::SocketAddress peer, local;
        ConnectionFacts facts;
        ConnectionNumbers cut;
        ConnectionNumbers now;  // as last read
        bool narrowed = false;
        Time poked;
    };
    explicit KernelHandOff(const Context& context) : context_(context) {}

    const char* prepare(const tunnel::Tunnel& tunnel);
    const char* check(const tunnel::Tunnel& tunnel) const;
    // busy: it waits for bytes that are under way, not for an answer.
    Step try_to_cut(bool& busy);
    Step try_to_finish();
    bool read_numbers();
    bool tell(layout::tunnel_state state) const;
    Step lost();
    bool has_been_seen(const End& end, layout::flow& flow);
    static bool is_silent(const End& end);
    [[nodiscard]] layout::flow flow_of(const End& from, const End& to, const layout::flow& seen_from,
                                       const layout::flow& seen_to, bool from_client) const;
    [[nodiscard]] const Tables& tables() const { return context_.program.tables(); }
    void forget();
    void poke(bool client_is_fresh, bool endpoint_is_fresh);
    void narrow(bool yes);

    const Context context_;
    std::uint64_t id_ = 0;
    End client_, endpoint_;
    std::uint32_t idle_seconds_ = 0;
    Phase phase_ = Phase::relay;
    const char* why_not_ = "starting";
    unsigned tries_ = 0;
    Time begun_, cut_at_, spliced_at_;
    Relayed relayed_;  // of the last advance()
};

}  // namespace hawser::splice
