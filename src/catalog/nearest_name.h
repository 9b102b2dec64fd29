// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace hawser::catalog {

// The known name that `name` was probably meant to be, whatever its case, or "".
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace hawser::catalog
