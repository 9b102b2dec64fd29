// SPDX-License-Identifier: Apache-2.0
#include "im/limits.h"

#include <algorithm>
#include <cmath>

namespace hawser::im {

bool Allowance::take(Clock::time_point now) {
    if (rate_ <= 0) return true;
    if (at_ != Clock::time_point{}) {
        const std::chrono::duration<double> passed = now - at_;
        left_ = std::min(burst_, left_ + std::max(0.0, passed.count()) * rate_);
    }
    at_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
}

std::chrono::milliseconds Allowance::wait() const {
    if (rate_ <= 0 || left_ >= 1) return std::chrono::milliseconds(0);
    return std::chrono::milliseconds(static_cast<long>(std::ceil((1 - left_) / rate_ * 1000)));
}

}  // namespace hawser::im
