// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "catalog/http_template.h"
#include "net/error.h"

namespace hawser::catalog {

// Makes the templates of all Ingress servers; they share one variable table, which is complete when the last
// template is made.
class TemplateMaker {
  public:
    // nginx's notation: $name, ${name}, $1. Knows nginx's own variables and the few that ingress-nginx adds
    // and people use ($best_http_host, $the_real_ip, $req_id ...). The error names the variable.
    net::Result<http::Template> parse(std::string_view text);
    // For texts that stand in this program.
    http::Template parse_known(std::string_view text);

    net::Result<http::VariableIndex> variable(std::string_view name);
    [[nodiscard]] std::shared_ptr<const http::VariableTable> table() const { return table_; }

  private:
    std::shared_ptr<http::VariableTable> table_ = std::make_shared<http::VariableTable>();
    std::map<std::string, http::VariableIndex, std::less<>> known_;
};

}  // namespace hawser::catalog
