// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/load.h"

#include <unistd.h>

#include "sources/keepalived/build.h"
#include "sources/keepalived/preprocess.h"

namespace hawser::keepalived {

namespace {

std::string id_of_this_host() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return {};
    const std::string whole = name;
    return whole.substr(0, whole.find('.'));
}

template <class Read>
Loaded load_with(const LoadOptions& options, catalog::Diagnostics& diagnostics, Read read) {
    catalog::Diagnostics own;  // what other sources got wrong is not to void this plan
    const std::string config_id = options.config_id.empty() ? id_of_this_host() : options.config_id;
    Files files(options.bounds, own);
    Syntax syntax(options.bounds, own);
    Preprocessor preprocessor(config_id, options.bounds, files, own,
                              [&](const Line& line) { syntax.feed(line); });
    read(preprocessor);
    const std::vector<Statement> statements = syntax.finish();

    Reading reading{options, own, {}};
    read_block(reading, statements, {});
    Loaded out;
    out.plan = build_plan(reading);
    if (own.has_errors()) out.plan = {};
    out.files = files.names();
    out.patterns = files.patterns();
    diagnostics.append(own);
    return out;
}

}  // namespace

Loaded load(const std::vector<std::string>& files, const LoadOptions& options,
            catalog::Diagnostics& diagnostics) {
    return load_with(options, diagnostics, [&](Preprocessor& preprocessor) {
        for (const std::string& file : files) preprocessor.read_file(file);
    });
}

Loaded load_text(std::string_view text, const std::string& name, const LoadOptions& options,
                 catalog::Diagnostics& diagnostics) {
    return load_with(options, diagnostics,
                     [&](Preprocessor& preprocessor) { preprocessor.read_text(text, name, "."); });
}

}  // namespace hawser::keepalived
