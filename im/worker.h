// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace hawser::im {

// A thread that runs jobs in the order in which they were posted.
class Worker {
  public:
    Worker();
    ~Worker();  // stop()
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // From any thread. After stop() the job is dropped and false returned.
    bool post(std::function<void()> job);

    // Runs what was posted before, then joins. Not from the worker itself.
    void stop();

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace hawser::im
