// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "catalog/vip.h"

namespace hawser::keepalived {

// The plan for people and tests: a line for each thing, what has its default left out.
std::string plan_text(const catalog::vip::Plan& plan);

}  // namespace hawser::keepalived
