// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "tunnel/tunnel.h"

namespace hawser::tunnel {

// One live tunnel on its way from the relay into the kernel. Used on the relay's thread; does not own the
// sockets. Destroyed before it is `spliced`, it leaves the tunnel to the relay, as if nothing had been tried:
// allowed only while can_turn_back().
class HandOff {
  public:
    virtual ~HandOff() = default;
    enum class Step : unsigned char {
        wait,     // not now: ask again, soon or after the next byte
        transit,  // relay and kernel both carry it: go on relaying, ask again soon
        spliced,  // the kernel carries it; the sockets were closed in silence, their descriptors are to be
                  // closed
        refused,  // it stays in the relay: why_not()
    };
    // What the relay has done so far.
    struct Relayed {
        bool quiet = false;  // it owes nobody a byte, and has read everything that it knew of
        Flow from_client, from_endpoint;
        bool client_finished = false, endpoint_finished = false;  // FIN was read, and passed on
    };
    virtual Step advance(const Relayed& relayed) = 0;
    [[nodiscard]] virtual const char* why_not() const = 0;  // a word, static
    [[nodiscard]] virtual bool can_turn_back() const = 0;   // false in transit
    // The kernel carries it alone already, and the sockets are about to be closed: the tunnel's end is not
    // the relay's to tell any more.
    [[nodiscard]] virtual bool is_spliced() const = 0;
    // Once is_spliced(): closes the sockets in silence, at once.
    virtual void close() = 0;
    // In transit: closes the sockets in silence and has the splicer end the tunnel, which says RST to both
    // ends, or finds that it has ended by itself. False: the kernel has lost it, and it is the relay's to
    // end, the sockets as they are.
    virtual bool end(CloseReason reason, std::optional<Side> by) = 0;
};

// What is to be done at a tunnel's end, and what lives until then. One object a tunnel: a million tunnels of
// the kernel have nothing else in this process. Called on the relay's thread; destroyed there, or after that
// has ended.
class Epilogue {
  public:
    virtual ~Epilogue() = default;
    // From a pool of their own, which keeps its memory for later tunnels: between what a handshake allocates and
    // frees, each would hold back a piece of the heap for as long as its tunnel lives.
    static void* operator new(std::size_t size);
    static void operator delete(void* object, std::size_t size);

    virtual void ended(const Tunnel& tunnel) = 0;  // once; the value has its reason
};

// Where the relay of a spliced tunnel lived. Any thread.
class Home {
  public:
    virtual ~Home() = default;
    virtual void ended(const Tunnel& tunnel, std::unique_ptr<Epilogue> epilogue) = 0;
};

// Takes tunnels over from relays. Any thread.
class Splicer {
  public:
    virtual ~Splicer() = default;

    // Null: this tunnel cannot be spliced, and `why_not` says so in a word (static).
    virtual std::unique_ptr<HandOff> begin(const Tunnel& tunnel, int client, int endpoint,
                                           const char*& why_not) = 0;
    // A tunnel that is in transit: `home`, which outlives it, is told once when it has ended after that.
    virtual void take_over(std::uint64_t id, Home& home, std::unique_ptr<Epilogue> epilogue) = 0;
    // The relay ends it after all: nobody is told.
    virtual std::unique_ptr<Epilogue> give_back(std::uint64_t id) = 0;
};

}  // namespace hawser::tunnel
