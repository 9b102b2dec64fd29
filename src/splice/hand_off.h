// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "net/address.h"
#include "splice/connection.h"
#include "splice/interfaces.h"
#include "splice/names.h"
#include "splice/ports.h"
#include "splice/program.h"
#include "splice/smallest_mss.h"
#include "tunnel/splicer.h"

namespace hawser::splice {

// RELAY → TRANSIT → SPLICED of one tunnel; docs/splice.md has the protocol and why it loses nothing. Reads
// both connections' numbers at an instant at which the relay holds no byte, so that one pair of differences
// translates everything that will come.
class KernelHandOff final : public tunnel::HandOff {
  public:
    // What all hand-offs share; outlives them.
    struct Context {
        const Tables& tables;
        const Interfaces& interfaces;
        Names& names;
        const Ports& ports;
        SmallestMss& smallest_mss;  // a tunnel that does not fit lowers it
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
    void reset() override;

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
        std::uint32_t sent = 0, received = 0;  // send_next and receive_next that the record has
        bool narrowed = false;
        Time poked;
    };
    explicit KernelHandOff(const Context& context) : context_(context) {}

    const char* prepare(const tunnel::Tunnel& tunnel);
    const char* check() const;
    // busy: it waits for bytes that are under way, not for an answer.
    Step try_to_cut(const Relayed& relayed, bool& busy);
    Step try_to_finish(const Relayed& relayed);
    void follow_sockets();
    void put_numbers(layout::record& record) const;
    bool has_been_seen(const End& end, layout::flow& flow);
    [[nodiscard]] layout::flow flow_of(const End& from, const End& to, const layout::flow& seen_from,
                                       const layout::flow& seen_to, bool from_client) const;
    void settle(const End& from, const End& to);
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
};

}  // namespace hawser::splice
