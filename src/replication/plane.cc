// SPDX-License-Identifier: Apache-2.0
#include "replication/plane.h"

#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "net/listen.h"
#include "net/socket.h"
#include "replication/session.h"

namespace hawser::replication {

namespace {

constexpr std::size_t most_peers = 64, most_strangers = 16;
constexpr auto dial_check = std::chrono::milliseconds(50);
constexpr auto goodbye = std::chrono::milliseconds(500);
constexpr auto refusals_quiet = std::chrono::seconds(10);  // between two lines about strangers

}  // namespace

// All of it happens on the loop's thread.
class Plane::Peers final : private Channel::Owner, private splice::SharedTunnels::Listener, private net::Timer {
  public:
    Peers(net::Loop& loop, const Options& options, const Key& key, splice::SharedTunnels& tunnels, const Callbacks& callbacks)
        : loop_(loop),
          options_(options),
          key_(key),
          tunnels_(tunnels),
          callbacks_(callbacks),
          world_{loop, tunnels, [this] { publish(); }, options.most_unapplied},
          random_(static_cast<std::uint32_t>(tunnels.origin())) {}

    net::Result<void> listen();
    void begin();
    void meet(const net::SocketAddress& address);
    [[nodiscard]] Status status() const;
    [[nodiscard]] bool has_said_everything() const;
    [[nodiscard]] bool has_all_of(const net::IpAddress& ip) const;  // any thread
    void end();  // no session after it
    splice::SharedTunnels::Listener& listener() { return *this; }

  private:
    struct Door : net::EventHandler {
        Door(Peers& owner, net::Fd socket) : peers(owner), fd(std::move(socket)) {}
        void on_events(std::uint32_t) override { peers.accept(*this); }
        Peers& peers;
        net::Fd fd;
    };
    // Another node: what is known of it, connected or not.
    struct Peer {
        net::SocketAddress address;
        std::uint64_t node = 0;  // 0: it never said
        std::string name, why_not = "not tried yet";
        Channel* dialing = nullptr;
        net::TimePoint next, tried;
        std::chrono::milliseconds wait{0};
        std::unique_ptr<Session> session;
        std::chrono::system_clock::time_point since;
        Session::Counters counters;  // of earlier sessions
        net::TimePoint met;
    };
    void accept(Door& door);
    void on_open(Channel& channel) override;
    void on_message(Channel& channel, Message message) override;
    void on_drained(Channel& channel) override;
    void on_closed(Channel& channel, const net::Error& failure) override;
    void on_carried(const splice::Carried& tunnel) override { tell(tunnel); }
    void on_gone(const splice::Gone& tunnel) override { tell(tunnel); }
    void on_missed() override;
    void on_vips_changed() override;
    void on_timer() override;
    template <class News>
    void tell(const News& news);
    [[nodiscard]] Hello own_hello() const;
    void greet(Channel& channel, const Hello& hello);
    void choose_part();
    void dial(Peer& peer);
    void retry(Peer& peer);
    void lose(Peer& peer, const std::string& why);
    void drop(Channel& channel);
    void publish();
    [[nodiscard]] Peer* peer_of(const Channel& channel);
    [[nodiscard]] bool is_reached(const Peer& peer) const;  // by another address, or it is this node
    [[nodiscard]] Peer* peer_at(const net::IpAddress& ip);
    Peer& add(const net::SocketAddress& address);
    void log(bool warning, const std::string& line) { callbacks_.log(warning, "replication: " + line); }
    void refuse(const Channel& channel, const std::string& why);

