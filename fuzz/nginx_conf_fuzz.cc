// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as an nginx.conf. Host names do not resolve and nothing is included.

#include <cstdint>
#include <string_view>

#include "sources/nginx/load.h"
#include "sources/nginx/model_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (text.find("include") != std::string_view::npos) return 0;  // nothing of this machine is read
    hawser::nginx::LoadOptions options;
    options.resolve = [](const std::string&) { return hawser::net::Error{}; };
    hawser::catalog::Diagnostics diagnostics;
    const auto loaded = hawser::nginx::load_text(text, "fuzz", options, diagnostics);
    if (diagnostics.has_errors() && !loaded.listeners.empty()) __builtin_trap();
    hawser::nginx::model_text(loaded.listeners);
    return 0;
}
