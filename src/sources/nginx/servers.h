// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what the directives said to the catalog: inheritance, locations, servers, listeners.

#include <vector>

#include "catalog/http.h"
#include "sources/nginx/command.h"

namespace hawser::nginx {

// Sorted by address. Void if there were errors.
std::vector<catalog::http::Listener> build_listeners(Reading& reading);

}  // namespace hawser::nginx
