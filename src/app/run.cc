// SPDX-License-Identifier: Apache-2.0
#include "app/run.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <ostream>
#include <set>

#include "app/build_plan.h"
#include "app/endpoint_check.h"
#include "control/address_watch.h"
#include "control/admin.h"
#include "control/api.h"
#include "control/sources.h"
#include "net/listen.h"
#include "replication/plane.h"
#include "splice/plane.h"
#include "splice/program.h"
#include "vip/plane.h"

namespace hawser::app {

namespace {

namespace asio = boost::asio;

constexpr std::uint16_t replication_port = 8112;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Why clients would only be refused here; "" = they would not. A node without Services has nothing to serve.
std::string why_not_serving(const catalog::Snapshot& snapshot) {
    const auto has_endpoint = [](const catalog::Frontend& frontend) {
        return (frontend.group && !frontend.group->endpoints.empty()) ||
               (frontend.cluster_group && !frontend.cluster_group->endpoints.empty());
    };
    const auto& frontends = snapshot.frontends;
    if (frontends.empty() || !snapshot.listeners.empty()) return "";
    return std::any_of(frontends.begin(), frontends.end(), has_endpoint) ? "" : "no Service has an endpoint";
}

// The gateway as the control plane sees it; explains what a configuration cannot.
class GatewayPlane final : public control::Plane {
  public:
    GatewayPlane(asio::io_context& io, gateway::Gateway& gateway, splice::Plane* kernel, vip::Plane::Options vip_options,
                 std::chrono::milliseconds check_interval, std::shared_ptr<control::Log> log)
        : gateway_(gateway),
          kernel_(kernel),
          vip_options_(vip_options),
          log_(std::move(log)),
          endpoint_check_(io, pace(check_interval), [this](const std::string& why_not) {
              unreachable_ = why_not;
              judge();
          }) {}

    catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot) override {
        catalog::Diagnostics diagnostics;
        if (const auto opened = open_vips(*snapshot); !opened) {
            diagnostics.error({}, "VIPs: " + opened.error().text());
            return diagnostics;
        }
        const auto plan = snapshot->vips;  // `snapshot` may be gone below
        diagnostics = gateway_.apply(snapshot);
        if (kernel_ != nullptr && !diagnostics.has_errors())
            diagnostics.append(kernel_->apply(std::move(snapshot)));
        const auto& all = diagnostics.all();
        const bool forbidden = std::any_of(all.begin(), all.end(), [](const catalog::Diagnostic& diagnostic) {
            return diagnostic.message.find("bind ") != std::string::npos &&
                   diagnostic.message.find("Permission denied") != std::string::npos;
        });
        if (forbidden)
            diagnostics.warning({},
                                "ports below 1024 need root, CAP_NET_BIND_SERVICE (setcap "
                                "cap_net_bind_service=+ep hawser; systemd: "
                                "AmbientCapabilities=CAP_NET_BIND_SERVICE) or the sysctl "
                                "net.ipv4.ip_unprivileged_port_start");
        if (vips_ && !diagnostics.has_errors()) {
            endpoint_check_.watch(*gateway_.current());
            judge();
            vips_->apply(plan);
            if (replication_)
                for (const auto& router : plan->routers)
                    for (const auto& peer : router.unicast_peers) replication_->meet(peer.ip);
        }
        return diagnostics;
    }
    // Tunnels over VIPs are told to other nodes from now on.
    net::Result<void> replicate(const RunCommand& command) {
        auto key = replication::Key::read(command.replication_key);
        if (!key) return key.error();
        replication::Plane::Options options;
        options.listen = command.replication_listen;
        if (options.listen.empty())
            options.listen = {{net::IpAddress::any_v4(), replication_port}, {net::IpAddress::any_v6(), replication_port}};
        options.peers = command.replication_peers;
        options.parts = command.replication_nodes;
        options.name = host_name();
        replication::Plane::Callbacks callbacks;
        callbacks.log = [log = log_](bool warning, const std::string& line) {
            warning ? log->warning(line) : log->info(line);
        };
        auto opened = replication::Plane::open(std::move(options), std::move(*key), kernel_->shared_tunnels(),
                                               std::move(callbacks));
        if (!opened) return opened.error();
        replication_ = std::move(*opened);
        return {};
    }
    [[nodiscard]] std::optional<replication::Status> replication() const override {
        return replication_ ? std::optional(replication_->status()) : std::nullopt;
    }
    void stop_replication() {
        if (replication_) replication_->stop();
        replication_.reset();
    }
    void stop_vips() {
        endpoint_check_.stop();
        if (vips_) vips_->stop();
        vips_.reset();
    }
    [[nodiscard]] std::vector<vip::Status> vips() const override {
        return vips_ ? vips_->status() : std::vector<vip::Status>{};
    }
    [[nodiscard]] std::shared_ptr<const catalog::Snapshot> current() const override {
        return gateway_.current();
    }
    [[nodiscard]] std::vector<tunnel::Tunnel> tunnels(std::uint64_t after, std::size_t limit) const override {
        auto out = gateway_.tunnels();
        if (kernel_ == nullptr) return out;
        // One that went into the kernel between the two questions stands in both answers.
        std::set<std::uint64_t> seen;
        for (const auto& t : out) seen.insert(t.id);
        for (auto& t : kernel_->tunnels(after, limit))
            if (!seen.contains(t.id)) out.push_back(std::move(t));
        return out;
    }
    [[nodiscard]] std::optional<tunnel::Tunnel> tunnel(std::uint64_t id) const override {
        for (auto& t : gateway_.tunnels())
            if (t.id == id) return std::move(t);
        return kernel_ == nullptr ? std::nullopt : kernel_->tunnel(id);
    }
    [[nodiscard]] gateway::Stats stats() const override {
        auto out = gateway_.stats();
        if (kernel_ == nullptr) return out;
        for (const auto& [service, count] : kernel_->stats().tunnels.by_service)
            out.services[service].tunnels_active += count;
        return out;
    }
    bool kill_tunnel(std::uint64_t id) override {
        return gateway_.kill_tunnel(id) || (kernel_ != nullptr && kernel_->kill(id));
    }
    [[nodiscard]] std::optional<splice::Plane::Stats> splice_stats() const override {
        return kernel_ == nullptr ? std::nullopt : std::optional(kernel_->stats());
    }

  private:
    static EndpointCheck::Pace pace(std::chrono::milliseconds interval) {
        EndpointCheck::Pace out;
        out.interval = interval;
        return out;
    }
    // Whether this node is one to have VIPs.
    void judge() {
        if (!vips_) return;
        std::string why_not = why_not_serving(*gateway_.current());
        vips_->set_health(why_not.empty() ? unreachable_ : std::move(why_not));
    }
    // Once there are some: it takes privileges.
    net::Result<void> open_vips(const catalog::Snapshot& snapshot) {
        if (vips_ || !snapshot.vips || snapshot.vips->empty()) return {};
        vip::Plane::Callbacks callbacks;
        callbacks.log = [log = log_](vip::Severity severity, const std::string& line) {
            severity == vip::Severity::warning ? log->warning(line) : log->info(line);
        };
        if (replication_) {
            // The kernel is up to a second late in taking an address away.
            const auto lease = vip_options_.lifetime + std::chrono::seconds(2);
            callbacks.holding = [kernel = kernel_, lease](const std::vector<net::IpAddress>& vips) {
                for (const auto& vip : vips) kernel->vips().hold(vip, lease);
            };
            callbacks.released = [kernel = kernel_](const std::vector<net::IpAddress>& vips) {
                for (const auto& vip : vips) kernel->vips().leave(vip);
            };
            callbacks.contested = [kernel = kernel_](const std::vector<net::IpAddress>& vips) {
                kernel->vips().contest(vips);
            };
            callbacks.knows_all_of = [replication = replication_.get()](const net::IpAddress& node) {
                return replication->has_all_of(node);
            };
            callbacks.heard = [replication = replication_.get()](const net::IpAddress& node) { replication->meet(node); };
        }
        auto opened = vip::Plane::open(vip_options_, std::move(callbacks));
        if (!opened) return opened.error();
        vips_ = std::move(*opened);
        return {};
    }

