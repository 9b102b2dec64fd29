// SPDX-License-Identifier: Apache-2.0
#include "splice/plane.h"

#include <future>

#include "net/socket.h"
#include "splice/address.h"

namespace hawser::splice {

const char* to_string(layout::counter counter) {
    switch (counter) {
        case layout::counter_forwarded:
            return "forwarded";
        case layout::counter_transit:
            return "transit";
        case layout::counter_rejected:
            return "rejected";
        case layout::counter_dropped_ttl:
            return "dropped_ttl";
        case layout::counter_dropped_route:
            return "dropped_route";
        case layout::counter_dropped_odd:
            return "dropped_odd";
        case layout::counter_dropped_policy:
            return "dropped_policy";
        case layout::counter_dropped_no_port:
            return "dropped_no_port";
        case layout::counter_too_big:
            return "too_big";
        case layout::counter_icmp:
            return "icmp";
        case layout::counter_challenged:
            return "challenged";
        case layout::counter_table_full:
            return "table_full";
        case layout::counter_dropped_unknown:
            return "dropped_unknown";
        case layout::counter_event_lost:
        case layout::counters:
            break;
    }
    return "?";
}

namespace {
constexpr net::Duration housekeeping_period{300'000};

std::uint16_t middle(const Plane::Options& options) {
    return static_cast<std::uint16_t>(options.port_low + (options.port_high - options.port_low) / 2);
}

layout::settings settings_of(const Plane::Options& options) {
    layout::settings settings{};
    settings.port_low = options.port_low;
    settings.port_high = middle(options);
    return settings;
}
}  // namespace

net::Result<std::unique_ptr<Plane>> Plane::open(const Options& options, Callbacks callbacks) {
    auto program = Program::load(options.program);
    if (!program) return program.error();
    std::unique_ptr<Plane> plane(new Plane(options, std::move(callbacks), std::move(*program)));
    if (auto opened = plane->interfaces_.open(); !opened) return opened.error();
    if (auto opened = plane->inventory_.open(); !opened) return opened.error();
    if (plane->program_->fleeting())
        plane->callbacks_.warning(
            "splice: no bpffs was there for " + options.program.directory +
            "; one was mounted in this process's own mount namespace, with which the tables and "
            "the tunnels end (`nsenter --net` keeps the machine's mounts, `ip netns exec` does not)");
    plane->loop_.timers().set(plane->housekeeping_, plane->loop_.now() + housekeeping_period);
    plane->thread_ = std::thread([raw = plane.get()] { raw->loop_.run(); });
    return plane;
}

void Plane::Housekeeping::on_timer() {
    auto needed = plane.services_.names_in_use();
    plane.inventory_.add_names_in_use(needed);
    plane.names_.keep(needed);
    plane.services_.forget_loads();
    if (plane.vips_.is_crowded()) plane.replicas_.forget_unused_places();
    plane.loop_.timers().set(*this, plane.loop_.now() + housekeeping_period);
}

Plane::Plane(const Options& options, Callbacks callbacks, std::unique_ptr<Program> program)
    : callbacks_(std::move(callbacks)),
      program_(std::move(program)),
      names_(program_->tables()),
      vips_(program_->tables(), settings_of(options), options.shares, options.quiet_time),
      interfaces_(loop_, *program_, callbacks_.warning),
      inventory_(loop_, *program_, names_, vips_, callbacks_.tunnels, options.limits),
      replicas_(loop_, *program_, names_, vips_, interfaces_, inventory_),
      services_(program_->tables(), names_, options.services),
      ports_(*program_, static_cast<std::uint16_t>(middle(options) + 1), options.port_high) {
    replicas_.watch_part([this](unsigned part, unsigned parts) { ports_.set_part(part, parts); });
    if (!options.shares) return;
    Inventory::Sharing sharing;
    sharing.begun = [this](const auto& pair, auto id, const auto& record) { replicas_.begun(pair, id, record); };
    sharing.ended = [this](const auto& pair, auto id, const auto& record) { replicas_.ended(pair, id, record); };
    sharing.missed = [this] { replicas_.missed(); };
    inventory_.share(std::move(sharing));
}

Plane::~Plane() { stop(); }

void Plane::stop() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
}

template <class Work>
auto Plane::ask(Work work) {
    std::promise<decltype(work())> promise;
    auto answer = promise.get_future();
    loop_.post([&promise, &work] { promise.set_value(work()); });
    return answer.get();
}

namespace {

// Counts what becomes of a hand-off.
class Counted final : public tunnel::HandOff {
  public:
    Counted(std::unique_ptr<KernelHandOff> inner, std::atomic<std::uint64_t>& handed_off,
            std::atomic<std::uint64_t>& refused)
        : inner_(std::move(inner)), handed_off_(handed_off), refused_(refused) {}
    Step advance(const Relayed& relayed) override {
        const Step step = inner_->advance(relayed);
        if (step == Step::spliced) handed_off_.fetch_add(1, std::memory_order_relaxed);
        if (step == Step::refused) refused_.fetch_add(1, std::memory_order_relaxed);
        return step;
    }
    [[nodiscard]] const char* why_not() const override { return inner_->why_not(); }
    [[nodiscard]] bool can_turn_back() const override { return inner_->can_turn_back(); }
    [[nodiscard]] bool is_spliced() const override { return inner_->is_spliced(); }
    void close() override { inner_->close(); }
    bool end(tunnel::CloseReason reason, std::optional<tunnel::Side> by) override {
        return inner_->end(reason, by);
    }

