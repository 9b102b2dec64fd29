// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gateway/worker.h"
#include "net/loop.h"

namespace hawser::gateway {

// Accepts the connections of one listening socket. When the process or the system has no descriptor left it
// stops, says so once, and tries again every 100 ms; waiting clients stay in the kernel's queue, so that
// nothing grows here.
class Acceptor : private net::EventHandler, private net::Timer {
  public:
    Acceptor(Worker& worker, net::Fd fd, PurposeSlot purpose);
    ~Acceptor() override;

    net::Result<void> open();
    void set_purpose(Purpose purpose) { *purpose_ = std::move(purpose); }
    // Clients send segments as large as they were told at the handshake, and once spliced nobody cuts them.
    void follow_mss();

  private:
    void on_events(std::uint32_t events) override;
    void on_timer() override;
    void suspend(int error);

    Worker& worker_;
    net::Fd fd_;
    PurposeSlot purpose_;
    bool suspended_ = false;
    int mss_ = 65'535;  // the listening socket's TCP_MAXSEG; never grows
};

}  // namespace hawser::gateway
