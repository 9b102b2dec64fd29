// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/generator/backlog.h"
#include "bench/generator/load.h"
#include "bench/generator/socket.h"
#include "bench/wire/frame.h"
#include "bench/wire/message.h"

namespace hawser::bench {

// Where a load is, told by the main thread to the workers. Times of now_ns().
struct LoadClock {
    std::atomic<bool> started{false};  // all tunnels of all workers are open: send
    std::atomic<std::uint64_t> begin{~std::uint64_t{0}};
    std::atomic<std::uint64_t> end{~std::uint64_t{0}};
    std::atomic<bool> stop{false};

    [[nodiscard]] bool measuring(std::uint64_t now) const {
        return now >= begin.load(std::memory_order_relaxed) && now < end.load(std::memory_order_relaxed);
    }
};

// One thread's share of a load: its tunnels, its event loop, its part of the report.
class LoadWorker {
  public:
    LoadWorker(const LoadOptions& options, std::uint64_t connections, const LoadClock& clock,
               const MessageTape& tape);

    // Returns when the clock says stop, or when the machine refuses (descriptors, ports): that is an error of
    // the report. `open()` becomes true on the way in any case.
    void run();

    // True when every tunnel of this worker is open, or has failed.
    [[nodiscard]] bool open() const { return open_.load(); }
    // Idle tunnels that have answered, or failed, since the clock started.
    [[nodiscard]] bool all_answered() const { return answered_.load() >= connections_; }
    // Read it after run() has returned.
    [[nodiscard]] const LoadReport& report() const { return report_; }

  private:
    enum class State : std::uint8_t { connecting, upgrading, open, closing };

    struct Tunnel {
        Fd fd;
        std::size_t slot = 0;  // its place in tunnels_
        FrameReader reader;
        Backlog out;
        std::string head;          // of the answer, until it is whole
        std::uint64_t number = 0;  // of the message that is awaited
        std::uint64_t sent_at = 0;
        std::size_t frame_at = 0;  // up: how much of the frame is sent
        std::uint32_t interest = EPOLLOUT;
        std::uint16_t key = 0;
        State state = State::connecting;
        bool close_seen = false;
    };
    struct Visitor;
    struct Key {
        std::string request, accept;
    };

    [[nodiscard]] bool goes_on_and_on() const;
    void loop();
    void make_keys();
    sockaddr_in next_target();
    void open_more();
    void start_tunnels();
    void handle(Tunnel& tunnel, std::uint32_t events);
    bool write(Tunnel& tunnel);
    bool connected(Tunnel& tunnel);
    bool read(Tunnel& tunnel);
    bool take_head(Tunnel& tunnel, std::span<std::uint8_t>& bytes);
    bool take_frames(Tunnel& tunnel, std::span<std::uint8_t> bytes);
    bool message_ended(Tunnel& tunnel, const FrameHeader& header);
    bool start(Tunnel& tunnel);
    bool send_message(Tunnel& tunnel);
    bool send_close(Tunnel& tunnel);
    bool stream_ended(Tunnel& tunnel);
    void watch(Tunnel& tunnel);
    bool fail(std::string why);
    void forget(Tunnel& tunnel);
    void count_message(std::uint64_t bytes);
    MaskKey next_mask();

    const LoadOptions& options_;
    const std::uint64_t connections_;
    const LoadClock& clock_;
    const MessageTape& tape_;
    const sockaddr_in target_;
    std::vector<sockaddr_in> sources_;
    Poller poller_;
    std::vector<Key> keys_;
    std::vector<std::unique_ptr<Tunnel>> tunnels_;
    std::vector<std::uint8_t> input_, frame_;
    LoadReport report_;
    std::uint64_t begun_ = 0, opening_ = 0, settled_ = 0;  // connections begun, under way, open or failed
    std::uint64_t random_;
    bool running_ = false;
    std::atomic<bool> open_{false};
    std::atomic<std::uint64_t> answered_{0};
};

}  // namespace hawser::bench
