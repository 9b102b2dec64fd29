// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gateway/http/exchange.h"

namespace hawser::gateway {

// Sets exchange.client from the configured header if the peer is trusted. X-Forwarded-For is read from its
// end, over all its fields; of other headers the first field counts. Port 0 when the header gives none.
void apply_real_ip(const catalog::http::RealIp& settings, Exchange& exchange);

}  // namespace hawser::gateway