    net::Loop& loop_;
    const Options& options_;
    const Key& key_;
    splice::SharedTunnels& tunnels_;
    const Callbacks& callbacks_;
    Session::World world_;
    std::minstd_rand random_;
    std::vector<std::unique_ptr<Door>> doors_;
    std::map<Channel*, std::unique_ptr<Channel>> channels_;
    std::vector<std::unique_ptr<Peer>> peers_;
    unsigned part_ = 0;
    std::uint64_t refused_ = 0;
    net::TimePoint refused_said_, beaten_;
    bool ending_ = false;
    mutable std::mutex mutex_;  // of what follows
    std::map<net::IpAddress, bool> has_all_;  // of nodes that are connected
};

// For other threads.
void Plane::Peers::publish() {
    std::map<net::IpAddress, bool> now;
    for (const auto& peer : peers_) {
        if (!peer->session) continue;
        now[peer->address.ip] = peer->session->has_all();
        now[peer->session->channel().peer().ip] = peer->session->has_all();
    }
    const std::lock_guard guard(mutex_);
    has_all_ = std::move(now);
}

bool Plane::Peers::has_all_of(const net::IpAddress& ip) const {
    const std::lock_guard guard(mutex_);
    if (ip.is_link_local())
        return !has_all_.empty() &&
               std::all_of(has_all_.begin(), has_all_.end(), [](const auto& each) { return each.second; });
    const auto at = has_all_.find(ip);
    return at != has_all_.end() && at->second;
}

// ---- connections ----

net::Result<void> Plane::Peers::listen() {
    net::Error failure;
    net::ListenOptions how;
    how.backlog = 64;
    for (const auto& address : options_.listen) {
        auto opened = net::open_listeners(address, 1, how);
        if (!opened) {
            failure = opened.error();
            continue;  // a machine without IPv6, say
        }
        auto door = std::make_unique<Door>(*this, std::move(opened->front()));
        if (auto watched = loop_.watch(door->fd.get(), *door, EPOLLIN); !watched) return watched.error();
        doors_.push_back(std::move(door));
    }
    if (doors_.empty()) return failure;
    return {};
}

void Plane::Peers::begin() {
    part_ = static_cast<unsigned>(tunnels_.origin() % options_.parts);
    tunnels_.set_part(part_, options_.parts);
    for (const auto& address : options_.peers) meet(address);
    on_timer();
}

void Plane::Peers::accept(Door& door) {
    for (;;) {
        net::Fd fd(::accept4(door.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd.valid()) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            if (errno == EINTR || errno == ECONNABORTED) continue;
            return;  // out of descriptors: the next connection brings the others too
        }
        const auto strangers = static_cast<std::size_t>(std::count_if(
            channels_.begin(), channels_.end(), [this](const auto& each) { return peer_of(*each.first) == nullptr; }));
        if (ending_ || strangers >= most_strangers) {
            ++refused_;
            continue;
        }
        auto channel = Channel::accept(loop_, key_, std::move(fd), options_.limits, *this);
        Channel* const raw = channel.get();
        channels_[raw] = std::move(channel);
    }
}

void Plane::Peers::meet(const net::SocketAddress& address) {
    if (Peer* known = peer_at(address.ip)) {
        // It is there: no need to wait any longer.
        known->met = loop_.now();
        known->next = std::min(known->next, known->tried + options_.first_retry);
        return;
    }
    if (peers_.size() < most_peers) {
        add(address);
        return;
    }
    // The one that was heard of longest ago makes room.
    const auto oldest = std::min_element(peers_.begin(), peers_.end(), [](const auto& a, const auto& b) {
        return std::pair(a->session != nullptr, a->met) < std::pair(b->session != nullptr, b->met);
    });
    if ((*oldest)->session || (*oldest)->dialing != nullptr) return;
    peers_.erase(oldest);
    add(address);
}

Plane::Peers::Peer& Plane::Peers::add(const net::SocketAddress& address) {
    auto& peer = *peers_.emplace_back(std::make_unique<Peer>());
    peer.address = address;
    peer.next = peer.met = loop_.now();
    return peer;
}

Plane::Peers::Peer* Plane::Peers::peer_at(const net::IpAddress& ip) {
    const auto at =
        std::find_if(peers_.begin(), peers_.end(), [&](const auto& peer) { return peer->address.ip == ip; });
    return at == peers_.end() ? nullptr : at->get();
}

Plane::Peers::Peer* Plane::Peers::peer_of(const Channel& channel) {
    const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const auto& peer) {
        return peer->dialing == &channel || (peer->session && &peer->session->channel() == &channel);
    });
    return at == peers_.end() ? nullptr : at->get();
}

void Plane::Peers::dial(Peer& peer) {
    auto channel = Channel::connect(loop_, key_, peer.address, options_.limits, *this);
    peer.tried = loop_.now();
    peer.dialing = channel.get();
    channels_[peer.dialing] = std::move(channel);
}