    gateway::Gateway& gateway_;
    splice::Plane* kernel_;
    vip::Plane::Options vip_options_;
    std::shared_ptr<control::Log> log_;
    std::unique_ptr<replication::Plane> replication_;  // outlives the VIPs, who call it
    std::unique_ptr<vip::Plane> vips_;
    EndpointCheck endpoint_check_;
    std::string unreachable_;  // what that says
};

// Builds snapshots, and keeps what was allocated for them. Called on one thread at a time.
class Builder {
  public:
    Builder(const Configuration& configuration, std::shared_ptr<control::Log> log)
        : configuration_(configuration), file_(allocations_file(configuration)), log_(std::move(log)) {}

    net::Result<void> load() {
        if (file_.empty()) return {};
        auto kept = catalog::load_allocations(file_);
        if (!kept) return kept.error();
        saved_ = allocations_ = std::move(*kept);
        return {};
    }

    catalog::BuildResult build(const catalog::Objects& objects,
                               const std::shared_ptr<const catalog::Snapshot>& previous) {
        auto result = catalog::build(objects, build_options(configuration_, objects), previous, allocations_);
        if (result.snapshot && !file_.empty() && allocations_ != saved_) save();
        return result;
    }

  private:
    // A directory that cannot be written costs stable numbers, not the service.
    void save() {
        std::error_code failed;
        std::filesystem::create_directories(std::filesystem::path(file_).parent_path(), failed);
        auto saved = failed ? net::Result<void>(net::system_error("create its directory", failed.value()))
                            : catalog::save_allocations(file_, allocations_);
        if (saved)
            saved_ = allocations_;
        else
            log_->warning("allocated addresses and ports are not kept in " + file_ + ": " +
                          saved.error().text());
    }

    const Configuration& configuration_;
    std::string file_;
    std::shared_ptr<control::Log> log_;
    catalog::Allocations allocations_, saved_;
};

// Descriptors are what bounds the number of connections.
void raise_descriptor_limit(control::Log& log) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log.warning(net::system_error("raise the limit of open files", errno).text());
}

// Null, with the reason in the log, where the kernel or the privileges do not allow it.
std::unique_ptr<splice::Plane> open_splice(const RunCommand& command,
                                           const std::shared_ptr<control::Log>& log) {
    // H-15: an earlier process may have left Services in the kernel, which nobody would keep up to date.
    const auto stop_serving = [&] {
        const auto stopped = splice::Program::stop_serving(command.splice_directory);
        if (!stopped)
            log->warning(stopped.error().text());
        else if (*stopped)
            log->info(
                "splice: Services of an earlier process are the gateway's now; its tunnels go on in the "
                "kernel");
    };
    if (!command.splice) {
        stop_serving();
        return nullptr;
    }
    splice::Plane::Options options;
    options.program = {command.splice_directory, command.splice_tunnels};
    options.port_low = command.splice_port_low;
    options.port_high = command.splice_port_high;
    options.shares = !command.replication_key.empty();
    options.quiet_time = command.replication_quiet;
    options.services.pod_ranges = command.configuration.pod_cidrs;
    options.services.service_ranges = command.configuration.service_cidrs;
    const auto& limits = command.limits;
    options.services.cluster_ips_only = limits.max_connections != 0 ||
                                        limits.max_connections_per_client != 0 ||
                                        limits.max_handshakes_per_second != 0;
    splice::Plane::Callbacks callbacks;
    callbacks.warning = [log](const std::string& line) { log->warning(line); };
    callbacks.tunnels.opened = [log](const tunnel::Tunnel& t) {
        if (log->wants(gateway::LogLevel::info)) log->info(tunnel::log_line(t, "open"));
    };
    callbacks.tunnels.closed = [log](const tunnel::Tunnel& t) {
        if (log->wants(gateway::LogLevel::info)) log->info(tunnel::log_line(t, "close"));
    };
    auto opened = splice::Plane::open(options, std::move(callbacks));
    if (!opened) {
        log->info("splice is off, the relay carries all tunnels: " + opened.error().text());
        if (opened.error().code != EBUSY) stop_serving();
        return nullptr;
    }
    log->info((*opened)->adopted() ? "splice: took over the tables in " + command.splice_directory
                                   : "splice: on, tables in " + command.splice_directory);
    return std::move(*opened);
}

