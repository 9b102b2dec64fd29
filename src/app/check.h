// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>

#include "app/command.h"
#include "catalog/snapshot.h"

namespace hawser::app {

// Reads and builds as `run` would, changes nothing, opens nothing. Every diagnostic goes to err, like `nginx
// -t` says it; a summary to out. Returns the exit code.
int check(const CheckCommand& command, std::ostream& out, std::ostream& err);

// What would listen where, and go whither.
void print_summary(const catalog::Snapshot& snapshot, std::ostream& out);

}  // namespace hawser::app
