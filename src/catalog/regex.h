// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/error.h"

namespace hawser::catalog {

// A compiled PCRE2 pattern, as nginx uses them. Immutable and shared between threads. Matching is bounded
// (match limit), so that a pattern and a hostile subject cannot stall a worker: past the limit it is "no
// match".
class Regex {
  public:
    // Start and end offsets of group 0, 1, ... in the subject; {npos, npos} for a group that took no part.
    using Captures = std::vector<std::pair<std::size_t, std::size_t>>;

    // The error's message is PCRE2's, with the offset: "missing ) at offset 3".
    static net::Result<std::shared_ptr<const Regex>> compile(std::string_view pattern, bool ignore_case);

    ~Regex();
    Regex(const Regex&) = delete;
    Regex& operator=(const Regex&) = delete;

    // captures may be null. On no match captures is left as it was.
    bool match(std::string_view subject, Captures* captures) const;

    [[nodiscard]] const std::string& pattern() const { return pattern_; }
    [[nodiscard]] bool ignores_case() const { return ignore_case_; }
    [[nodiscard]] std::uint32_t capture_count() const { return capture_count_; }  // group 0 not counted
    // Named groups: name and group number.
    [[nodiscard]] const std::vector<std::pair<std::string, std::uint32_t>>& names() const { return names_; }

  private:
    Regex() = default;
    void* code_ = nullptr;
    std::string pattern_;
    bool ignore_case_ = false;
    std::uint32_t capture_count_ = 0;
    std::vector<std::pair<std::string, std::uint32_t>> names_;
};

}  // namespace hawser::catalog
