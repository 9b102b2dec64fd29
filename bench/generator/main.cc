// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "bench/generator/crowd.h"
#include "bench/generator/load.h"
#include "bench/generator/serve.h"

namespace {

using namespace hawser::bench;

std::atomic<bool> stopped{false};  // set by the signal handler, which can reach nothing else

void stop_on_signals() {
    std::signal(SIGINT, [](int) { stopped = true; });
    std::signal(SIGTERM, [](int) { stopped = true; });
}

int run_serve(const ServeOptions& options) {
    stop_on_signals();
    serve(options, stopped);
    return 0;
}

int run_crowd_serve(const CrowdServeOptions& options) {
    stop_on_signals();
    serve_crowd(options, stopped);
    return 0;
}

int report_crowd(const CrowdLoadOptions& options) {
    bool ok = false;
    std::puts(load_crowd(options, ok).c_str());
    return ok ? 0 : 1;
}

// 0 when every tunnel did what it should, 1 otherwise.
int report_load(const LoadOptions& options) {
    const LoadReport report = run_load(options);
    std::puts(to_json(options, report).c_str());
    return report.errors.empty() ? 0 : 1;
}

void add_load_options(CLI::App& app, LoadOptions& options) {
    const std::map<std::string, LoadMode> modes{
        {"echo", LoadMode::echo},           {"up", LoadMode::up},           {"down", LoadMode::down},
        {"handshake", LoadMode::handshake}, {"connect", LoadMode::connect}, {"idle", LoadMode::idle}};
    app.add_option("mode", options.mode, "echo, up, down, handshake, connect or idle")
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
    app.add_option("--spread", options.spread, "addresses from the target's on, one at random for each")
        ->capture_default_str();
    app.add_flag("--hold", options.hold, "wait for the end of standard input once all tunnels are open");
    app.add_flag("--verify", options.verify, "check every byte");
}

void add_place(CLI::App& app, CrowdPlace& place) {
    app.add_option("--interface", place.interface, "where the packets come and go")->required();
    app.add_option("--gateway", place.gateway, "MAC address that they go to")->required();
    app.add_option("--first", place.first, "the first of our addresses")->required();
    app.add_option("--count", place.count, "how many there are, one after the other")
        ->check(CLI::Range(1U, 1U << 24))
        ->capture_default_str();
}

void add_crowd_load_options(CLI::App& app, CrowdLoadOptions& options) {
    app.add_option("target", options.target, "ADDRESS:PORT")->required();
    add_place(app, options.place);
    app.add_option("--host", options.host, "Host header")->capture_default_str();
    app.add_option("-c,--connections", options.connections, "tunnels")->capture_default_str();
    app.add_option("--at-once", options.at_once, "handshakes under way")->capture_default_str();
    app.add_option("--per-second", options.per_second, "new connections at most (default: no limit)");
    app.add_option("--echoes", options.echoes, "tunnels that echo at the end, chosen at random")
        ->capture_default_str();
    app.add_option("--open-timeout", options.open_timeout, "seconds until all tunnels must be open")
        ->capture_default_str();
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
    CrowdServeOptions crowd_serve_options;
    auto* crowd_serve_command = app.add_subcommand("crowd-serve", "endpoints without sockets: they echo");
    add_place(*crowd_serve_command, crowd_serve_options.place);
    crowd_serve_command->add_option("--port", crowd_serve_options.port, "of each address")
        ->capture_default_str();
    CrowdLoadOptions crowd_load_options;
    auto* crowd_load_command = app.add_subcommand("crowd-load", "idle tunnels from ends without sockets");
    add_crowd_load_options(*crowd_load_command, crowd_load_options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        if (serve_command->parsed()) return run_serve(serve_options);
        if (crowd_serve_command->parsed()) return run_crowd_serve(crowd_serve_options);
        if (crowd_load_command->parsed()) return report_crowd(crowd_load_options);
        return report_load(load_options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hawser-bench: %s\n", error.what());
        return 1;
    }
}
