// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <set>
#include <thread>

#include "gateway/worker.h"
#include "net/listen.h"

namespace hawser::gateway {

namespace http = catalog::http;

namespace {

constexpr std::size_t own_descriptors = 64;  // logs, loops, the admin server

// Two descriptors for a client that is served; what the process may open decides.
std::size_t connections_that_fit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 0;
    return limit.rlim_cur > 2 * own_descriptors ? (limit.rlim_cur - own_descriptors) / 2 : 1;
}

// One socket per worker to be bound.
struct Bind {
    net::SocketAddress address;
    net::ListenOptions options;
    Purpose purpose;
    std::string what;  // frontend id, or "http"
    catalog::Position position;
};
using Binds = std::map<std::string, Bind>;  // by everything that makes one socket differ from another

std::string bind_key(const Bind& bind) {
    std::string key = bind.address.text() + (bind.options.udp ? "/UDP" : "/TCP");
    key += bind.purpose.http ? " http " + std::to_string(bind.options.backlog) : " l4";
    if (bind.options.drop_everything) key += " drop";
    for (const net::Cidr& range : bind.options.source_ranges) key += " " + range.text();
    return key;
}

bool has_endpoints(const std::shared_ptr<const catalog::EndpointGroup>& group) {
    return group && !group->endpoints.empty();
}

// What lies in a range of both.
std::vector<net::Cidr> common_of(const std::vector<net::Cidr>& some, const std::vector<net::Cidr>& others) {
    std::vector<net::Cidr> out;
    for (const net::Cidr& a : some) {
        for (const net::Cidr& b : others) {
            if (a.bits <= b.bits && a.contains(b.network))
                out.push_back(b);
            else if (b.contains(a.network))
                out.push_back(a);
        }
    }
    return out;
}

void add_frontend(Binds& binds, const std::shared_ptr<const catalog::Snapshot>& snapshot,
                  const catalog::Frontend& frontend, const Options& options) {
    if (frontend.kind == catalog::FrontendKind::cluster_ip || frontend.protocol == catalog::Protocol::sctp)
        return;
    Bind bind;
    bind.address = frontend.address;
    bind.options.udp = frontend.protocol == catalog::Protocol::udp;
    bind.options.source_ranges = frontend.source_ranges;
    // S-17: where the node may enter, so may what it sends by the load balancer's address itself.
    const auto holds_node = [&](const net::Cidr& range) {
        const auto& own = snapshot->node_addresses;
        return std::any_of(own.begin(), own.end(),
                           [&](const net::IpAddress& ip) { return range.contains(ip); });
    };
    if (std::any_of(frontend.source_ranges.begin(), frontend.source_ranges.end(), holds_node))
        bind.options.source_ranges.push_back(*net::Cidr::parse(frontend.address.ip.text()));
    bind.purpose.frontend = std::shared_ptr<const catalog::Frontend>(snapshot, &frontend);
    bind.what = frontend.id;
    if (!has_endpoints(frontend.group)) {
        // Reject (P-06): nothing listens, and the kernel answers RST or "port unreachable".
        if (frontend.when_empty == catalog::Frontend::WhenEmpty::reject) return;
        // Drop (P-03): silence for those outside; clients of this node and its pods may still have endpoints
        // (P-04).
        bind.options.drop_everything = !has_endpoints(frontend.cluster_group);
        std::vector<net::Cidr> inside = options.pod_cidrs;
        for (const net::IpAddress& address : snapshot->node_addresses)
            inside.push_back(*net::Cidr::parse(address.text()));
        if (!frontend.address.ip.is_unspecified())
            inside.push_back(*net::Cidr::parse(frontend.address.ip.text()));
        bind.options.source_ranges =
            frontend.source_ranges.empty() ? inside : common_of(inside, bind.options.source_ranges);
        if (bind.options.source_ranges.empty()) bind.options.drop_everything = true;
    }
    const std::string key = bind_key(bind);
    binds.emplace(key, std::move(bind));
}

Binds binds_of(const std::shared_ptr<const catalog::Snapshot>& snapshot, const Options& options) {
    Binds binds;
    for (const http::Listener& listener : snapshot->listeners) {
        Bind bind;
        bind.address = listener.address;
        bind.options.backlog = listener.backlog;
        bind.purpose.http = std::make_shared<HttpRules>(snapshot, listener);
        bind.what = "http";
        bind.position = listener.position;
        const std::string key = bind_key(bind);
        binds.emplace(key, std::move(bind));
    }
    for (const catalog::Frontend& frontend : snapshot->frontends)
        add_frontend(binds, snapshot, frontend, options);
    return binds;
}

void collect_paths(const http::Settings& settings, std::map<std::string, bool>& paths) {
    for (const http::AccessLog& log : settings.access_logs) paths[log.path] = true;
}

void collect_paths(const http::Location& location, std::map<std::string, bool>& paths) {
    collect_paths(*location.settings, paths);
    for (const auto& nested : location.nested) collect_paths(*nested, paths);
}

void collect_groups(const http::Location& location, std::set<std::string>& ids) {
    if (location.proxy && location.proxy->group) ids.insert(location.proxy->group->id);
    for (const auto& nested : location.nested) collect_groups(*nested, ids);
}

std::set<std::string> group_ids_of(const catalog::Snapshot& snapshot) {
    std::set<std::string> ids;
    for (const catalog::Frontend& frontend : snapshot.frontends)
        for (const auto& group : {frontend.group, frontend.cluster_group})
            if (group) ids.insert(group->id);
    for (const http::Listener& listener : snapshot.listeners) {
        for (const auto& server : listener.servers) {
            for (const auto& location : server->locations) collect_groups(*location, ids);
            if (!server->groups) continue;
            for (const auto& [name, group] : *server->groups) ids.insert(group->id);
        }
    }
    return ids;
}

std::map<std::string, bool> log_paths_of(const catalog::Snapshot& snapshot) {
    std::map<std::string, bool> paths;
    for (const http::Listener& listener : snapshot.listeners) {
        for (const auto& server : listener.servers) {
            collect_paths(*server->settings, paths);
            for (const auto& location : server->locations) collect_paths(*location, paths);
        }
    }
    return paths;
}

}  // namespace

