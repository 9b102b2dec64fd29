// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as a keepalived.conf. Nothing of this machine is read: users and programs are made up,
// and nothing is included.

#include <sys/stat.h>

#include <cstdint>
#include <string_view>

#include "sources/keepalived/load.h"
#include "sources/keepalived/plan_text.h"

namespace {
hawser::keepalived::LoadOptions offline() {
    using hawser::keepalived::Host;
    hawser::keepalived::LoadOptions options;
    options.config_id = "main";
    options.host.user = [](const std::string& name) -> std::optional<Host::User> {
        if (name.size() > 10) return std::nullopt;
        return Host::User{name == "root" ? 0U : 1000U, 1000U};
    };
    options.host.group = [](const std::string& name) { return std::optional<std::uint32_t>(name.size()); };
    options.host.status = [](const std::string& path) -> std::optional<Host::Status> {
        const bool directory = path.find_last_of("./") == path.size() - 1;
        return Host::Status{(directory ? S_IFDIR : S_IFREG) | 0755U, 0, 0};
    };
    options.host.real_path = [](const std::string& path) { return std::optional(path); };
    options.host.contents = [](const std::string&) { return std::string("#!/bin/sh\npidof nginx"); };
    options.host.search_path = "/bin";
    // Smaller than life, or a minute goes by in one expansion.
    options.bounds.total_bytes = std::size_t{1} << 20;
    options.bounds.lines = 20'000;
    return options;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (text.find("include") != std::string_view::npos) return 0;
    static const hawser::keepalived::LoadOptions options = offline();
    hawser::catalog::Diagnostics diagnostics;
    const auto loaded = hawser::keepalived::load_text(text, "fuzz", options, diagnostics);
    if (diagnostics.has_errors() && !loaded.plan.empty()) __builtin_trap();
    hawser::keepalived::plan_text(loaded.plan);
    return 0;
}