  private:
    std::unique_ptr<KernelHandOff> inner_;
    std::atomic<std::uint64_t>& handed_off_;
    std::atomic<std::uint64_t>& refused_;
};

}  // namespace

std::unique_ptr<tunnel::HandOff> Plane::begin(const tunnel::Tunnel& tunnel, int client, int endpoint,
                                              const char*& why_not) {
    auto made = KernelHandOff::begin({*program_, inventory_, interfaces_, names_, ports_, smallest_mss_,
                                      vips_},
                                     tunnel, client, endpoint, why_not);
    if (made) return std::make_unique<Counted>(std::move(made), handed_off_, refused_);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
}

net::Result<net::Fd> Plane::connect(const net::SocketAddress& to, int client) {
    const auto facts = facts_of(client);
    const net::IpAddress asked = net::local_address(client).ip;
    return ports_.connect(to, facts ? static_cast<int>(facts->send_mss) : 0, vips_.find(asked).here ? &asked : nullptr);
}

void Plane::take_over(std::uint64_t id, tunnel::Home& home, std::unique_ptr<tunnel::Epilogue> epilogue) {
    inventory_.take_over(id, home, std::move(epilogue));
}

std::unique_ptr<tunnel::Epilogue> Plane::give_back(std::uint64_t id) { return inventory_.give_back(id); }

catalog::Diagnostics Plane::apply(std::shared_ptr<const catalog::Snapshot> snapshot) {
    const auto result = ask([&] {
        auto applied = services_.apply(snapshot);
        interfaces_.serve_node(services_.frontends() != 0);
        if (applied.udp_changed)
            inventory_.drop_udp([this](std::uint64_t service, std::uint64_t endpoint) {
                return services_.is_gone(service, endpoint);
            });
        return applied;
    });
    program_micros_ = static_cast<std::uint64_t>(result.took.count());
    written_ += result.written;
    ++programmed_;
    return result.diagnostics;
}

Plane::Stats Plane::stats() const {
    Stats out;
    out.tunnels = inventory_.counts();
    out.handed_off = handed_off_;
    out.refused = refused_;
    for (unsigned i = 0; i < layout::counters; ++i)
        out.counts[i] = program_->count(static_cast<layout::counter>(i));
    out.program_seconds = static_cast<double>(program_micros_.load()) / 1e6;
    out.programmed = programmed_;
    out.written = written_;
    return out;
}

}  // namespace hawser::splice
