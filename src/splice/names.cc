// SPDX-License-Identifier: Apache-2.0
#include "splice/names.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "splice/address.h"

namespace hawser::splice {

namespace {
layout::name value_of(std::string_view name) {
    layout::name value{};
    std::memcpy(value.text, name.data(), std::min<std::size_t>(name.size(), layout::name_size - 1));
    return value;
}
}  // namespace

std::uint64_t Names::put(std::string_view name) {
    const std::uint64_t key = name_key(name);
    if (key == 0) return 0;
    const std::lock_guard guard(mutex_);
    const auto [at, is_new] = known_.try_emplace(key, period_);
    at->second = period_;
    if (is_new && tables_.names.put(key, value_of(name)) != 0) known_.erase(at);
    return key;
}

std::uint64_t Names::put(std::string_view name, Batch& batch) {
    const std::uint64_t key = name_key(name);
    if (key == 0) return 0;
    const std::lock_guard guard(mutex_);
    const auto [at, is_new] = known_.try_emplace(key, period_);
    at->second = period_;
    if (is_new) batch.add(key, value_of(name));
    return key;
}

void Names::write(Batch& batch) {
    const std::vector<std::uint64_t> keys = batch.keys();
    if (batch.write() == 0) return;
    const std::lock_guard guard(mutex_);
    for (const std::uint64_t key : keys)
        if (!tables_.names.has(key)) known_.erase(key);
}

std::string Names::find(std::uint64_t key) const {
    if (key == 0) return "";
    const auto value = tables_.names.find(key);
    return value ? std::string(value->text, ::strnlen(value->text, layout::name_size)) : "?";
}

void Names::keep(const std::unordered_set<std::uint64_t>& needed) {
    std::vector<std::uint64_t> gone;
    tables_.names.each([&](std::uint64_t key, const layout::name&) {
        if (!needed.contains(key)) gone.push_back(key);
    });
    const std::lock_guard guard(mutex_);
    for (const std::uint64_t key : gone) {
        const auto at = known_.find(key);
        if (at != known_.end() && at->second == period_) continue;
        if (at != known_.end()) known_.erase(at);
        tables_.names.erase(key);
    }
    ++period_;
}

}  // namespace hawser::splice
