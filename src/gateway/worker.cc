// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker.h"

#include <algorithm>
#include <cstring>

#include "gateway/acceptor.h"
#include "gateway/http_connection.h"
#include "gateway/tcp_service.h"
#include "gateway/udp_service.h"

namespace hawser::gateway {

bool Worker::is_inside(const net::IpAddress& client, const net::IpAddress& asked) const {
    const auto& pods = shared_.options.pod_cidrs;
    return client.is_loopback() || client == asked ||
           std::find(node_addresses_.begin(), node_addresses_.end(), client) != node_addresses_.end() ||
           std::any_of(pods.begin(), pods.end(), [&](const net::Cidr& c) { return c.contains(client); });
}

Worker::Worker(Shared& shared, unsigned index, unsigned count)
    : shared_(shared),
      index_(index),
      tunnels_(loop_, index, count, shared.options.splicing.first_tunnel_id, shared.options.splicing.splicer),
      pool_(loop_) {
    loop_.at_turn_end([this] { logs_.flush(); });
}

Worker::~Worker() {
    stop_thread();
    // The coroutines wait on sockets, and end when these do.
    acceptors_.clear();
    udp_services_.clear();
    pool_.clear();
    tunnels_.each([](tunnel::Relay& relay) { relay.kill(tunnel::CloseReason::drained); });
    cut_connections();
    for (int i = 0; i < 100 && (!is_idle() || i < 2); ++i) loop_.turn(net::Duration{1});
}

void Worker::start_thread() {
    thread_ = std::thread([this] { loop_.run(); });
}

void Worker::stop_thread() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
}

void Worker::apply(Change change) {
    logs_.use(change.logs);
    node_addresses_ = std::move(change.node_addresses);
    const auto is_gone = [&](const auto& item) { return !change.purposes.contains(item.first); };
    std::erase_if(acceptors_, is_gone);
    std::erase_if(udp_services_, is_gone);
    for (auto& [key, purpose] : change.purposes) {
        const auto opened = change.opened.find(key);
        const bool udp = purpose.frontend && purpose.frontend->protocol == catalog::Protocol::udp;
        if (opened == change.opened.end()) {
            if (udp) {
                if (const auto at = udp_services_.find(key); at != udp_services_.end())
                    at->second->set_frontend(purpose.frontend);
            } else if (const auto at = acceptors_.find(key); at != acceptors_.end()) {
                at->second->set_purpose(std::move(purpose));
            }
            continue;
        }
        net::Result<void> result;
        if (udp) {
            auto service = std::make_unique<UdpService>(*this, std::move(opened->second), purpose.frontend);
            result = service->open();
            udp_services_[key] = std::move(service);
        } else {
            auto acceptor = std::make_unique<Acceptor>(*this, std::move(opened->second),
                                                       std::make_shared<Purpose>(std::move(purpose)));
            result = acceptor->open();
            acceptors_[key] = std::move(acceptor);
        }
        if (!result) log(LogLevel::error, "watch " + key + ": " + result.error().text());
    }
    std::erase_if(pickers_, [&](const auto& item) { return !change.groups->contains(item.first); });
    end_idle_connections();
}

void Worker::end_idle_connections() {
    for (auto at = connections_.begin(); at != connections_.end();) {
        ServedConnection& connection = *at++;
        if (draining_ || connection.is_orphaned()) connection.end_if_idle();
    }
}

void Worker::cut_connections() {
    for (auto at = connections_.begin(); at != connections_.end();) {
        ServedConnection& connection = *at++;
        connection.cut();
    }
}

std::shared_ptr<balance::Picker> Worker::picker(const std::shared_ptr<const catalog::EndpointGroup>& group) {
    std::shared_ptr<balance::Picker>& slot = pickers_[group->id];
    if (slot && slot->group_pointer() == group) return slot;
    const bool is_first = !slot;
    slot = std::make_shared<balance::Picker>(group, &shared_.affinity, 0x9E3779B97F4A7C15ULL * (index_ + 1),
                                             slot.get());
    // Each worker begins its round at another endpoint, or the first clients would all meet at one.
    if (is_first && group->balancing.scheduler == catalog::Scheduler::rr &&
        !group->balancing.affinity_timeout) {
        for (unsigned i = 0; i < index_; ++i) {
            balance::Tried none;
            const balance::PickRequest nobody{{}, {}, {}, loop_.now()};
            if (const auto index = slot->pick(nobody, none)) slot->succeeded(*index, nobody);
        }
    }
    return slot;
}

