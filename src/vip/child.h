// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/vip.h"
#include "net/error.h"
#include "net/fd.h"
#include "net/loop.h"

namespace hawser::vip {

// A program of the operator's that runs: as the configured user, with no descriptor of ours and /dev/null for input and
// output. One loop's thread.
class Child : private net::EventHandler {
  public:
    // Its exit status, or 128 and the number of the signal that ended it, as a shell tells it.
    using Ended = std::function<void(int status)>;
    // `more`: arguments behind those of the command. `ended` is called once, from the loop; it may destroy the child.
    static net::Result<std::unique_ptr<Child>> start(net::Loop& loop, const catalog::vip::Command& command,
                                                     const std::vector<std::string>& more, Ended ended);
    // One that still runs gets SIGKILL, with all that it has started.
    ~Child() override;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    void signal(int number) const;  // to its process group

  private:
    Child(net::Loop& loop, pid_t pid, net::Fd fd, Ended ended);
    void on_events(std::uint32_t events) override;

    net::Loop& loop_;
    pid_t pid_;
    net::Fd fd_;  // of the process
    Ended ended_;
};

}  // namespace hawser::vip
