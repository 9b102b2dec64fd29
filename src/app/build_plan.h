// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "app/command.h"
#include "catalog/allocation.h"
#include "catalog/build.h"
#include "control/inputs.h"

namespace hawser::app {

// From the command line's Configuration to what control/ and catalog/ take.

control::Inputs inputs_of(const Configuration& configuration);

// The options for these objects now: the addresses of this machine are looked up, and Ingress rules get their
// listeners only when there are any.
catalog::BuildOptions build_options(const Configuration& configuration, const catalog::Objects& objects);

// "" when nothing is kept.
std::string allocations_file(const Configuration& configuration);

}  // namespace hawser::app
