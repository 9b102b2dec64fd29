// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <deque>
#include <random>
#include <stdexcept>
#include <vector>

#include "bench/crowd/end.h"
#include "bench/generator/crowd.h"
#include "bench/generator/packet_socket.h"
#include "bench/wire/histogram.h"

namespace hawser::bench {

namespace {

constexpr std::uint16_t first_port = 1024;
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t resend_after = second;
constexpr std::uint64_t echoes_at_once = 8;  // the delay of each is the way's, not that of a queue
constexpr double echo_patience = 20;         // seconds

class CrowdLoad {
  public:
    explicit CrowdLoad(const CrowdLoadOptions& options)
        : options_(options),
          socket_(options.place.interface, parse_mac(options.place.gateway)),
          client_(options.host),
          first_(ntohl(parse_endpoint(options.place.first).sin_addr.s_addr)),
          ends_(options.connections) {
        const sockaddr_in target = parse_endpoint(options.target);
        target_ = ntohl(target.sin_addr.s_addr);
        target_port_ = ntohs(target.sin_port);
        const std::uint64_t most = std::uint64_t{options.place.count} * (65536 - first_port);
        if (options.connections == 0 || options.connections > most)
            throw std::invalid_argument("--connections: 1 to " + std::to_string(most) +
                                        " with so many addresses");
    }

    std::string run(bool& ok) {
        const std::uint64_t began = now_ns();
        open_all(began);
        const double open_seconds = since(began);
        if (opened_ == ends_.size()) {
            std::puts(R"({"event":"ready"})");
            std::fflush(stdout);
            hold();
            echo_some();
        }
        const std::uint64_t broken = count(EndState::broken);
        ok = opened_ == ends_.size() && broken == 0 && answered_ == asked_;
        const auto us = [this](double q) { return static_cast<double>(latency_.percentile(q)) / 1e3; };
        return boost::json::serialize(
            boost::json::object{{"event", "report"},
                                {"connections", ends_.size()},
                                {"opened", opened_},
                                {"open_seconds", open_seconds},
                                {"broken", broken},
                                {"asked", asked_},
                                {"answered", answered_},
                                {"resent", resent_},
                                {"keepalives", keepalives_},
                                {"lost", socket_.lost()},
                                {"latency_us", boost::json::object{{"p50", us(50)}, {"p99", us(99)}}}});
    }

  private:
    struct Waiting {
        std::uint64_t index, since;
    };

    static double since(std::uint64_t then) { return static_cast<double>(now_ns() - then) / 1e9; }
    static std::uint32_t milliseconds() { return static_cast<std::uint32_t>(now_ns() / 1'000'000); }

    // Neighbours in time come from all addresses in turn.
    [[nodiscard]] Segment to_target(std::uint64_t index) const {
        Segment out;
        out.source = first_ + static_cast<std::uint32_t>(index % options_.place.count);
        out.source_port = static_cast<std::uint16_t>(first_port + index / options_.place.count);
        out.destination = target_;
        out.destination_port = target_port_;
        return out;
    }
    // ends_.size() when it is none of ours.
    [[nodiscard]] std::uint64_t index_of(const Segment& in) const {
        const std::uint32_t address = in.destination - first_;
        if (in.source != target_ || in.source_port != target_port_ || address >= options_.place.count ||
            in.destination_port < first_port)
            return ends_.size();
        const std::uint64_t port = in.destination_port - std::uint64_t{first_port};
        return std::min<std::uint64_t>(port * options_.place.count + address, ends_.size());
    }

    void send(std::uint64_t index, Segment& segment) {
        socket_.send(segment);
        waiting_.push_back({index, now_ns()});
    }

