// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace hawser::catalog::testing {

// Makes files that nobody wrote: one to four accidents to a good text, the same ones for the same number.
class Spoiler {
  public:
    // `special`: characters that mean something where they happen to stand.
    Spoiler(std::uint32_t number, std::string_view special) : random_(number), special_(special) {}

    std::string spoil(std::string_view good) {
        std::string text(good);
        for (std::size_t accidents = 1 + below(4); accidents > 0 && !text.empty(); --accidents) {
            const std::size_t at = below(text.size());
            const std::size_t length = std::min(below(40), text.size() - at);
            switch (below(4)) {
                case 0:
                    text[at] = special_[below(special_.size())];
                    break;
                case 1:
                    text.erase(at, length);
                    break;
                case 2:
                    text.insert(below(text.size()), text.substr(at, length));
                    break;
                default:
                    text[at] = static_cast<char>(below(256));
            }
        }
        return text;
    }

  private:
    std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

    std::mt19937 random_;
    std::string_view special_;
};

}  // namespace hawser::catalog::testing