namespace {
bool same_port(const Bind& a, const Bind& b) {
    return a.address.port == b.address.port && a.options.udp == b.options.udp;
}

// Whether one of these keys is about to listen on the port of `bind`, at some address.
bool has_port(const std::map<std::string, std::vector<net::Fd>>& keys, const Binds& binds, const Bind& bind) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const auto& item) { return same_port(binds.at(item.first), bind); });
}
}  // namespace

struct Gateway::Impl {
    Shared shared;
    std::vector<std::unique_ptr<Worker>> workers;
    bool started = false;
    std::shared_ptr<const catalog::Snapshot> current;
    std::shared_ptr<const LogFiles> logs = std::make_shared<LogFiles>();
    std::map<std::string, Listening> listening;  // by bind key

    Impl(Options options, std::shared_ptr<LogSink> log) : shared(std::move(options), std::move(log)) {
        for (unsigned i = 0; i < shared.options.workers; ++i)
            workers.push_back(std::make_unique<Worker>(shared, i, shared.options.workers));
    }

    // Runs `work` on a worker's thread and waits for its result.
    template <class Work>
    auto ask(Worker& worker, Work work) {
        using Result = decltype(work(worker));
        if (!started) return work(worker);
        auto promise = std::make_shared<std::promise<Result>>();
        auto answer = promise->get_future();
        worker.loop().post([promise, work = std::move(work), &worker] {
            if constexpr (std::is_void_v<Result>) {
                work(worker);
                promise->set_value();
            } else {
                promise->set_value(work(worker));
            }
        });
        return answer.get();
    }

    [[nodiscard]] bool listens_on(const Bind& bind) const {
        return std::any_of(listening.begin(), listening.end(), [&](const auto& item) {
            return item.second.address.port == bind.address.port && item.second.udp == bind.options.udp;
        });
    }

    std::shared_ptr<const LogFiles> open_logs(const catalog::Snapshot& snapshot, bool anew,
                                              catalog::Diagnostics& diagnostics) const {
        auto files = std::make_shared<LogFiles>();
        for (const auto& [path, needed] : log_paths_of(snapshot)) {
            const auto open = logs->find(path);
            if (!anew && open != logs->end()) {
                files->emplace(path, open->second);
                continue;
            }
            auto file = LogFile::open(path);
            if (file)
                files->emplace(path, std::move(*file));
            else
                diagnostics.error({}, "access_log: " + file.error().text());
        }
        return files;
    }
};

Gateway::Gateway(Options options, std::shared_ptr<LogSink> log) {
    if (options.workers == 0) options.workers = std::max(1U, std::thread::hardware_concurrency());
    if (options.limits.max_connections == 0) {
        options.limits.max_connections = connections_that_fit();
        options.limits.count_spliced = options.limits.max_connections_per_client != 0;
    }
    impl_ = std::make_unique<Impl>(std::move(options), std::move(log));
}

Gateway::~Gateway() { stop(); }

void Gateway::start() {
    if (impl_->started) return;
    impl_->started = true;
    for (auto& worker : impl_->workers) worker->start_thread();
    if (const auto& watch = impl_->shared.options.splicing.watch_listener_mss)
        watch([this] {
            for (auto& worker : impl_->workers) worker->loop().post([&worker] { worker->follow_mss(); });
        });
}

void Gateway::stop() {
    if (!impl_->started) return;
    impl_->started = false;
    if (const auto& watch = impl_->shared.options.splicing.watch_listener_mss) watch({});
    for (auto& worker : impl_->workers) worker->stop_thread();
}