bool Plane::Peers::is_reached(const Peer& peer) const {
    if (peer.node == 0) return false;
    return peer.node == tunnels_.origin() || std::any_of(peers_.begin(), peers_.end(), [&](const auto& other) {
               return other->session && other->session->other().node == peer.node;
           });
}

void Plane::Peers::retry(Peer& peer) {
    peer.wait = std::clamp(peer.wait * 2, options_.first_retry, options_.last_retry);
    // Not all nodes at one time.
    const double part = std::uniform_real_distribution<double>(0.5, 1)(random_);
    peer.next = loop_.now() + std::chrono::duration_cast<net::Duration>(peer.wait * part);
}

void Plane::Peers::on_timer() {
    if (ending_) return;
    const auto now = loop_.now();
    for (const auto& peer : peers_)
        if (!peer->session && peer->dialing == nullptr && now >= peer->next && !is_reached(*peer)) dial(*peer);
    if (now - beaten_ >= options_.heartbeat) {
        beaten_ = now;
        for (const auto& peer : peers_)
            if (peer->session) peer->session->beat();
    }
    loop_.timers().set(*this, now + dial_check);
}

Hello Plane::Peers::own_hello() const {
    Hello hello;
    hello.node = tunnels_.origin();
    hello.part = static_cast<std::uint8_t>(part_);
    hello.parts = static_cast<std::uint8_t>(options_.parts);
    hello.name = options_.name;
    return hello;
}

void Plane::Peers::on_open(Channel& channel) { channel.send(own_hello()); }

void Plane::Peers::on_message(Channel& channel, Message message) {
    Peer* const peer = peer_of(channel);
    if (peer != nullptr && peer->session) {
        if (!peer->session->take(std::move(message))) {
            lose(*peer, "it said what may not be said now");
            return;
        }
        choose_part();
        return;
    }
    if (const auto* hello = std::get_if<Hello>(&message)) return greet(channel, *hello);
    refuse(channel, "the first word was no Hello");
    drop(channel);
}

void Plane::Peers::greet(Channel& channel, const Hello& hello) {
    Peer* dialed = peer_of(channel);
    const auto turn_away = [&](const std::string& why) {
        if (dialed != nullptr) {
            dialed->node = hello.node;
            dialed->why_not = why;
            retry(*dialed);
        }
        drop(channel);
    };
    if (hello.version != protocol_version) {
        refuse(channel, "speaks version " + std::to_string(hello.version) + ", we " + std::to_string(protocol_version));
        return turn_away("it speaks version " + std::to_string(hello.version));
    }
    if (hello.node == tunnels_.origin()) return turn_away("it is this node itself");
    const auto known = std::find_if(peers_.begin(), peers_.end(), [&](const auto& peer) {
        return peer->session && peer->session->other().node == hello.node;
    });
    if (known != peers_.end()) {
        // Both have dialed: the connection of the node with the lower number stays. One that is begun again replaces
        // the old one, whose end was not seen.
        const auto initiator = [&](const Channel& c) { return c.is_initiator() ? tunnels_.origin() : hello.node; };
        const std::uint64_t old = initiator((*known)->session->channel()), fresh = initiator(channel);
        if (old != fresh && old < fresh) return turn_away("it is connected by " + (*known)->address.text());
        lose(**known, "it has connected again");
    }
    Peer* peer = dialed;
    if (peer == nullptr) peer = peer_at(channel.peer().ip);
    if (peer == nullptr || peer->session) {
        // It is reached by the port that all nodes listen at, not by that of its connection.
        const std::uint16_t port = options_.listen.empty() ? channel.peer().port : options_.listen.front().port;
        peer = &add({channel.peer().ip, port});
    }
    if (peer->dialing != nullptr && peer->dialing != &channel) drop(*peer->dialing);
    peer->dialing = nullptr;
    peer->node = hello.node;
    peer->name = hello.name;
    peer->why_not.clear();
    peer->wait = {};
    peer->since = std::chrono::system_clock::now();
    peer->session = std::make_unique<Session>(world_, channel, hello);
    log(false, "connected to " + hello.name + " (" + channel.peer().ip.text() + ")");
    if (hello.parts != options_.parts)
        log(true, hello.name + " divides its ports into " + std::to_string(hello.parts) + " parts, this node into " +
                      std::to_string(options_.parts) + ": their tunnels may meet (--replication-nodes)");
    choose_part();
    publish();
    peer->session->begin();
}

