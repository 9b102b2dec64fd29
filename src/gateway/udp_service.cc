// SPDX-License-Identifier: Apache-2.0
#include "gateway/udp_service.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hawser::gateway {

namespace {

constexpr int datagrams_per_turn = 256;
constexpr std::size_t largest_datagram = 65536;
static_assert(largest_datagram <= net::Loop::scratch_size);

// Room for the address that a datagram came to or leaves from, of either family.
union Control {
    cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
};

net::IpAddress local_of(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            in_pktinfo info;
            std::memcpy(&info, CMSG_DATA(c), sizeof info);
            return net::IpAddress::v4(ntohl(info.ipi_addr.s_addr));
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info;
            std::memcpy(&info, CMSG_DATA(c), sizeof info);
            std::array<std::uint8_t, 16> bytes;
            std::memcpy(bytes.data(), &info.ipi6_addr, 16);
            return net::IpAddress::v6(bytes);
        }
    }
    return {};
}

// Makes the datagram leave from `local`.
void set_local(msghdr& message, Control& control, const net::IpAddress& local) {
    std::memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    auto* c = &control.align;
    if (local.is_v4()) {
        in_pktinfo info{};
        info.ipi_spec_dst.s_addr = htonl(local.v4_host_order());
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        in6_pktinfo info{};
        std::memcpy(&info.ipi6_addr, local.bytes().data(), 16);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    }
}

}  // namespace

struct UdpService::Flow : net::EventHandler, net::Timer {
    UdpService& service;
    net::Loop& loop;  // of its own: at the end, put off to the end of the turn, the service may be gone
    Key key;
    net::SocketAddress endpoint;
    std::shared_ptr<balance::Picker> picker;
    std::size_t index = 0;  // in picker's group
    balance::Hold hold;
    net::Fd fd;
    net::TimePoint last;
    List::iterator self;

    Flow(UdpService& s, Key k) : service(s), loop(s.worker_.loop()), key(k) {}
    ~Flow() override { loop.unwatch(-1, *this); }

    void on_events(std::uint32_t) override {
        char* const buffer = service.worker_.loop().scratch();
        for (int i = 0; i < datagrams_per_turn; ++i) {
            const ssize_t n = ::recv(fd.get(), buffer, largest_datagram, 0);
            if (n < 0 && errno == EAGAIN) return;
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {  // ECONNREFUSED: nobody listens there
                service.refused(*this);
                return;
            }
            touch();
            service.reply(*this, buffer, static_cast<std::size_t>(n));
        }
        service.worker_.loop().again(*this);
    }
    void on_timer() override {
        const auto end = last + service.frontend_->udp_idle_timeout;
        if (service.worker_.loop().now() >= end)
            service.remove(*this);
        else
            service.worker_.loop().timers().set(*this, end);
    }
    void touch() {
        last = service.worker_.loop().now();
        service.recent_.splice(service.recent_.begin(), service.recent_, self);
    }
};

UdpService::UdpService(Worker& worker, net::Fd fd, std::shared_ptr<const catalog::Frontend> frontend)
    : worker_(worker), fd_(std::move(fd)), frontend_(std::move(frontend)) {}

UdpService::~UdpService() {
    worker_.loop().unwatch(-1, *this);
    flows_.clear();
    recent_.clear();
}

net::Result<void> UdpService::open() { return worker_.loop().watch(fd_.get(), *this, EPOLLIN); }

void UdpService::set_frontend(std::shared_ptr<const catalog::Frontend> frontend) {
    frontend_ = std::move(frontend);
    const auto is_in = [](const std::shared_ptr<const catalog::EndpointGroup>& group,
                          const net::SocketAddress& address) {
        return group && std::any_of(group->endpoints.begin(), group->endpoints.end(),
                                    [&](const catalog::Endpoint& e) { return e.address == address; });
    };
    for (auto at = recent_.begin(); at != recent_.end();) {
        Flow& flow = **at++;
        if (!is_in(frontend_->group, flow.endpoint) && !is_in(frontend_->cluster_group, flow.endpoint))
            remove(flow);
    }
}

