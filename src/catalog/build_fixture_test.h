// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the build share: objects written as manifests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "catalog/allocation.h"
#include "catalog/build.h"
#include "sources/manifest/manifest.h"

namespace hawser::catalog {

inline Objects objects_from(const std::string& yaml) {
    Objects objects;
    Diagnostics diagnostics;
    const manifest::ValidationOptions options;
    manifest::ObjectReader reader(options, objects, diagnostics);
    reader.read_text(yaml, "test.yaml", manifest::ParseLimits{});
    reader.finish();
    EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.text();
    return objects;
}

// One build after another, as the control loop does it.
struct Site {
    BuildOptions options;
    Allocations allocations;
    std::shared_ptr<const Snapshot> snapshot;
    Diagnostics diagnostics;

    const Snapshot& build(const std::string& yaml) { return build(objects_from(yaml)); }
    const Snapshot& build(const Objects& objects) {
        try_build(objects);
        EXPECT_NE(snapshot, nullptr) << diagnostics.text();
        return *snapshot;
    }
    bool try_build(const Objects& objects) {
        const BuildResult result = catalog::build(objects, options, snapshot, allocations);
        diagnostics = result.diagnostics;
        if (result.snapshot) snapshot = result.snapshot;
        return result.snapshot != nullptr;
    }
    [[nodiscard]] const Frontend* frontend(const std::string& id) const {
        for (const Frontend& f : snapshot->frontends)
            if (f.id == id) return &f;
        return nullptr;
    }
};

inline std::string addresses(const EndpointGroup& group) {
    std::string out;
    for (const Endpoint& e : group.endpoints) out += (out.empty() ? "" : " ") + e.address.text();
    return out;
}

// A Pod that is ready, or not, at 10.244.0.LAST.
inline std::string pod(const std::string& name, int last, const std::string& app,
                       const std::string& node = "node-a", const std::string& ready = "True",
                       const std::string& more_meta = "") {
    return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {app: " + app + "}" +
           more_meta + "}\nspec: {nodeName: " + node +
           ", containers: [{name: c, ports: [{name: ws, containerPort: " + std::to_string(9000 + last) +
           "}]}]}\nstatus: {podIP: 10.244.0." + std::to_string(last) +
           ", conditions: [{type: Ready, status: \"" + ready + "\"}]}\n";
}

}  // namespace hawser::catalog
