// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/load.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "sources/nginx/command.h"
#include "sources/nginx/servers.h"

namespace hawser::nginx {

namespace {

constexpr std::string_view combined =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" "
    "\"$http_user_agent\"";

// One file that was given, or one text.
struct Input {
    std::string name;
    std::vector<Directive> directives;
    bool is_whole = false;
};

// A whole nginx.conf has an `http` or `events` block, or only directives of the process.
bool is_whole(const std::vector<Directive>& directives) {
    bool of_process = false;
    bool of_http = false;
    for (const Directive& d : directives) {
        if (d.name() == "http" || d.name() == "events") return true;
        std::uint32_t places = 0;
        for (const auto group : all_commands())
            for (const Command& command : group)
                if (command.name == d.name()) places |= command.where;
        of_http = of_http || (places & where::http) != 0;
        of_process = of_process || (places & (where::main | where::http)) == where::main;
    }
    return of_process && !of_http;
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

void add_combined(Reading& reading) {
    auto format = std::make_shared<catalog::http::LogFormat>();
    format->name = "combined";
    format->format = *reading.variables.compile_log(combined, {});
    reading.http.log_formats.emplace("combined", std::move(format));
}

void read_whole(Reading& reading, const Input& input) {
    read_directives(reading, input.directives, {});
    if (!reading.has_events)
        reading.diagnostics.warning({input.name, 0, 0},
                                    "no \"events\" section in configuration: nginx would refuse the file");
    catalog::http::AccessLog log;
    LocationConf& level = reading.http.defaults.location;
    if (!level.access_logs.empty() || level.access_log_off || reading.options.default_access_log.empty())
        return;
    log.path = reading.options.default_access_log;
    log.format = reading.http.log_formats.at("combined");
    level.access_logs.push_back(std::move(log));
}

Loaded compile(std::vector<Input> inputs, const Syntax& syntax, LoadOptions options,
               catalog::Diagnostics& diagnostics) {
    if (options.hostname.empty()) {
        char name[256] = {};
        if (::gethostname(name, sizeof name - 1) == 0) options.hostname = name;
    }
    Reading reading(options, diagnostics);
    add_combined(reading);
    for (Input& input : inputs) {
        input.is_whole = is_whole(input.directives);
        if (!input.is_whole) continue;
        if (!reading.is_fragment)
            diagnostics.error({input.name, 0, 0}, "a second whole nginx.conf; only one can be in force");
        reading.is_fragment = false;
    }
    for (const Input& input : inputs)
        if (input.is_whole) read_whole(reading, input);
    ServerConf& defaults = reading.http.defaults;
    for (const Input& input : inputs) {
        if (input.is_whole) continue;
        if (defaults.position.file.empty()) defaults.position = {input.name, 1, 1};
        read_directives(reading, input.directives,
                        {where::http, &defaults, &defaults.location, nullptr, nullptr});
    }
    Loaded out;
    out.listeners = build_listeners(reading);
    out.files = syntax.files();
    out.patterns = syntax.patterns();
    out.process = std::move(reading.process);
    out.is_fragment = reading.is_fragment;
    return out;
}

}  // namespace

net::Result<std::vector<net::IpAddress>> resolve_by_system(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (code != 0) {
        net::Error error;
        error.message = "resolve \"" + host + "\": " + ::gai_strerror(code);
        return error;
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    std::vector<net::IpAddress> out;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        sockaddr_storage storage{};
        std::copy_n(reinterpret_cast<const char*>(at->ai_addr), at->ai_addrlen,
                    reinterpret_cast<char*>(&storage));
        const net::IpAddress ip = net::SocketAddress::from_sockaddr(storage).ip;
        if (std::find(out.begin(), out.end(), ip) == out.end()) out.push_back(ip);
    }
    return out;
}

Loaded load(const std::vector<std::string>& files, const LoadOptions& options,
            catalog::Diagnostics& diagnostics) {
    catalog::Diagnostics own;  // what other sources got wrong is not to void these listeners
    Syntax syntax(options.bounds, own);
    std::vector<Input> inputs;
    for (const std::string& file : files) {
        const std::string directory = options.conf_prefix.empty() ? directory_of(file) : options.conf_prefix;
        inputs.push_back({file, syntax.read_file(file, directory, {}), false});
    }
    Loaded out = compile(std::move(inputs), syntax, options, own);
    diagnostics.append(own);
    return out;
}

Loaded load_text(std::string_view text, const std::string& name, const LoadOptions& options,
                 catalog::Diagnostics& diagnostics) {
    catalog::Diagnostics own;
    Syntax syntax(options.bounds, own);
    const std::string directory = options.conf_prefix.empty() ? "." : options.conf_prefix;
    std::vector<Input> inputs;
    inputs.push_back({name, syntax.read_text(text, name, directory), false});
    Loaded out = compile(std::move(inputs), syntax, options, own);
    diagnostics.append(own);
    return out;
}

}  // namespace hawser::nginx