// Two nodes have the same part of the ports: that with the higher number takes another one.
void Plane::Peers::choose_part() {
    std::set<unsigned> taken;
    bool yields = false;
    for (const auto& peer : peers_) {
        if (!peer->session) continue;
        const Hello& hello = peer->session->other();
        taken.insert(hello.part);
        yields |= hello.part == part_ && hello.node < tunnels_.origin();
    }
    if (!yields) return;
    for (unsigned part = 0; part < options_.parts; ++part) {
        if (taken.contains(part)) continue;
        part_ = part;
        tunnels_.set_part(part_, options_.parts);
        for (const auto& peer : peers_)
            if (peer->session) peer->session->say(own_hello());
        return;
    }
}

void Plane::Peers::on_drained(Channel& channel) {
    if (Peer* const peer = peer_of(channel); peer != nullptr && peer->session) peer->session->drained();
}

void Plane::Peers::on_closed(Channel& channel, const net::Error& failure) {
    Peer* const peer = peer_of(channel);
    if (peer == nullptr) {
        refuse(channel, failure.text());
        return drop(channel);
    }
    if (peer->session && &peer->session->channel() == &channel) return lose(*peer, failure.text());
    if (peer->why_not != failure.text()) log(true, "cannot connect to " + peer->address.text() + ": " + failure.text());
    peer->why_not = failure.text();
    peer->dialing = nullptr;
    retry(*peer);
    drop(channel);
}

void Plane::Peers::lose(Peer& peer, const std::string& why) {
    const auto& counters = peer.session->counters();
    peer.counters.sent += counters.sent;
    peer.counters.received += counters.received;
    peer.counters.lost += counters.lost;
    peer.counters.snapshots += counters.snapshots;
    peer.counters.not_carried += counters.not_carried;
    Channel& channel = peer.session->channel();
    peer.session.reset();
    publish();
    peer.why_not = why;
    peer.since = std::chrono::system_clock::now();
    retry(peer);
    drop(channel);
    if (ending_) return;
    tunnels_.miss_node();
    log(true, "lost " + peer.name + " (" + peer.address.ip.text() + "): " + why);
}

void Plane::Peers::drop(Channel& channel) {
    if (Peer* const peer = peer_of(channel); peer != nullptr && peer->dialing == &channel) peer->dialing = nullptr;
    const auto at = channels_.find(&channel);
    if (at == channels_.end()) return;
    at->second->close();
    // It may be the caller.
    loop_.defer([gone = std::shared_ptr<Channel>(std::move(at->second))] {});
    channels_.erase(at);
}

void Plane::Peers::refuse(const Channel& channel, const std::string& why) {
    ++refused_;
    if (refused_said_ != net::TimePoint{} && loop_.now() - refused_said_ < refusals_quiet) return;
    refused_said_ = loop_.now();
    log(true, "refused " + channel.peer().text() + ": " + why);
}

// ---- what the tunnels say, on their thread ----

template <class News>
void Plane::Peers::tell(const News& news) {
    loop_.post([this, news] {
        for (const auto& peer : peers_)
            if (peer->session) peer->session->tell(news);
    });
}

void Plane::Peers::on_missed() {
    loop_.post([this] {
        for (const auto& peer : peers_)
            if (peer->session) peer->session->send_snapshot();
    });
}

void Plane::Peers::on_vips_changed() {
    loop_.post([this] {
        for (const auto& peer : peers_)
            if (peer->session) peer->session->tell_vips();
    });
}

// ---- seen from outside ----