catalog::Diagnostics Gateway::apply(std::shared_ptr<const catalog::Snapshot> snapshot) {
    catalog::Diagnostics diagnostics;
    Binds binds = binds_of(snapshot, impl_->shared.options);
    auto logs = impl_->open_logs(*snapshot, false, diagnostics);

    const auto count = static_cast<unsigned>(impl_->workers.size());
    std::map<std::string, std::vector<net::Fd>> opened;
    std::map<std::string, Listening> listening;
    for (const auto& [key, bind] : binds) {
        if (const auto open = impl_->listening.find(key); open != impl_->listening.end()) {
            listening.emplace(key, Listening{bind.what, open->second.address, bind.options.udp});
            continue;
        }
        // The first socket decides the port when it is 0.
        net::ListenOptions options = bind.options;
        options.must_be_free = !has_port(opened, binds, bind) && !impl_->listens_on(bind);
        auto sockets = net::open_listeners(bind.address, 1, options);
        if (sockets && count > 1) {
            const auto bound = net::local_address(sockets->front().get());
            auto more = net::open_listeners({bind.address.ip, bound.port}, count - 1, bind.options);
            if (more)
                for (net::Fd& fd : *more) sockets->push_back(std::move(fd));
            else
                sockets = more.error();
        }
        if (!sockets) {
            diagnostics.error(bind.position, bind.what + ": " + sockets.error().text());
            continue;
        }
        const auto bound = net::local_address(sockets->front().get());
        listening.emplace(key, Listening{bind.what, {bind.address.ip, bound.port}, bind.options.udp});
        opened.emplace(key, std::move(*sockets));
    }
    if (diagnostics.has_errors()) return diagnostics;

    const auto groups = std::make_shared<const std::set<std::string>>(group_ids_of(*snapshot));
    for (unsigned i = 0; i < count; ++i) {
        auto change = std::make_shared<Worker::Change>();
        change->logs = logs;
        change->node_addresses = snapshot->node_addresses;
        change->groups = groups;
        for (const auto& [key, bind] : binds) change->purposes.emplace(key, bind.purpose);
        for (auto& [key, sockets] : opened) change->opened.emplace(key, std::move(sockets[i]));
        impl_->ask(*impl_->workers[i], [change](Worker& worker) { worker.apply(std::move(*change)); });
    }
    impl_->listening = std::move(listening);
    impl_->logs = std::move(logs);
    impl_->current = std::move(snapshot);
    return diagnostics;
}

std::shared_ptr<const catalog::Snapshot> Gateway::current() const { return impl_->current; }

std::vector<tunnel::Tunnel> Gateway::tunnels() const {
    std::vector<tunnel::Tunnel> out;
    for (auto& worker : impl_->workers) {
        auto part = impl_->ask(*worker, [](Worker& w) {
            std::vector<tunnel::Tunnel> list;
            list.reserve(w.tunnels().size());
            w.tunnels().each([&list](tunnel::Relay& relay) { list.push_back(relay.snapshot()); });
            return list;
        });
        std::move(part.begin(), part.end(), std::back_inserter(out));
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return out;
}

Stats Gateway::stats() const {
    Stats out;
    for (auto& worker : impl_->workers)
        out.add(impl_->ask(*worker, [](Worker& w) { return w.collect_stats(); }));
    return out;
}

bool Gateway::kill_tunnel(std::uint64_t id) {
    return std::any_of(impl_->workers.begin(), impl_->workers.end(), [&](auto& worker) {
        return impl_->ask(*worker, [id](Worker& w) { return w.tunnels().kill(id); });
    });
}

void Gateway::reopen_logs() {
    if (!impl_->current) return;
    catalog::Diagnostics diagnostics;
    auto logs = impl_->open_logs(*impl_->current, true, diagnostics);
    if (diagnostics.has_errors()) {
        impl_->shared.log->write(LogLevel::error, "the access logs were not reopened: " + diagnostics.text());
        return;
    }
    for (auto& worker : impl_->workers) impl_->ask(*worker, [logs](Worker& w) { w.logs().use(logs); });
    impl_->logs = std::move(logs);
}

void Gateway::drain(std::chrono::milliseconds spread, std::chrono::milliseconds grace) {
    for (auto& worker : impl_->workers)
        impl_->ask(*worker, [spread, grace](Worker& w) { w.drain(spread, grace); });
    impl_->listening.clear();
}

bool Gateway::drained() const {
    return std::all_of(impl_->workers.begin(), impl_->workers.end(), [&](auto& worker) {
        return impl_->ask(*worker, [](Worker& w) { return w.draining() && w.is_idle(); });
    });
}

std::vector<Gateway::Listening> Gateway::listening() const {
    std::vector<Listening> out;
    out.reserve(impl_->listening.size());
    for (const auto& [key, value] : impl_->listening) out.push_back(value);
    return out;
}

}  // namespace hawser::gateway
