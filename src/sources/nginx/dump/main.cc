// SPDX-License-Identifier: Apache-2.0
// hawser_nginx_dump FILE...: the diagnostics, then the compiled listeners as text. Exit 0 good, 1 bad input.

#include <iostream>

#include "sources/nginx/load.h"
#include "sources/nginx/model_text.h"

int main(int argc, char** argv) {
    const std::vector<std::string> files(argv + 1, argv + argc);
    if (files.empty()) {
        std::cerr << "usage: hawser_nginx_dump FILE...\n";
        return 2;
    }
    hawser::catalog::Diagnostics diagnostics;
    const auto loaded = hawser::nginx::load(files, {}, diagnostics);
    std::cout << diagnostics.text() << hawser::nginx::model_text(loaded.listeners);
    return diagnostics.has_errors() ? 1 : 0;
}