gateway::Splicing splicing(splice::Plane* kernel, bool wanted) {
    gateway::Splicing out;
    if (kernel == nullptr) {
        if (wanted) out.why_not = "not possible here";
        return out;
    }
    out.splicer = kernel;
    out.connect = [kernel](const net::SocketAddress& endpoint, int client) {
        return kernel->connect(endpoint, client);
    };
    out.listener_mss = [kernel] { return kernel->smallest_mss().get(); };
    out.watch_listener_mss = [kernel](std::function<void()> changed) {
        kernel->smallest_mss().watch(std::move(changed));
    };
    out.first_tunnel_id = kernel->highest_id();
    return out;
}

gateway::Options gateway_options(const RunCommand& command, splice::Plane* kernel) {
    gateway::Options options;
    options.workers = command.workers;
    options.limits = command.limits;
    options.pod_cidrs = command.configuration.pod_cidrs;
    options.splicing = splicing(kernel, command.splice);
    options.host_name = host_name();
    return options;
}

class Daemon {
  public:
    Daemon(const RunCommand& command, std::shared_ptr<control::Log> log, std::ostream& out)
        : command_(command),
          log_(std::move(log)),
          out_(out),
          signals_(io_, SIGTERM, SIGINT, SIGHUP),
          drain_timer_(io_),
          kernel_(open_splice(command, log_)),
          gateway_(gateway_options(command, kernel_.get()), log_),
          plane_(io_, gateway_, kernel_.get(), {command.vip_real_time_priority, command.vip_lifetime},
                 command.vip_check_interval, log_),
          builder_(command.configuration, log_),
          sources_(
              io_, [inputs = inputs_of(command.configuration)] { return control::read(inputs); },
              [this](const auto& objects, const auto& previous) { return builder_.build(objects, previous); },
              plane_, log_),
          addresses_(io_, [this] { sources_.reload("node addresses"); }),
          api_(plane_, sources_) {
        signals_.add(SIGUSR1);
    }

    int run() {
        log_->info(std::string("hawser ") + version() + " starts");
        if (auto loaded = builder_.load(); !loaded) return fail(loaded.error());
        if (auto listening = listen_admin(); !listening) return fail(listening.error());
        if (!command_.replication_key.empty()) {
            if (!kernel_)
                log_->warning("replication is off: without the splice every tunnel ends with its node");
            else if (auto replicates = plane_.replicate(command_); !replicates)
                return fail(replicates.error());
        }
        gateway_.start();
        warn_if(command_.watch ? sources_.watch_files() : net::Result<void>{}, "files are not watched");
        warn_if(addresses_.open(), "changes of this node's addresses go unseen");
        wait_for_signal();
        sources_.reload("start", [this](const control::ReloadStatus& status) { started(status); });
        io_.run();
        plane_.stop_vips();
        plane_.stop_replication();
        if (kernel_) kernel_->stop();  // nothing comes from it any more
        gateway_.stop();
        if (kernel_) kernel_->forget_relays();
        log_->info("hawser stops");
        return exit_code_;
    }

  private:
    int fail(const net::Error& error) {
        log_->error(error.text());
        return exit_code::bad_input;
    }

    void warn_if(const net::Result<void>& result, std::string_view what) {
        if (!result) log_->warning(std::string(what) + ": " + result.error().text());
    }