void Worker::add(ServedConnection& connection) {
    connections_.push_back(connection);
    ++connection_count_;
}

void Worker::remove(ServedConnection& connection) {
    connections_.erase(connections_.iterator_to(connection));
    --connection_count_;
}

bool Worker::is_idle() const { return connection_count_ == 0 && tunnels_.size() == 0; }

namespace {

// A worker says no politely to so many clients at a time; the others get RST. Or those who are refused would
// take the descriptors that those who are served need.
constexpr std::size_t most_turned_away = 256;

struct Counted {
    std::size_t& count;
    explicit Counted(std::size_t& c) : count(c) { ++count; }
    ~Counted() { --count; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
};

net::Task<void> turn_away(Worker& worker, net::Fd fd, net::SocketAddress peer, PurposeSlot purpose,
                          std::uint16_t status, std::size_t& count) {
    const Counted counted(count);
    HttpConnection connection(worker, std::move(fd), peer, std::move(purpose), {});
    co_await connection.turn_away(status);
}

// The connection lives in the coroutine's frame.
net::Task<void> serve_http(Worker& worker, net::Fd fd, net::SocketAddress peer, PurposeSlot purpose,
                           Admission::Pass pass) {
    HttpConnection connection(worker, std::move(fd), peer, std::move(purpose), std::move(pass));
    co_await connection.run();
}

}  // namespace

void Worker::accepted(net::Fd fd, const net::SocketAddress& peer, const PurposeSlot& purpose) {
    ++stats_.accepted;
    auto decision = shared_.admission.enter(peer.ip, loop_.now());
    if (decision.refusal) ++stats_.refused[std::string(to_string(*decision.refusal))];
    const auto on_bug = [this](const std::exception_ptr& exception) {
        try {
            std::rethrow_exception(exception);
        } catch (const std::exception& e) {
            log(LogLevel::error, std::string("a connection ended by an exception: ") + e.what());
        }
    };
    if (decision.refusal) {
        if (!purpose->http || turning_away_ >= most_turned_away) {
            net::set_reset_on_close(fd.get());
            return;
        }
        const std::uint16_t status = *decision.refusal == Admission::Refusal::max_connections ? 503 : 429;
        net::spawn(turn_away(*this, std::move(fd), peer, purpose, status, turning_away_), on_bug);
        return;
    }
    if (purpose->http) {
        net::spawn(serve_http(*this, std::move(fd), peer, purpose, std::move(decision.pass)), on_bug);
        return;
    }
    net::spawn(serve_tcp(*this, std::move(fd), peer, purpose, std::move(decision.pass)), on_bug);
}

void Worker::log(LogLevel level, std::string_view line) const {
    const auto is_plain = [](char c) { return c >= ' ' && c < 0x7f; };
    if (std::all_of(line.begin(), line.end(), is_plain)) return shared_.log->write(level, line);
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : line) {
        if (is_plain(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    shared_.log->write(level, out);
}

void Worker::out_of_descriptors(int error) {
    if (short_of_descriptors_) return;
    short_of_descriptors_ = true;
    log(LogLevel::error, std::string("cannot accept: ") + std::strerror(error) +
                             "; new clients wait in the kernel's queue until descriptors are free");
}

void Worker::descriptors_are_back() {
    if (!short_of_descriptors_) return;
    short_of_descriptors_ = false;
    log(LogLevel::info, "accepting again");
}

void Worker::TunnelEnd::ended(const tunnel::Tunnel& tunnel) {
    worker_.count_end(tunnel, worker_.stats_.services[tunnel.service]);
    if (worker_.wants_log(LogLevel::info)) worker_.log(LogLevel::info, tunnel::log_line(tunnel, "close"));
}

void Worker::open_tunnel(tunnel::Tunnel tunnel, tunnel::Relay::Ends ends, Admission::Pass pass,
                         std::unique_ptr<TunnelEnd> end) {
    if (!tunnel.may_splice)
        tunnel.splice = "off";
    else if (shared_.options.splicing.splicer == nullptr)
        tunnel.splice = shared_.options.splicing.why_not;
    if (shared_.options.limits.count_spliced)
        end->pass_ = std::move(pass);
    else
        ends.companion = std::make_shared<Admission::Pass>(std::move(pass));
    Stats::PerService& service = stats_.services[tunnel.service];
    ++service.tunnels_active;
    ++service.tunnels_opened;
    auto& relay = tunnels_.add(std::move(tunnel), std::move(ends), std::move(end));
    if (wants_log(LogLevel::info)) log(LogLevel::info, tunnel::log_line(relay.snapshot(), "open"));
    if (draining_) relay.drain(1001, "going away", net::Duration{5'000});
}

void Worker::count_end(const tunnel::Tunnel& t, Stats::PerService& service) {
    --service.tunnels_active;
    service.bytes_in += t.from_client.bytes;
    service.bytes_out += t.from_endpoint.bytes;
    service.frames_in += t.from_client.frames;
    service.frames_out += t.from_endpoint.frames;
    const double seconds = static_cast<double>(t.duration.count()) / 1000.0;
    const auto bucket = std::lower_bound(duration_bounds.begin(), duration_bounds.end(), seconds);
    ++service.durations[static_cast<std::size_t>(bucket - duration_bounds.begin())];
    service.duration_sum += seconds;
    const auto code =
        t.closed_by == tunnel::Side::endpoint ? t.from_endpoint.close_code : t.from_client.close_code;
    const std::string by(t.closed_by ? tunnel::to_string(*t.closed_by) : "hawser");
    ++stats_.tunnels_closed[{t.service, by, std::string(tunnel::to_string(*t.reason)), code.value_or(0)}];
}

Stats Worker::collect_stats() const {
    Stats out = stats_;
    out.connections = connection_count_;
    out.idle_endpoint_connections = pool_.size();
    for (const auto& [key, service] : udp_services_) out.udp_flows += service->flows();
    const_cast<tunnel::Registry&>(tunnels_).each([&out](tunnel::Relay& relay) {
        const tunnel::Tunnel t = relay.snapshot();
        Stats::PerService& service = out.services[t.service];
        service.bytes_in += t.from_client.bytes;
        service.bytes_out += t.from_endpoint.bytes;
        service.frames_in += t.from_client.frames;
        service.frames_out += t.from_endpoint.frames;
    });
    return out;
}

void Worker::follow_mss() {
    for (auto& [key, acceptor] : acceptors_) acceptor->follow_mss();
}

void Worker::drain(net::Duration spread, net::Duration grace) {
    draining_ = true;
    acceptors_.clear();
    udp_services_.clear();
    pool_.clear();
    end_idle_connections();
    drain_some_tunnels(loop_.now() + spread, grace);
    // Requests that do not come to their end.
    cut_timer_.work = [this] { cut_connections(); };
    loop_.timers().set(cut_timer_, loop_.now() + std::max(spread, grace));
}

void Worker::drain_some_tunnels(net::TimePoint until, net::Duration grace) {
    constexpr net::Duration step{50};
    const auto left = std::chrono::duration_cast<net::Duration>(until - loop_.now());
    const auto steps = static_cast<std::size_t>(std::max<std::int64_t>(1, left.count() / step.count()));
    std::size_t undrained = 0;
    tunnels_.each([&](const tunnel::Relay& relay) { undrained += relay.draining() ? 0 : 1; });
    if (undrained == 0) return;
    std::size_t now = (undrained + steps - 1) / steps;
    tunnels_.each([&](tunnel::Relay& relay) {
        if (relay.draining() || now == 0) return;
        --now;
        relay.drain(1001, "going away", grace);
    });
    drain_timer_.work = [this, until, grace] { drain_some_tunnels(until, grace); };
    loop_.timers().set(drain_timer_, loop_.now() + step);
}

}  // namespace hawser::gateway
