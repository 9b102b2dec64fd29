// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <utility>
#include <vector>

#include "bench/crowd/end.h"
#include "bench/generator/crowd.h"
#include "bench/generator/packet_socket.h"

namespace hawser::bench {

namespace {

constexpr std::uint32_t ports_per_page = 1024;

std::uint32_t milliseconds() { return static_cast<std::uint32_t>(now_ns() / 1'000'000); }

// The ends of one of our addresses towards one peer address, by its port. Ports come in runs: a page of them
// at a time.
class Ends {
  public:
    End& of(std::uint16_t port) {
        auto& page = pages_[port / ports_per_page];
        if (page.empty()) page.resize(ports_per_page);
        return page[port % ports_per_page];
    }

  private:
    std::vector<std::vector<End>> pages_{65536 / ports_per_page};
};

// Of one address: nearly always there is one peer, the proxy.
struct Peers {
    std::vector<std::pair<std::uint32_t, Ends>> by_address;

    Ends& of(std::uint32_t address) {
        for (auto& [peer, ends] : by_address)
            if (peer == address) return ends;
        return by_address.emplace_back(address, Ends{}).second;
    }
};

}  // namespace

void serve_crowd(const CrowdServeOptions& options, std::atomic<bool>& stop) {
    PacketSocket socket(options.place.interface, parse_mac(options.place.gateway));
    const std::uint32_t first = ntohl(parse_endpoint(options.place.first).sin_addr.s_addr);
    std::vector<Peers> addresses(options.place.count);
    CrowdServer server;
    std::puts(R"({"event":"listening"})");
    std::fflush(stdout);
    while (!stop.load(std::memory_order_relaxed)) {
        for (const auto packet : socket.receive(100)) {
            const auto in = parse_segment(packet);
            if (!in || in->destination - first >= addresses.size() || in->destination_port != options.port)
                continue;
            Segment out;
            End& end = addresses[in->destination - first].of(in->source).of(in->source_port);
            if (server.take(end, *in, milliseconds(), out)) socket.send(out);
        }
        socket.flush();
    }
}

}  // namespace hawser::bench
