// SPDX-License-Identifier: Apache-2.0
#pragma once

// Endpoint groups of upstream blocks and of the addresses in proxy_pass.

#include <map>
#include <memory>
#include <string>

#include "catalog/endpoint.h"
#include "sources/nginx/command.h"

namespace hawser::nginx {

class Upstreams {
  public:
    // Makes a group of every upstream block. reading has to outlive this.
    explicit Upstreams(Reading& reading);

    using Groups = std::map<std::string, std::shared_ptr<const catalog::EndpointGroup>>;
    // By lower-case name.
    [[nodiscard]] const std::shared_ptr<const Groups>& blocks() const { return blocks_; }

    // The group of a proxy_pass without variables: an upstream block by name, otherwise the addresses of the
    // host, resolved now. The same host and port give the same group. null after an error.
    std::shared_ptr<const catalog::EndpointGroup> find(const ProxyPass& pass);

  private:
    std::shared_ptr<const catalog::EndpointGroup> make(const UpstreamConf& conf);

    Reading& reading_;
    std::shared_ptr<const Groups> blocks_;
    Groups implicit_;  // "host:port"
};

}  // namespace hawser::nginx
