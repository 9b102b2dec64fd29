// SPDX-License-Identifier: Apache-2.0
#pragma once

// nginx.conf -> HTTP listeners. The reference is nginx 1.22.1; docs/nginx.md lists the directives.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/http.h"
#include "net/address.h"
#include "net/error.h"
#include "sources/nginx/syntax.h"

namespace hawser::nginx {

using Resolve = std::function<net::Result<std::vector<net::IpAddress>>(const std::string& host)>;

// getaddrinfo: what /etc/hosts and the DNS say now, without repetition. Blocks.
net::Result<std::vector<net::IpAddress>> resolve_by_system(const std::string& host);

struct LoadOptions {
    // Where relative includes start; "" is the directory of the file that was given (nginx: of nginx.conf).
    std::string conf_prefix;
    // Where relative log paths start.
    std::string prefix = "/usr/share/nginx";
    // The log of a whole nginx.conf that has no access_log (Debian's nginx has this path built in); "" =
    // none. A fragment without access_log has none.
    std::string default_access_log = "/var/log/nginx/access.log";
    // $hostname in server_name; "" is gethostname().
    std::string hostname;
    // Names in listen, upstream servers and proxy_pass, once, at load, as nginx does.
    Resolve resolve = resolve_by_system;
    Bounds bounds;
};

// A directive of the process (user, worker_processes, events ...): read, and without effect.
struct ProcessSetting {
    std::string name;
    std::vector<std::string> arguments;
    catalog::Position position;
};

struct Loaded {
    // Void when the diagnostics have errors. Sorted by address.
    std::vector<catalog::http::Listener> listeners;
    // Every file that was read or should have been, and the patterns of includes: what to watch.
    std::vector<std::string> files;
    std::vector<std::string> patterns;
    std::vector<ProcessSetting> process;
    bool is_fragment = true;  // no file had an `http` block
};

// Reads the files as one configuration: at most one may be a whole nginx.conf, the others are http fragments,
// as though that file's http block included them at its end. Everything that is wrong goes to diagnostics:
// errors in nginx's words, warnings for what is answered otherwise than an operator may expect, notes for
// what was read and has no effect.
Loaded load(const std::vector<std::string>& files, const LoadOptions& options,
            catalog::Diagnostics& diagnostics);

// The same for one text; `name` stands in positions.
Loaded load_text(std::string_view text, const std::string& name, const LoadOptions& options,
                 catalog::Diagnostics& diagnostics);

}  // namespace hawser::nginx
