// SPDX-License-Identifier: Apache-2.0
#include "bench/generator/load.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <thread>

#include "bench/generator/load_worker.h"
#include "bench/generator/serve.h"

namespace hawser::bench {

namespace {

using Workers = std::vector<std::unique_ptr<LoadWorker>>;

std::uint64_t nanoseconds(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

void say(const char* event) {
    std::printf("{\"event\":\"%s\"}\n", event);
    std::fflush(stdout);
}

void sleep_until(std::uint64_t time) {
    if (const std::uint64_t now = now_ns(); now < time)
        std::this_thread::sleep_for(std::chrono::nanoseconds(time - now));
}

// False when it did not become true in time.
bool wait_for(const std::function<bool()>& condition, double seconds) {
    const std::uint64_t deadline = now_ns() + nanoseconds(seconds);
    while (!condition()) {
        if (now_ns() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

void wait_for_end_of_input() {
    char sink[256];
    while (::read(STDIN_FILENO, sink, sizeof sink) > 0) {
    }
}

void check(const LoadOptions& options) {
    if (options.threads == 0) throw std::invalid_argument("--threads must be at least 1");
    if (options.connections < options.threads)
        throw std::invalid_argument("fewer --connections than --threads");
    if (options.spread == 0) throw std::invalid_argument("--spread must be at least 1");
    if (options.size > longest_message)
        throw std::invalid_argument("--size is larger than " + std::to_string(longest_message));
}

// The part of the load after all tunnels are open; fills in the times.
void measure(const LoadOptions& options, const Workers& workers, LoadClock& clock, LoadReport& report) {
    const auto every = [&workers](auto predicate) {
        return std::all_of(workers.begin(), workers.end(), [&](const auto& w) { return predicate(*w); });
    };
    if (options.mode == LoadMode::idle) {
        say("ready");
        wait_for_end_of_input();
        clock.started = true;
        if (!wait_for([&] { return every([](const LoadWorker& w) { return w.all_answered(); }); },
                      options.open_timeout))
            ++report.errors["not all idle tunnels answered in time"];
        return;
    }
    if (options.hold) {
        say("ready");
        wait_for_end_of_input();
    }
    const std::uint64_t begin = now_ns() + nanoseconds(options.warmup);
    const std::uint64_t end = begin + nanoseconds(options.seconds);
    clock.begin = begin;
    clock.end = end;
    clock.started = true;
    sleep_until(begin);
    say("begin");
    sleep_until(end);
    say("end");
    report.seconds = static_cast<double>(end - begin) / 1e9;
}

void add(LoadReport& sum, const LoadReport& part) {
    sum.messages += part.messages;
    sum.bytes += part.bytes;
    sum.opened += part.opened;
    sum.alive += part.alive;
    sum.latency.merge(part.latency);
    for (const auto& [what, count] : part.errors) sum.errors[what] += count;
}

}  // namespace

LoadReport run_load(const LoadOptions& options) {
    check(options);
    const MessageTape tape(std::max<std::size_t>(options.size, 1));
    LoadClock clock;
    Workers workers;
    for (unsigned i = 0; i < options.threads; ++i) {
        const std::uint64_t share =
            options.connections / options.threads + (i < options.connections % options.threads ? 1 : 0);
        workers.push_back(std::make_unique<LoadWorker>(options, share, clock, tape));
    }
    LoadReport report;
    const std::uint64_t started = now_ns();
    {
        std::vector<std::jthread> threads;
        for (auto& worker : workers) threads.emplace_back([&worker] { worker->run(); });
        const bool open = wait_for(
            [&] {
                return std::all_of(workers.begin(), workers.end(), [](const auto& w) { return w->open(); });
            },
            options.open_timeout);
        report.open_seconds = static_cast<double>(now_ns() - started) / 1e9;
        if (open)
            measure(options, workers, clock, report);
        else
            ++report.errors["not all tunnels were open in time"];
        clock.stop = true;
    }
    for (const auto& worker : workers) add(report, worker->report());
    return report;
}

}  // namespace hawser::bench
