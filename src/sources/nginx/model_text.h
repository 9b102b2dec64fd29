// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "catalog/http.h"

namespace hawser::nginx {

// The compiled listeners, one fact a line, for tests and for reading. Values that are nginx's defaults are
// left out.
std::string model_text(const std::vector<catalog::http::Listener>& listeners);

}  // namespace hawser::nginx
