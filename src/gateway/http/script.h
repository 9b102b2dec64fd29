// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "gateway/http/rules.h"

namespace hawser::gateway {

// Runs the rewrite directives of one level. Changes uri, args, variables and the rewrite state of the
// exchange. An Answer ends the request; nothing: the next phase.
std::optional<Answer> run_script(const catalog::http::Script& script, Exchange& exchange);

}  // namespace hawser::gateway
