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
    static constexpr std::uint32_t most_at_once = 1024;  // elements of a system call

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
    // The same for many, in their order, with few system calls. The errno is that of the first which could
    // not be written; those behind it are tried all the same.
    int put_all(const std::vector<Key>& keys, const std::vector<Value>& values) const {
        int error = 0;
        for (std::size_t first = 0; first < keys.size(); first += most_at_once) {
            const std::size_t end = std::min(keys.size(), first + most_at_once);
            auto count = static_cast<std::uint32_t>(end - first);
            if (bpf_map_update_batch(fd_, &keys[first], &values[first], &count, nullptr) == 0) continue;
            // A map without batches, or an element that does not fit: how far it came is not told by all
            // kernels.
            for (std::size_t i = first; i < end; ++i)
                if (const int failed = put(keys[i], values[i]); error == 0) error = failed;
        }
        return error;
    }
    int replace(const Key& key, const Value& value) const {  // ENOENT when it is gone
        return bpf_map_update_elem(fd_, &key, &value, BPF_EXIST) == 0 ? 0 : errno;
    }
    int insert(const Key& key, const Value& value) const {  // EEXIST when there is one
        return bpf_map_update_elem(fd_, &key, &value, BPF_NOEXIST) == 0 ? 0 : errno;
    }
    void erase(const Key& key) const { bpf_map_delete_elem(fd_, &key); }

    // Goes through the table a piece at a time. Borrows the descriptor. Elements that stay in the table
    // meanwhile are seen once; others may be missed or seen.
    class Walk {
      public:
        explicit Walk(const Table& table)
            : table_(table),
              keys_(most_at_once),
              values_(most_at_once),
              place_(std::max(sizeof(Key), sizeof(std::uint64_t))),
              next_(place_) {}

        // visit(key, value) for the next elements, most_at_once of them unless one bucket holds more. False:
        // those were the last. visit may erase.
        template <class Visit>
        bool step(Visit visit) {
            for (;;) {
                auto count = static_cast<std::uint32_t>(keys_.size());
                const int failed = bpf_map_lookup_batch(table_.fd_, first_ ? nullptr : place_.data(),
                                                        next_.data(), keys_.data(), values_.data(), &count,
                                                        nullptr);
                const int error = failed == 0 ? 0 : errno;
                if (error == ENOSPC) {  // one bucket holds more
                    keys_.resize(keys_.size() * 2);
                    values_.resize(keys_.size());
                    continue;
                }
                if (error != 0 && error != ENOENT) {
                    table_.each_one_by_one(visit);
                    return false;
                }
                for (std::uint32_t i = 0; i < count; ++i) visit(keys_[i], values_[i]);
                place_ = next_;
                first_ = false;
                return error == 0;
            }
        }

      private:
        Table table_;
        std::vector<Key> keys_;
        std::vector<Value> values_;
        std::vector<std::uint8_t> place_, next_;
        bool first_ = true;
    };

    // visit(key, value) for all elements, as Walk does it.
    template <class Visit>
    void each(Visit visit) const {
        Walk walk(*this);
        while (walk.step(visit)) {
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

// Elements that wait to be written into one table. Borrows the table.
template <class Key, class Value>
class Batch {
  public:
    explicit Batch(const Table<Key, Value>& table) : table_(table) {}

    void add(const Key& key, const Value& value) {
        keys_.push_back(key);
        values_.push_back(value);
    }
    [[nodiscard]] std::size_t size() const { return keys_.size(); }
    [[nodiscard]] const std::vector<Key>& keys() const { return keys_; }
    // Writes all of them and is empty again. 0, or the errno of the first that could not be written.
    int write() {
        const int error = table_.put_all(keys_, values_);
        keys_.clear();
        values_.clear();
        return error;
    }

  private:
    const Table<Key, Value>& table_;
    std::vector<Key> keys_;
    std::vector<Value> values_;
};

}  // namespace hawser::splice