    net::Result<void> listen_admin() {
        if (!command_.admin) return {};
        control::AdminServer::Options options;
        options.address = *command_.admin;
        options.host_names = command_.admin_hosts;
        admin_.emplace(io_, std::move(options),
                       [this](const control::Request& request, control::Api::Answer answer) {
                           api_.handle(request, std::move(answer));
                       });
        const auto bound = admin_->listen();
        if (!bound) return bound.error();
        out_ << "admin http://" << bound->text() << "/" << std::endl;
        return {};
    }

    // The first attempt decides whether there is a daemon at all.
    void started(const control::ReloadStatus& status) {
        if (!status.last_success) {
            exit_code_ = exit_code::bad_input;
            io_.stop();
            return;
        }
        for (const auto& listening : gateway_.listening())
            out_ << "listening " << listening.address.text() << (listening.udp ? "/UDP " : "/TCP ")
                 << listening.what << "\n";
        out_ << "ready" << std::endl;
    }

    void wait_for_signal() {
        signals_.async_wait([this](boost::system::error_code failed, int signal) {
            if (failed) return;
            on_signal(signal);
            wait_for_signal();
        });
    }

    void on_signal(int signal) {
        if (signal == SIGUSR1) {
            warn_if(log_->reopen(), "the log was not opened anew");
            gateway_.reopen_logs();
            return;
        }
        if (signal == SIGHUP) {
            sources_.reload("SIGHUP");
            return;
        }
        if (draining_ || !gateway_.current()) {
            log_->info("signal " + std::to_string(signal) + ": stopping at once");
            io_.stop();
            return;
        }
        log_->info("signal " + std::to_string(signal) + ": draining");
        draining_ = true;
        plane_.stop_vips();  // new clients are another node's
        api_.set_draining();
        sources_.stop();
        gateway_.drain(std::min(command_.drain_spread, command_.drain_timeout), command_.drain_timeout);
        give_up_ = std::chrono::steady_clock::now() + command_.drain_timeout + std::chrono::seconds(2);
        wait_for_drain();
    }

    void wait_for_drain() {
        const bool late = std::chrono::steady_clock::now() >= give_up_;
        if (gateway_.drained() || late) {
            log_->info(late ? "drain: out of time" : "drained");
            io_.stop();
            return;
        }
        drain_timer_.expires_after(std::chrono::milliseconds(20));
        drain_timer_.async_wait([this](boost::system::error_code failed) {
            if (!failed) wait_for_drain();
        });
    }

    const RunCommand& command_;
    std::shared_ptr<control::Log> log_;
    std::ostream& out_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    asio::steady_timer drain_timer_;
    std::unique_ptr<splice::Plane> kernel_;  // outlives the gateway, whose relays use it
    gateway::Gateway gateway_;
    GatewayPlane plane_;
    Builder builder_;
    control::Sources sources_;
    control::AddressWatch addresses_;
    control::Api api_;
    std::optional<control::AdminServer> admin_;
    std::chrono::steady_clock::time_point give_up_;
    bool draining_ = false;
    int exit_code_ = exit_code::good;
};

}  // namespace

int run(const RunCommand& command, std::ostream& out, std::ostream& err) {
    auto log = control::Log::open({command.log_json, command.log_level, command.log_file});
    if (!log) {
        err << "hawser: " << log.error().text() << "\n";
        return exit_code::bad_input;
    }
    raise_descriptor_limit(**log);
    return Daemon(command, *log, out).run();
}

int remove_splice(const SpliceRemoveCommand& command, std::ostream& out, std::ostream& err) {
    const auto removed = splice::Program::remove(command.directory);
    if (!removed) {
        err << "hawser: " << removed.error().text() << "\n";
        return exit_code::bad_input;
    }
    out << (*removed ? "removed programs and tables in " : "nothing there: ") << command.directory << "\n";
    return exit_code::good;
}

}  // namespace hawser::app
