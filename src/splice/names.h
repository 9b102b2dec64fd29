// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "splice/program.h"

namespace hawser::splice {

// The texts behind the keys that records and flows hold: routes, services, endpoints, protocols. In a pinned
// table, so that another process reads them. Any thread. What is longer than name_size - 1 bytes is cut
// there.
class Names {
  public:
    explicit Names(const Tables& tables) : tables_(tables) {}

    std::uint64_t put(std::string_view name);  // its key; "" has none, 0
    // The same for many: they stand in the table when `batch` is written by write(). One that did not fit is
    // written when it is put again.
    using Batch = splice::Batch<std::uint64_t, layout::name>;
    std::uint64_t put(std::string_view name, Batch& batch);
    void write(Batch& batch);
    [[nodiscard]] std::string find(std::uint64_t key) const;
    // Forgets the names whose key `needed` does not want, if nobody has put them since the last call: whoever
    // puts a name may use its key until then without being found by those who collect `needed`.
    void keep(const std::unordered_set<std::uint64_t>& needed);

  private:
    const Tables& tables_;
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::uint32_t> known_;  // stand in the table; when they were put last
    std::uint32_t period_ = 0;                                // calls of keep()
};

}  // namespace hawser::splice
