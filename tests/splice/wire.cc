// SPDX-License-Identifier: Apache-2.0
// hawser-wire A B SEED LOSS DUPLICATES REORDERED DELAY: joins two interfaces as a bad cable would. Frames are
// dropped, doubled and overtaken at random (per mille, from SEED), and all are DELAY microseconds under way.
// Offloads must be off.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <queue>
#include <random>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Frame {
    Clock::time_point due;
    std::uint64_t number;
    int to;
    std::vector<char> bytes;
    bool operator<(const Frame& other) const {  // the queue gives the greatest first
        return due != other.due ? due > other.due : number > other.number;
    }
};

int open_interface(const char* name) {
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name));
    const int yes = 1, room = 8 << 20;
    ::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    packet_mreq promiscuous{};
    promiscuous.mr_ifindex = address.sll_ifindex;
    promiscuous.mr_type = PACKET_MR_PROMISC;
    ::setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        std::perror(name);
        std::exit(1);
    }
    return fd;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        std::fprintf(stderr, "usage: hawser-wire A B SEED LOSS DUPLICATES REORDERED DELAY\n");
        return 2;
    }
    std::array<pollfd, 2> ends{{{open_interface(argv[1]), POLLIN, 0}, {open_interface(argv[2]), POLLIN, 0}}};
    std::mt19937 random(static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
    const auto number = [&argv](int i) { return static_cast<unsigned>(std::strtoul(argv[i], nullptr, 10)); };
    const unsigned loss = number(4), duplicates = number(5), reordered = number(6);
    const std::chrono::microseconds delay(number(7));
    const auto chance = [&random](unsigned per_mille) { return random() % 1000 < per_mille; };
    std::priority_queue<Frame> under_way;
    std::uint64_t count = 0;
    std::vector<char> buffer(70'000);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        timespec wait{0, 100'000'000};
        if (!under_way.empty()) {
            const auto left =
                std::chrono::duration_cast<std::chrono::nanoseconds>(under_way.top().due - Clock::now())
                    .count();
            wait.tv_nsec = left < 0 ? 0 : std::min<long>(left, wait.tv_nsec);
        }
        ::ppoll(ends.data(), ends.size(), &wait, nullptr);
        const auto now = Clock::now();
        for (unsigned from = 0; from < ends.size(); ++from) {
            for (int burst = 0; burst < 64; ++burst) {
                const ssize_t size = ::recv(ends[from].fd, buffer.data(), buffer.size(), 0);
                if (size <= 0) break;
                if (chance(loss)) continue;
                for (int copies = chance(duplicates) ? 2 : 1; copies > 0; --copies) {
                    const auto extra = std::chrono::microseconds(chance(reordered) ? random() % 3'000 : 0);
                    under_way.push({now + delay + extra,
                                    count++,
                                    ends[1 - from].fd,
                                    {buffer.begin(), buffer.begin() + size}});
                }
            }
        }
        while (!under_way.empty() && under_way.top().due <= Clock::now()) {
            const Frame& frame = under_way.top();
            (void)!::send(frame.to, frame.bytes.data(), frame.bytes.size(), 0);
            under_way.pop();
        }
    }
}
