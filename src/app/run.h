// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>

#include "app/command.h"

namespace hawser::app {

// The daemon. Returns its exit code when a signal has ended it, or when it could not start.
// out: what it listens on. TERM, INT: drain, then stop; a second one stops at once. HUP: read the sources.
// USR1: open the log files anew.
int run(const RunCommand& command, std::ostream& out, std::ostream& err);

// `hawser splice remove`: what a process left in the kernel; exit code 1 while one still uses it.
int remove_splice(const SpliceRemoveCommand& command, std::ostream& out, std::ostream& err);

}  // namespace hawser::app
