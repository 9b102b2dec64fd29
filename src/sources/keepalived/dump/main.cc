// SPDX-License-Identifier: Apache-2.0
// hawser_keepalived_dump [-i CONFIG_ID] FILE...: the diagnostics, then the plan as text. Exit 0 good, 1 bad
// input.

#include <iostream>

#include "sources/keepalived/load.h"
#include "sources/keepalived/plan_text.h"

int main(int argc, char** argv) {
    std::vector<std::string> files(argv + 1, argv + argc);
    hawser::keepalived::LoadOptions options;
    if (files.size() > 2 && files[0] == "-i") {
        options.config_id = files[1];
        files.erase(files.begin(), files.begin() + 2);
    }
    if (files.empty()) {
        std::cerr << "usage: hawser_keepalived_dump [-i CONFIG_ID] FILE...\n";
        return 2;
    }
    hawser::catalog::Diagnostics diagnostics;
    const auto loaded = hawser::keepalived::load(files, options, diagnostics);
    std::cout << diagnostics.text() << hawser::keepalived::plan_text(loaded.plan);
    return diagnostics.has_errors() ? 1 : 0;
}
