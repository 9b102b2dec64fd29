// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "bench/generator/load.h"
#include "bench/generator/serve.h"

namespace {

using namespace hawser::bench;

std::atomic<bool> stopped{false};  // set by the signal handler, which can reach nothing else

int run_serve(const ServeOptions& options) {
    std::signal(SIGINT, [](int) { stopped = true; });
    std::signal(SIGTERM, [](int) { stopped = true; });
    serve(options, stopped);
    return 0;
}

// 0 when every tunnel did what it should, 1 otherwise.
int report_load(const LoadOptions& options) {
    const LoadReport report = run_load(options);
    std::puts(to_json(options, report).c_str());
    return report.errors.empty() ? 0 : 1;
}

void add_load_options(CLI::App& app, LoadOptions& options) {
    const std::map<std::string, LoadMode> modes{{"echo", LoadMode::echo},
                                                {"up", LoadMode::up},
                                                {"down", LoadMode::down},
                                                {"handshake", LoadMode::handshake},
                                                {"idle", LoadMode::idle}};
    app.add_option("mode", options.mode, "echo, up, down, handshake or idle")
        ->required()
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("target", options.target, "ADDRESS:PORT")->required();
    app.add_option("--host", options.host, "Host header")->capture_default_str();
    app.add_option("--source", options.sources, "address to connect from; several are used in turn");
    app.add_option("-c,--connections", options.connections, "tunnels, or handshakes at once")
        ->capture_default_str();
    app.add_option("-s,--size", options.size, "bytes in a message")->capture_default_str();
    app.add_option("--seconds", options.seconds, "how long to measure")->capture_default_str();
    app.add_option("--warmup", options.warmup, "seconds of load before")->capture_default_str();
    app.add_option("--open-timeout", options.open_timeout, "seconds until all tunnels must be open")
        ->capture_default_str();
    app.add_option("-t,--threads", options.threads, "event loops")->capture_default_str();
    app.add_flag("--verify", options.verify, "check every byte");
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"WebSocket load and its endpoint, for measuring what stands between them"};
    app.require_subcommand(1);
    ServeOptions serve_options;
    auto* serve_command = app.add_subcommand("serve", "the endpoint: /echo, /sink, /source?size=N");
    serve_command
        ->add_option("--listen", serve_options.listen, "ADDRESS:PORT; port 0 chooses one and prints it")
        ->capture_default_str();
    serve_command->add_option("-t,--threads", serve_options.threads, "event loops")->capture_default_str();
    LoadOptions load_options;
    auto* load_command = app.add_subcommand("load", "the client: prints a report as JSON");
    add_load_options(*load_command, load_options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        return serve_command->parsed() ? run_serve(serve_options) : report_load(load_options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hawser-bench: %s\n", error.what());
        return 1;
    }
}
