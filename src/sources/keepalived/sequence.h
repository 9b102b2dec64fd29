// SPDX-License-Identifier: Apache-2.0
#pragma once

// ~SEQ(var, start, step, end), ~SEQx(...) and ~LST(var, a, b) at the beginning of a line: the rest of the
// line, once for each value.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::keepalived {

struct Sequence {
    std::vector<std::string> names;
    std::vector<std::vector<std::string>> rounds;  // a value for each name
    std::size_t end = 0;                           // behind its ')'
    std::string error;                             // not empty: the rest is void
};

// Whether one begins at `at`; `text` may have anything behind it.
bool begins_sequence(std::string_view text, std::size_t at);

// At most `most` rounds; more are an error.
Sequence read_sequence(std::string_view text, std::size_t at, std::size_t most);

}  // namespace hawser::keepalived
