// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "net/address.h"
#include "net/error.h"

struct nft_ctx;  // libnftables

namespace hawser::vip {

// Drops what comes for VIPs that this node has, and does not accept packets for (RFC 9568 §6.1: Accept_Mode false).
// Neighbour Discovery is never dropped (V-10). A table of nftables of its own, inet hawser_vip, which goes with the
// object; what an earlier process has left in it is replaced. One thread.
class AcceptFilter {
  public:
    static net::Result<std::unique_ptr<AcceptFilter>> open();
    ~AcceptFilter();
    AcceptFilter(const AcceptFilter&) = delete;
    AcceptFilter& operator=(const AcceptFilter&) = delete;

    net::Result<void> refuse(const net::IpAddress& vip);  // packets to it, from now on
    net::Result<void> forget(const net::IpAddress& vip);  // good when it was not refused

  private:
    struct ContextFree {
        void operator()(nft_ctx* context) const;
    };
    explicit AcceptFilter(std::unique_ptr<nft_ctx, ContextFree> context) : context_(std::move(context)) {}
    net::Result<void> run(const std::string& commands);

    std::unique_ptr<nft_ctx, ContextFree> context_;
};

}  // namespace hawser::vip
