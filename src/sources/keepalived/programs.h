// SPDX-License-Identifier: Apache-2.0
#pragma once

// Scripts: as whom they run, whether they can, and whether they should.

#include <cstdint>
#include <optional>
#include <string>

#include "catalog/diagnostic.h"
#include "sources/keepalived/conf.h"
#include "sources/keepalived/host.h"

namespace hawser::keepalived {

class Programs {
  public:
    // What a program is for: what cannot run is an error for one that is tracked (its instances would never
    // leave the fault state), and a warning for one that is only told of changes.
    enum class Use : std::uint8_t { tracked, told };

    // All have to outlive the object.
    Programs(const GlobalConf& global, const Host& host, catalog::Diagnostics& diagnostics)
        : global_(global), host_(host), diagnostics_(diagnostics) {}

    // The program with an absolute path and ids; nothing if it is not to be run, which was told.
    std::optional<vip::Command> resolve(const CommandConf& conf, const std::optional<RunAs>& as, Use use);

  private:
    std::optional<Host::User> user_of(const std::optional<RunAs>& as);
    std::optional<std::string> find(const std::string& name, const Host::User& user,
                                    std::string& trouble) const;
    [[nodiscard]] bool may_execute(const std::string& path, const Host::User& user,
                                   std::string& trouble) const;
    // The part of a program's path that others than root can write, or "".
    [[nodiscard]] std::string insecure_part(const std::string& path) const;
    void warn_of_mistakes(const CommandConf& conf, const std::string& path);

    const GlobalConf& global_;
    const Host& host_;
    catalog::Diagnostics& diagnostics_;
};

}  // namespace hawser::keepalived
