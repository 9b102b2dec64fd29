// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

namespace hawser::splice {

// One map, typed. Borrows the descriptor, which Program owns. Every call is one or more system calls; any
// thread.
template <class Key, class Value>
class Table {
  public:
    Table() = default;
    explicit Table(int fd) : fd_(fd) {}

    [[nodiscard]] std::optional<Value> find(const Key& key) const {
        Value value;
        if (bpf_map_lookup_elem(fd_, &key, &value) != 0) return std::nullopt;
        return value;
    }
    [[nodiscard]] bool has(const Key& key) const { return find(key).has_value(); }
    // 0 or an errno: E2BIG when the table is full.
    int put(const Key& key, const Value& value) const {
        return bpf_map_update_elem(fd_, &key, &value, BPF_ANY) == 0 ? 0 : errno;
    }
    int replace(const Key& key, const Value& value) const {  // ENOENT when it is gone
        return bpf_map_update_elem(fd_, &key, &value, BPF_EXIST) == 0 ? 0 : errno;
    }
    int insert(const Key& key, const Value& value) const {  // EEXIST when there is one
        return bpf_map_update_elem(fd_, &key, &value, BPF_NOEXIST) == 0 ? 0 : errno;
    }
    void erase(const Key& key) const { bpf_map_delete_elem(fd_, &key); }

    // visit(key, value) for every element that stays in the table meanwhile; others may be missed or seen.
    // May erase.
    template <class Visit>
    void each(Visit visit) const {
        constexpr std::uint32_t most = 1024;
        std::vector<Key> keys(most);
        std::vector<Value> values(most);
        std::uint32_t room = most;  // grows when one bucket holds more
        std::vector<std::uint8_t> place(std::max(sizeof(Key), sizeof(std::uint64_t)));
        std::vector<std::uint8_t> next = place;
        bool first = true;
        for (;;) {
            std::uint32_t count = room;
            const int failed = bpf_map_lookup_batch(fd_, first ? nullptr : place.data(), next.data(),
                                                    keys.data(), values.data(), &count, nullptr);
            const int error = failed == 0 ? 0 : errno;
            if (error == ENOSPC) {
                room *= 2;
                keys.resize(room);
                values.resize(room);
                continue;
            }
            if (error != 0 && error != ENOENT) {
                each_one_by_one(visit);
                return;
            }
            for (std::uint32_t i = 0; i < count; ++i) visit(keys[i], values[i]);
            if (error == ENOENT) return;
            place = next;
            first = false;
        }
    }

    // Elements there are now. Walks the table.
    [[nodiscard]] std::size_t size() const {
        std::size_t count = 0;
        each([&count](const Key&, const Value&) { ++count; });
        return count;
    }

    [[nodiscard]] int fd() const { return fd_; }

  private:
    // Maps without batches (LPM tries).
    template <class Visit>
    void each_one_by_one(Visit visit) const {
        std::vector<Key> keys;
        Key key;
        for (int got = bpf_map_get_next_key(fd_, nullptr, &key); got == 0;
             got = bpf_map_get_next_key(fd_, &key, &key))
            keys.push_back(key);
        for (const Key& k : keys)
            if (const auto value = find(k)) visit(k, *value);
    }

    int fd_ = -1;
};

}  // namespace hawser::splice
