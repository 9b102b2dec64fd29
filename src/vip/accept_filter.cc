// SPDX-License-Identifier: Apache-2.0
#include "vip/accept_filter.h"

#include <nftables/libnftables.h>

#include <cerrno>

namespace hawser::vip {

namespace {

// The first three lines leave an empty table, whether there was one or not.
constexpr const char* ruleset = R"(add table inet hawser_vip
delete table inet hawser_vip
add table inet hawser_vip
add set inet hawser_vip v4 { type ipv4_addr; }
add set inet hawser_vip v6 { type ipv6_addr; }
add chain inet hawser_vip input { type filter hook input priority -300; policy accept; }
add rule inet hawser_vip input ip daddr @v4 drop
add rule inet hawser_vip input ip6 daddr @v6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
add rule inet hawser_vip input ip6 daddr @v6 drop
)";

std::string element(const net::IpAddress& vip) {
    return std::string(" element inet hawser_vip ") + (vip.is_v6() ? "v6" : "v4") + " { " + vip.text() + " }\n";
}

}  // namespace

void AcceptFilter::ContextFree::operator()(nft_ctx* context) const { nft_ctx_free(context); }

net::Result<std::unique_ptr<AcceptFilter>> AcceptFilter::open() {
    std::unique_ptr<nft_ctx, ContextFree> context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (!context) return net::system_error("nftables", ENOMEM);
    nft_ctx_buffer_output(context.get());
    nft_ctx_buffer_error(context.get());
    std::unique_ptr<AcceptFilter> out(new AcceptFilter(std::move(context)));
    if (auto made = out->run(ruleset); !made) return made.error();
    return out;
}

AcceptFilter::~AcceptFilter() { static_cast<void>(run("delete table inet hawser_vip\n")); }

net::Result<void> AcceptFilter::run(const std::string& commands) {
    const int failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
    const std::string said = nft_ctx_get_error_buffer(context_.get());
    static_cast<void>(nft_ctx_get_output_buffer(context_.get()));
    if (failed == 0) return {};
    net::Error error;
    error.message = "nftables: " + said.substr(0, said.find('\n'));
    return error;
}

net::Result<void> AcceptFilter::refuse(const net::IpAddress& vip) { return run("add" + element(vip)); }

net::Result<void> AcceptFilter::forget(const net::IpAddress& vip) {
    // Added first, because deleting what is not there is an error.
    return run("add" + element(vip) + "delete" + element(vip));
}

}  // namespace hawser::vip