void UdpService::on_events(std::uint32_t) {
    char* const buffer = worker_.loop().scratch();
    for (int i = 0; i < datagrams_per_turn; ++i) {
        sockaddr_storage from{};
        Control control;
        iovec part{buffer, largest_datagram};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof from;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        const ssize_t n = ::recvmsg(fd_.get(), &message, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;
        ++worker_.stats().udp_datagrams_in;
        Flow* const flow = flow_of({net::SocketAddress::from_sockaddr(from), local_of(message)});
        if (flow == nullptr) {
            ++worker_.stats().udp_dropped;
            continue;
        }
        flow->touch();
        const ssize_t sent = ::send(flow->fd.get(), buffer, static_cast<std::size_t>(n), MSG_NOSIGNAL);
        if (sent >= 0) continue;
        ++worker_.stats().udp_dropped;
        if (errno == ECONNREFUSED) refused(*flow);  // told by ICMP; the client's next datagram picks anew
    }
    worker_.loop().again(*this);
}

UdpService::Flow* UdpService::flow_of(const Key& key) {
    if (const auto at = flows_.find(key); at != flows_.end()) return at->second;
    const bool inside = frontend_->cluster_group && worker_.is_inside(key.client.ip, key.local);
    const auto& group = inside ? frontend_->cluster_group : frontend_->group;
    if (!group) return nullptr;
    const auto picker = worker_.picker(group);
    balance::Tried tried;
    const auto index = picker->pick({key.client.ip, key.local, {}, worker_.loop().now()}, tried);
    if (!index) return nullptr;
    const catalog::Endpoint& endpoint = group->endpoints[*index];

    sockaddr_storage to;
    const socklen_t size = endpoint.address.to_sockaddr(to);
    auto flow = std::make_unique<Flow>(*this, key);
    flow->fd = net::Fd(::socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!flow->fd.valid() || ::connect(flow->fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0 ||
        !worker_.loop().watch(flow->fd.get(), *flow, EPOLLIN))
        return nullptr;
    flow->endpoint = endpoint.address;
    flow->picker = picker;
    flow->index = *index;
    flow->hold = balance::Hold(endpoint.state);
    flow->last = worker_.loop().now();
    worker_.loop().timers().set(*flow, flow->last + frontend_->udp_idle_timeout);
    endpoint.state->opened.fetch_add(1, std::memory_order_relaxed);
    Flow* const out = flow.get();
    recent_.push_front(std::move(flow));
    out->self = recent_.begin();
    flows_.emplace(key, out);
    if (flows_.size() > max_flows) remove(*recent_.back());
    return out;
}

void UdpService::reply(const Flow& flow, const char* bytes, std::size_t size) {
    sockaddr_storage to;
    iovec part{const_cast<char*>(bytes), size};
    msghdr message{};
    message.msg_namelen = flow.key.client.to_sockaddr(to);
    message.msg_name = &to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    Control control;
    set_local(message, control, flow.key.local);
    if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) >= 0)
        ++worker_.stats().udp_datagrams_out;
    else
        ++worker_.stats().udp_dropped;
}

void UdpService::refused(Flow& flow) {
    flow.picker->failed(flow.index, {flow.key.client.ip, flow.key.local, {}, worker_.loop().now()});
    flow.picker->group().endpoints[flow.index].state->failed.fetch_add(1, std::memory_order_relaxed);
    remove(flow);
}

void UdpService::remove(Flow& flow) {
    flows_.erase(flow.key);
    // The flow's own on_events may be on the stack.
    auto dead = std::make_shared<List>();
    dead->splice(dead->begin(), recent_, flow.self);
    flow.cancel();
    worker_.loop().unwatch(-1, flow);
    flow.fd.reset();
    worker_.loop().defer([dead] {});
}

}  // namespace hawser::gateway
