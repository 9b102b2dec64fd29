// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "net/address.h"
#include "splice/carried.h"

namespace hawser::splice {

// The tunnels over VIPs, as those see them who tell other nodes of them. Every function may be called on any thread;
// what is called back comes on a thread of the tunnels', in the order of what happened to them.
class SharedTunnels {
  public:
    class Listener {
      public:
        virtual ~Listener() = default;
        virtual void on_carried(const Carried& tunnel) = 0;  // a tunnel that this node carries has begun
        virtual void on_gone(const Gone& tunnel) = 0;        // has ended
        virtual void on_missed() = 0;                        // some of these calls were lost: read() has them all
        virtual void on_vips_changed() = 0;                  // one came here, or went
    };
    // What another node says.
    struct Heard {
        std::vector<std::variant<Carried, Gone>> news;  // in its order
        // Of a snapshot: whom it has mentioned so far, ids of this node's tables. Null: news come by themselves.
        std::shared_ptr<boost::unordered_flat_set<std::uint64_t>> mentioned;
        // Set at its end: the VIPs that the other node has. Their tunnels that were not mentioned are no more.
        std::optional<std::vector<net::IpAddress>> complete_for;
    };
    struct Answer {
        std::vector<Gone> gone;    // ended here, which the other node has missed
        std::size_t refused = 0;   // cannot be carried by this node
    };
    // A look at all tunnels, in pieces.
    class Reading {
      public:
        virtual ~Reading() = default;
    };

    virtual ~SharedTunnels() = default;
    [[nodiscard]] virtual std::uint64_t origin() const = 0;
    virtual void listen(Listener* listener) = 0;  // null: nobody; no call comes after it has returned
    virtual void hear(Heard heard, std::function<void(Answer)> done) = 0;
    // The next piece of what other nodes should know: tunnels that this node carries, or has carried without having
    // told anybody. `reading` is null at first, and again after the last piece.
    using Piece = std::function<void(std::vector<Carried>, std::shared_ptr<Reading> rest)>;
    virtual void read(std::shared_ptr<Reading> reading, Piece done) = 0;
    [[nodiscard]] virtual std::vector<net::IpAddress> vips_here() const = 0;
    [[nodiscard]] virtual std::vector<net::IpAddress> vips_untold() const = 0;
    virtual void told(const net::IpAddress& vip) = 0;
    // A node that shares VIPs with this one has become silent: it may carry tunnels that it has not told.
    virtual void miss_node() = 0;
    virtual void set_part(unsigned part, unsigned parts) = 0;  // of the ports towards endpoints
};

}  // namespace hawser::splice