Status Plane::Peers::status() const {
    Status out;
    out.refused = refused_;
    out.part = part_;
    out.parts = options_.parts;
    for (const auto& peer : peers_) {
        if (!peer->session && is_reached(*peer)) continue;
        PeerStatus& p = out.peers.emplace_back();
        p.name = peer->name;
        p.address = peer->address;
        p.connected = peer->session != nullptr;
        p.since = peer->since;
        p.why_not = peer->why_not;
        Session::Counters counters = peer->counters;
        if (peer->session) {
            const auto& now = peer->session->counters();
            p.vips = {peer->session->vips().begin(), peer->session->vips().end()};
            p.in_step = peer->session->in_step();
            p.lag = peer->session->lag();
            p.lag_time = peer->session->lag_time();
            counters.sent += now.sent;
            counters.received += now.received;
            counters.lost += now.lost;
            counters.snapshots += now.snapshots;
            counters.not_carried += now.not_carried;
        }
        p.sent = counters.sent;
        p.received = counters.received;
        p.lost = counters.lost;
        p.snapshots = counters.snapshots;
        p.not_carried = counters.not_carried;
    }
    return out;
}

bool Plane::Peers::has_said_everything() const {
    return std::all_of(peers_.begin(), peers_.end(),
                       [](const auto& peer) { return !peer->session || peer->session->lag() == 0; });
}

void Plane::Peers::end() {
    ending_ = true;
    for (const auto& peer : peers_)
        if (peer->session) lose(*peer, "this node stops");
    while (!channels_.empty()) drop(*channels_.begin()->first);
    for (const auto& door : doors_) loop_.unwatch(door->fd.get(), *door);
    doors_.clear();
    cancel();
}

// ---- the thread ----

struct Plane::Thread {
    Thread(Options o, Key k, splice::SharedTunnels& t, Callbacks c)
        : options(std::move(o)),
          key(std::move(k)),
          callbacks(std::move(c)),
          tunnels(t),
          peers(loop, options, key, tunnels, callbacks) {}
    const Options options;
    const Key key;
    const Callbacks callbacks;
    splice::SharedTunnels& tunnels;
    net::Loop loop;
    Peers peers;
    std::mutex mutex;  // of what follows
    std::map<net::IpAddress, net::TimePoint> met;
    std::thread thread;
};

Plane::Plane() = default;

net::Result<std::unique_ptr<Plane>> Plane::open(Options options, Key key, splice::SharedTunnels& tunnels,
                                                Callbacks callbacks) {
    std::unique_ptr<Plane> plane(new Plane);
    plane->thread_ = std::make_unique<Thread>(std::move(options), std::move(key), tunnels, std::move(callbacks));
    Thread& t = *plane->thread_;
    if (auto listening = t.peers.listen(); !listening) return listening.error();
    // Signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    t.thread = std::thread([&t] {
        ::pthread_setname_np(::pthread_self(), "hawser-repl");
        t.loop.run();
    });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    t.tunnels.listen(&t.peers.listener());
    plane->run_on_thread([&t] { t.peers.begin(); });
    return plane;
}

Plane::~Plane() { stop(); }

void Plane::run_on_thread(const std::function<void()>& work) {
    std::promise<void> done;
    thread_->loop.post([&] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void Plane::meet(const net::IpAddress& node) {
    if (node.is_link_local()) return;  // it would need an interface
    {
        const std::lock_guard guard(thread_->mutex);
        const auto now = net::Clock::now();
        if (thread_->met.size() > most_peers) thread_->met.clear();
        auto& last = thread_->met[node];
        if (last != net::TimePoint{} && now - last < thread_->options.first_retry) return;
        last = now;
    }
    const std::uint16_t port = thread_->options.listen.empty() ? 0 : thread_->options.listen.front().port;
    thread_->loop.post([this, node, port] { thread_->peers.meet({node, port}); });
}

bool Plane::has_all_of(const net::IpAddress& node) const { return thread_->peers.has_all_of(node); }

Status Plane::status() {
    Status out;
    run_on_thread([&] { out = thread_->peers.status(); });
    return out;
}

void Plane::stop() {
    if (!thread_ || !thread_->thread.joinable()) return;
    const auto until = std::chrono::steady_clock::now() + goodbye;
    for (bool said = false; !said && std::chrono::steady_clock::now() < until;) {
        run_on_thread([&] { said = thread_->peers.has_said_everything(); });
        if (!said) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    run_on_thread([&] { thread_->peers.end(); });
    thread_->tunnels.listen(nullptr);  // and everything that was asked of them is answered
    thread_->loop.stop();
    thread_->thread.join();
}

}  // namespace hawser::replication
