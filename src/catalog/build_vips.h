// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "catalog/build.h"
#include "catalog/vip.h"

namespace hawser::catalog {

// "192.168.0.150/24"; without a length the whole address. Nothing when it is neither.
std::optional<vip::Address> parse_vip_address(std::string_view text);

// The virtual routers of keepalived.conf and those of VIP objects, as the node of that name has them. What they have
// twice is an error.
vip::Plan build_vips(const Objects& objects, const BuildOptions& options, const std::string& node_name,
                     Diagnostics& diagnostics);

}  // namespace hawser::catalog