    void open_all(std::uint64_t began) {
        std::uint64_t begun = 0, next_word = began + second;
        while (opened_ + failed_ < ends_.size() && since(began) < options_.open_timeout) {
            const std::uint64_t paced =
                options_.per_second > 0 ? static_cast<std::uint64_t>(since(began) * options_.per_second) + 1
                                        : ends_.size();
            while (begun < std::min<std::uint64_t>(ends_.size(), paced) &&
                   begun - opened_ - failed_ < options_.at_once) {
                Segment syn = to_target(begun);
                client_.open(ends_[begun], milliseconds(), syn);
                send(begun++, syn);
            }
            turn(5);
            if (now_ns() < next_word) continue;
            std::printf("{\"event\":\"progress\",\"opened\":%llu}\n",
                        static_cast<unsigned long long>(opened_));
            std::fflush(stdout);
            next_word += second;
        }
    }

    void hold() {
        fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
        char sink[256];
        do turn(200, STDIN_FILENO);
        while (::read(STDIN_FILENO, sink, sizeof sink) != 0);
    }

    void echo_some() {
        std::mt19937_64 random{std::random_device{}()};
        const std::uint64_t wanted = std::min<std::uint64_t>(options_.echoes, ends_.size());
        const std::uint64_t began = now_ns();
        while ((asked_ < wanted || answered_ < asked_) && since(began) < echo_patience) {
            while (asked_ < wanted && asked_ - answered_ < echoes_at_once) {
                const std::uint64_t index = random() % ends_.size();
                if (ends_[index].state == EndState::echoing) break;  // asked a moment ago
                ++asked_;
                if (ends_[index].state != EndState::open) continue;  // it will not answer
                Segment message = to_target(index);
                client_.echo(ends_[index], milliseconds(), message);
                echo_sent_[index % echo_sent_.size()] = now_ns();
                send(index, message);
            }
            turn(5);
        }
    }

    // What came, and what has to be sent again.
    void turn(int timeout_ms, int other = -1) {
        socket_.flush();
        for (const auto packet : socket_.receive(timeout_ms, other)) take(packet);
        while (!waiting_.empty() && now_ns() - waiting_.front().since > resend_after) {
            const std::uint64_t index = waiting_.front().index;
            waiting_.pop_front();
            Segment again = to_target(index);
            if (!client_.resend(ends_[index], milliseconds(), again)) continue;
            ++resent_;
            send(index, again);
        }
        socket_.flush();
    }

    void take(std::span<const std::uint8_t> packet) {
        const auto in = parse_segment(packet);
        const std::uint64_t index = in ? index_of(*in) : ends_.size();
        if (index == ends_.size()) return;
        End& end = ends_[index];
        const EndState before = end.state;
        if (before == EndState::open && in->payload.empty() && in->sequence + 1 == end.receive_next)
            ++keepalives_;
        Segment out;
        if (client_.take(end, *in, milliseconds(), out)) socket_.send(out);
        if (before == end.state) return;
        if (before == EndState::asked && end.state == EndState::open) ++opened_;
        if (before == EndState::echoing && end.state == EndState::open) {
            ++answered_;
            latency_.record(now_ns() - echo_sent_[index % echo_sent_.size()]);
        }
        if (before < EndState::open && end.state == EndState::broken) ++failed_;
    }

    [[nodiscard]] std::uint64_t count(EndState state) const {
        return static_cast<std::uint64_t>(std::count_if(
            ends_.begin(), ends_.end(), [state](const End& end) { return end.state == state; }));
    }

    const CrowdLoadOptions& options_;
    PacketSocket socket_;
    CrowdClient client_;
    const std::uint32_t first_;
    std::uint32_t target_ = 0;
    std::uint16_t target_port_ = 0;
    std::vector<End> ends_;
    std::deque<Waiting> waiting_;
    std::vector<std::uint64_t> echo_sent_ = std::vector<std::uint64_t>(4099);  // by index, the few under way
    Histogram latency_;                                                        // ns
    std::uint64_t opened_ = 0, failed_ = 0, asked_ = 0, answered_ = 0, resent_ = 0, keepalives_ = 0;
};

}  // namespace

std::string load_crowd(const CrowdLoadOptions& options, bool& ok) { return CrowdLoad(options).run(ok); }

}  // namespace hawser::bench
