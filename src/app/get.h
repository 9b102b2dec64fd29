// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>

#include "app/command.h"

namespace hawser::app {

// The commands that ask a running daemon. Each returns the exit code.
int get(const GetCommand& command, std::ostream& out, std::ostream& err);
int kill(const KillCommand& command, std::ostream& out, std::ostream& err);
int reload(const ReloadCommand& command, std::ostream& out, std::ostream& err);

}  // namespace hawser::app
