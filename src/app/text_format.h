// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json.hpp>
#include <string>

namespace hawser::app {

// As `kubectl -o json` indents it: four spaces, ends with a newline.
std::string pretty_json(const boost::json::value& value);
// As `kubectl -o yaml`: block style, two spaces, list items under their key's column. Texts that YAML (1.1 or
// 1.2) would read as something else are quoted.
std::string to_yaml(const boost::json::value& value);

}  // namespace hawser::app
