// SPDX-License-Identifier: Apache-2.0
#include "app/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>

namespace hawser::app {

namespace {

constexpr const char* default_admin = "127.0.0.1:7070";

const std::map<std::string, Resource> resources{{"svc", Resource::services},
                                                {"service", Resource::services},
                                                {"services", Resource::services},
                                                {"ep", Resource::endpoints},
                                                {"endpoint", Resource::endpoints},
                                                {"endpoints", Resource::endpoints},
                                                {"endpointslices", Resource::endpoints},
                                                {"route", Resource::routes},
                                                {"routes", Resource::routes},
                                                {"frontend", Resource::frontends},
                                                {"frontends", Resource::frontends},
                                                {"tunnel", Resource::tunnels},
                                                {"tunnels", Resource::tunnels},
                                                {"vip", Resource::vips},
                                                {"vips", Resource::vips},
                                                {"peer", Resource::peers},
                                                {"peers", Resource::peers},
                                                {"snapshot", Resource::snapshot}};

net::Cidr parse_cidr(const std::string& text) {
    if (const auto cidr = net::Cidr::parse(text)) return *cidr;
    throw CLI::ValidationError("\"" + text + "\" is not an address range such as 10.0.0.0/8");
}

// "ADDRESS:PORT", ":PORT" (any IPv4 address) or "localhost:PORT".
net::SocketAddress parse_address(const std::string& text) {
    std::string full = text;
    if (full.starts_with(':')) full = "0.0.0.0" + full;
    if (full.starts_with("localhost:")) full = "127.0.0.1" + full.substr(9);
    if (const auto address = net::SocketAddress::parse(full)) return *address;
    throw CLI::ValidationError("\"" + text + "\" is not ADDRESS:PORT");
}

template <class T, class Parse>
void add_list(CLI::App& app, const std::string& flag, std::vector<T>& into, Parse parse,
              const std::string& help, const char* type) {
    const auto set = [&into, parse](const std::vector<std::string>& texts) {
        for (const auto& text : texts) into.push_back(parse(text));
    };
    app.add_option_function<std::vector<std::string>>(flag, set, help)
        ->type_name(type)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_seconds(CLI::App& app, const std::string& flag, std::chrono::milliseconds& into,
                 const std::string& help) {
    const auto set = [&into](double seconds) {
        into = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
    };
    app.add_option_function<double>(flag, set, help)->check(CLI::Range(0.0, 86'400.0))->type_name("SECONDS");
}

// One of a few words; they are the help as well.
template <class T>
void add_choice(CLI::App& app, const std::string& flags, T& into,
                const std::vector<std::pair<std::string, T>>& choices) {
    std::string words;
    for (const auto& [word, value] : choices) words += (words.empty() ? "" : ", ") + word;
    const auto set = [&into, choices, words](const std::string& text) {
        for (const auto& [word, value] : choices) {
            if (word != text) continue;
            into = value;
            return;
        }
        throw CLI::ValidationError("\"" + text + "\" is none of " + words);
    };
    app.add_option_function<std::string>(flags, set, words)->type_name("WORD");
}

void add_paths(CLI::App& app, const std::string& flags, std::vector<std::string>& into,
               const std::string& help) {
    app.add_option(flags, into, help)->type_name("PATH");
}

void add_port_range(CLI::App& app, const std::string& flag, std::uint16_t& into_low, std::uint16_t& into_high,
                    const std::string& help) {
    const auto set = [&into_low, &into_high](const std::string& text) {
        unsigned low = 0, high = 0;
        char end = 0;
        if (std::sscanf(text.c_str(), "%5u-%5u%c", &low, &high, &end) != 2 || low == 0 || low > high ||
            high > 65535)
            throw CLI::ValidationError("\"" + text + "\" is not a range such as 30000-32767");
        into_low = static_cast<std::uint16_t>(low);
        into_high = static_cast<std::uint16_t>(high);
    };
    app.add_option_function<std::string>(flag, set, help)->type_name("LOW-HIGH");
}

void describe_splice(CLI::App& app, RunCommand& run) {
    add_choice<bool>(app, "--splice", run.splice, {{"auto", true}, {"off", false}});
    app.add_option("--splice-dir", run.splice_directory,
                   "where the kernel's tables are pinned: on a bpffs, one for each process")
        ->capture_default_str()
        ->type_name("DIR");
    app.add_option("--splice-tunnels", run.splice_tunnels, "how many tunnels the kernel's tables hold")
        ->capture_default_str()
        ->check(CLI::Range(1'024, 16'777'216));
    add_port_range(app, "--splice-ports", run.splice_port_low, run.splice_port_high,
                   "source ports towards endpoints; outside of the ephemeral ones (default 10240-29999)");
}

void describe_vips(CLI::App& app, RunCommand& run) {
    app.add_option("--vip-real-time", run.vip_real_time_priority,
                   "real-time priority (SCHED_FIFO) of the thread that holds the VIPs; 0: none")
        ->capture_default_str()
        ->check(CLI::Range(0, 99));
    app.add_option_function<int>(
           "--vip-lifetime", [&run](int seconds) { run.vip_lifetime = std::chrono::seconds(seconds); },
           "after this the kernel takes a VIP away from a process that died (default 3)")
        ->check(CLI::Range(2, 3'600))
        ->type_name("SECONDS");
    add_seconds(app, "--vip-check", run.vip_check_interval,
                "a node with VIPs connects to one endpoint every so often; when it reaches none, it gives them away; 0: "
                "never (default 3)");
}

void describe_replication(CLI::App& app, RunCommand& run) {
    app.add_option("--replication-key", run.replication_key,
                   "tunnels over VIPs are told to the other nodes, which carry them on; a file with a secret that all "
                   "of them have (openssl rand -hex 32)")
        ->type_name("FILE");
    add_list(app, "--replication-listen", run.replication_listen, parse_address,
             "where other nodes are heard; all of one port (default 0.0.0.0:8112,[::]:8112)", "ADDRESS:PORT");
    add_list(app, "--replication-peer", run.replication_peers, parse_address,
             "other nodes, besides those that VRRP knows", "ADDRESS:PORT");
    app.add_option("--replication-nodes", run.replication_nodes,
                   "the ports towards endpoints are divided among so many nodes; the same on all")
        ->capture_default_str()
        ->check(CLI::Range(1, 16));
    add_seconds(app, "--replication-quiet", run.replication_quiet,
                "for so long after a VIP came are packets of unknown connections dropped, not refused (default 5)");
}

void describe(CLI::App& app, Configuration& c) {
    add_paths(app, "-f,--filename", c.manifests,
              "Kubernetes manifests: a file, or a directory with all below it (several)");
    add_paths(app, "--nginx", c.nginx, "an nginx.conf, or a fragment of its http block (several)");
    add_paths(app, "--keepalived", c.keepalived, "a keepalived.conf: VIPs (several)");
    app.add_option("--config-id", c.config_id,
                   "what @ID lines of keepalived.conf are compared with (default: this host's name)");
    app.add_option("--node-name", c.node_name,
                   "this node's name in the manifests (default: found by its addresses)");
    app.add_option_function<std::string>(
           "--state", [&c](const std::string& directory) { c.state_directory = directory; },
           "where allocated ClusterIPs and nodePorts are kept; \"\" keeps nothing (default " +
               default_state_directory() + ")")
        ->type_name("DIR");
    add_list(app, "--service-cidr", c.service_cidrs, parse_cidr, "from where ClusterIPs are allocated",
             "CIDR");
    add_list(app, "--pod-cidr", c.pod_cidrs, parse_cidr, "whose clients count as pods", "CIDR");
    add_list(app, "--node-port-addresses", c.node_port_addresses, parse_cidr,
             "on which of this node's addresses NodePorts are served (default: all)", "CIDR");
    add_port_range(app, "--service-node-port-range", c.node_port_min, c.node_port_max,
                   "from where nodePorts are allocated (default 30000-32767)");
    add_list(app, "--http", c.http, parse_address,
             "where Ingress rules are served (default: port 80 of all addresses, when there is an Ingress)",
             "ADDRESS:PORT");
    app.add_option("--ingress-class", c.ingress_class, "the class of the Ingresses to serve")
        ->capture_default_str();
}

void describe_log(CLI::App& app, RunCommand& run) {
    add_choice<bool>(app, "--log-format", run.log_json, {{"text", false}, {"json", true}});
    add_choice<gateway::LogLevel>(app, "--log-level", run.log_level,
                                  {{"debug", gateway::LogLevel::debug},
                                   {"info", gateway::LogLevel::info},
                                   {"warning", gateway::LogLevel::warning},
                                   {"error", gateway::LogLevel::error}});
    app.add_option("--log-file", run.log_file, "instead of stderr; USR1 opens it anew")->type_name("FILE");
}

void describe(CLI::App& app, RunCommand& run) {
    describe(app, run.configuration);
    app.add_option_function<std::string>(
           "--admin",
           [&run](const std::string& text) {
               if (text == "off")
                   run.admin.reset();
               else
                   run.admin = parse_address(text);
           },
           std::string("admin API, metrics and console; port 0 takes a free one; \"off\" (default ") +
               default_admin + ")")
        ->type_name("ADDRESS:PORT");
    app.add_option("--admin-host", run.admin_hosts,
                   "a name under which clients may address the admin server (several; addresses and "
                   "localhost always)")
        ->allow_extra_args(false)
        ->type_name("NAME");
    app.add_option("--workers", run.workers, "threads of the gateway (default: one per core)")
        ->check(CLI::Range(1, 1024));
    app.add_option("--max-connections", run.limits.max_connections,
                   "clients at a time (default: from the limit of descriptors)");
    app.add_option("--max-connections-per-client", run.limits.max_connections_per_client,
                   "of one client address (default: no limit)");
    app.add_option("--max-handshakes-per-second", run.limits.max_handshakes_per_second,
                   "new connections of the whole process (default: no limit)")
        ->check(CLI::NonNegativeNumber);
    add_seconds(app, "--drain-timeout", run.drain_timeout,
                "on TERM: what is left after this is cut (default 25)");
    add_seconds(app, "--drain-spread", run.drain_spread,
                "on TERM: Close frames are spread evenly over this (default 5)");
    app.add_flag("!--no-watch", run.watch, "do not watch the files; HUP still re-reads them");
    describe_splice(app, run);
    describe_vips(app, run);
    describe_replication(app, run);
    describe_log(app, run);
}

void describe_client(CLI::App& app, net::SocketAddress& admin) {
    app.add_option_function<std::string>(
           "--admin", [&admin](const std::string& text) { admin = parse_address(text); },
           std::string("the daemon's admin server (default ") + default_admin + ", or $HAWSER_ADMIN)")
        ->envname("HAWSER_ADMIN")
        ->type_name("ADDRESS:PORT");
}

void describe(CLI::App& app, GetCommand& get) {
    describe_client(app, get.admin);
    app.add_option_function<std::string>(
           "RESOURCE",
           [&get](const std::string& text) {
               const auto slash = text.find('/');  // "svc/im-service", as kubectl takes it
               const auto found = resources.find(text.substr(0, slash));
               if (found == resources.end())
                   throw CLI::ValidationError(
                       "\"" + text + "\" is none of svc, endpoints, routes, frontends, tunnels, vips, peers, snapshot");
               get.resource = found->second;
               if (slash != std::string::npos) get.name = text.substr(slash + 1);
           },
           "svc, endpoints, routes, frontends, tunnels, vips, peers or snapshot")
        ->required();
    app.add_option("NAME", get.name, "one of them");
    app.add_option("-n,--namespace", get.namespace_)->capture_default_str();
    app.add_flag("-A,--all-namespaces", get.all_namespaces);
    app.add_option("--service", get.service, "only what belongs to this service");
    app.add_flag("--no-headers", get.no_headers);
    add_choice<Output>(app, "-o,--output", get.output,
                       {{"wide", Output::wide}, {"json", Output::json}, {"yaml", Output::yaml}});
}

// What no single flag shows. "" = good.
std::string fault(const Configuration& c) {
    if (c.manifests.empty() && c.nginx.empty() && c.keepalived.empty())
        return "nothing to do: give -f FILE|DIR, --nginx FILE or --keepalived FILE, or several of them";
    unsigned v4 = 0, v6 = 0;
    for (const auto& cidr : c.service_cidrs) ++(cidr.v4 ? v4 : v6);
    if (v4 > 1 || v6 > 1) return "--service-cidr: at most one range of each family";
    return "";
}

std::string fault(const RunCommand& run) {
    for (const auto& address : run.replication_listen)
        if (address.port == 0 || address.port != run.replication_listen.front().port)
            return "--replication-listen: all of one port, at which other nodes look for this one";
    return "";
}

int usage_error(const CLI::App& app, const std::string& why) {
    std::cerr << "hawser " << app.get_name() << ": " << why << "\nRun with --help for more information.\n";
    return exit_code::bad_usage;
}

}  // namespace

const char* version() { return HAWSER_VERSION; }

std::string default_state_directory() {
    const auto environment = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    if (const auto state = environment("XDG_STATE_HOME"); state.starts_with('/')) return state + "/hawser";
    const auto home = environment("HOME");
    if (::geteuid() == 0 || home.empty()) return "/var/lib/hawser";
    return home + "/.local/state/hawser";
}

std::variant<Command, int> parse_command_line(int argc, const char* const* argv) {
    CLI::App app{"Hawser brings WebSocket services, and every other long-lived connection, out of a cluster.",
                 "hawser"};
    app.require_subcommand(1);
    app.set_version_flag("--version", "hawser " HAWSER_VERSION);

    RunCommand run;
    run.admin = parse_address(default_admin);
    CheckCommand check;
    GetCommand get;
    get.admin = *run.admin;
    KillCommand kill;
    kill.admin = *run.admin;
    ReloadCommand reload;
    reload.admin = *run.admin;

    auto* run_app = app.add_subcommand("run", "serve what the sources describe");
    describe(*run_app, run);
    auto* check_app = app.add_subcommand(
        "check", "read the sources, print everything that is wrong, or what would be served");
    describe(*check_app, check.configuration);
    auto* get_app = app.add_subcommand("get", "show what a running daemon has");
    describe(*get_app, get);
    auto* kill_app = app.add_subcommand("kill", "end something in a running daemon");
    kill_app->require_subcommand(1);
    auto* tunnel_app = kill_app->add_subcommand("tunnel", "close tunnels");
    describe_client(*tunnel_app, kill.admin);
    tunnel_app->add_option("ID", kill.ids)->required();
    auto* reload_app = app.add_subcommand("reload", "make a running daemon read its sources again");
    describe_client(*reload_app, reload.admin);
    SpliceRemoveCommand splice_remove;
    auto* splice_app = app.add_subcommand("splice", "the kernel's part of the data path");
    splice_app->require_subcommand(1);
    auto* splice_remove_app = splice_app->add_subcommand(
        "remove", "take programs and tables out of the kernel; the tunnels that they carry end");
    splice_remove_app->add_option("--splice-dir", splice_remove.directory)->capture_default_str()->type_name("DIR");
    auto* version_app = app.add_subcommand("version", "print the version");

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_code::good : exit_code::bad_usage;
    }
    if (*splice_remove_app) return Command(std::move(splice_remove));
    if (*version_app) return Command(VersionCommand{});
    if (*get_app) return Command(std::move(get));
    if (*kill_app) return Command(std::move(kill));
    if (*reload_app) return Command(reload);
    auto why = fault(*run_app ? run.configuration : check.configuration);
    if (*run_app && why.empty()) why = fault(run);
    if (!why.empty()) return usage_error(*run_app ? *run_app : *check_app, why);
    if (*run_app) return Command(std::move(run));
    return Command(std::move(check));
}

}  // namespace hawser::app
