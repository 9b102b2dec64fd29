// SPDX-License-Identifier: Apache-2.0
#pragma once

// From a merged level to the catalog's Settings and Proxy, with nginx's defaults where no level said
// anything.

#include <memory>

#include "catalog/http.h"
#include "sources/nginx/command.h"
#include "sources/nginx/upstreams.h"

namespace hawser::nginx {

// For what several levels inherit: the same error at the same place is said once.
void error_once(Reading& reading, const catalog::Position& where, std::string message);

std::shared_ptr<const catalog::http::Settings> make_settings(Reading& reading, const LocationConf& merged);

// merged.pass must be there. nothing after an error.
std::optional<catalog::http::Proxy> make_proxy(Reading& reading, Upstreams& upstreams,
                                               const LocationConf& merged);

}  // namespace hawser::nginx
