// SPDX-License-Identifier: Apache-2.0
#include "control/inputs.h"

#include <filesystem>

namespace hawser::control {

ReadResult read(const Inputs& inputs) {
    ReadResult result;
    result.began = FileWatch::changed_clock();
    if (!inputs.manifests.empty())
        manifest::load(inputs.manifests, inputs.manifest_options, result.objects, result.diagnostics);
    for (const auto& path : inputs.manifests) {
        std::error_code ignored;
        (std::filesystem::is_directory(path, ignored) ? result.watch.directories : result.watch.files)
            .push_back(path);
    }
    if (!inputs.nginx.empty()) {
        auto loaded = nginx::load(inputs.nginx, inputs.nginx_options, result.diagnostics);
        result.objects.listeners = std::move(loaded.listeners);
        result.watch.files.insert(result.watch.files.end(), loaded.files.begin(), loaded.files.end());
        result.watch.patterns = std::move(loaded.patterns);
    }
    if (!inputs.keepalived.empty()) {
        auto loaded = keepalived::load(inputs.keepalived, inputs.keepalived_options, result.diagnostics);
        result.objects.vip_plan = std::move(loaded.plan);
        const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
        append(result.watch.files, loaded.files);
        append(result.watch.patterns, loaded.patterns);
    }
    return result;
}

}  // namespace hawser::control
