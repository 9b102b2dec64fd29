// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hawser::control {

// The files of web/console by name, as they were when the program was built.
const std::map<std::string, std::string_view>& console_files();

}  // namespace hawser::control
