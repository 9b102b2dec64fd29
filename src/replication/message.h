// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "splice/carried.h"

namespace hawser::replication {

// What two nodes tell each other. On the wire: a length (32 bits, of what follows it), a kind (8 bits), the fields in
// the order in which they stand here; numbers in network order, texts and lists with a length of 16 bits.
constexpr std::uint16_t protocol_version = 1;
constexpr std::size_t largest_message = 16 * 1024;  // bytes, the length itself not counted

// The first message of both; nothing else is believed before it.
struct Hello {
    std::uint16_t version = protocol_version;
    std::uint64_t node = 0;                // never 0; of the tables: another one when they were lost
    std::uint8_t part = 0, parts = 1;      // of the ports towards endpoints: part < parts <= 16
    std::string name;                      // for people; at most 255 bytes
    bool operator==(const Hello&) const = default;
};
// The VIPs that the sender has now; all others it has not. At most 1,000.
struct Owns {
    std::vector<net::IpAddress> vips;
    bool operator==(const Owns&) const = default;
};
// Between them: every tunnel that the sender carries, or has carried without having told anybody.
struct SnapshotBegin {
    bool operator==(const SnapshotBegin&) const = default;
};
struct SnapshotEnd {
    bool operator==(const SnapshotEnd&) const = default;
};
// So many messages of the other's, its Hello included but not such as this one, have done their work.
struct Applied {
    std::uint64_t count = 0;
    bool operator==(const Applied&) const = default;
};

using Message = std::variant<Hello, Owns, SnapshotBegin, SnapshotEnd, Applied, splice::Carried, splice::Gone>;

using Bytes = std::vector<std::uint8_t>;

// Appends the message as it goes over the wire. Texts that are too long are cut.
void encode(const Message& message, Bytes& onto);

// Takes a stream apart. Every byte is hostile: ranges that the structures name are checked.
class Decoder {
  public:
    void feed(std::span<const std::uint8_t> bytes);
    // The next message; nothing when it is not whole yet. An error says what is wrong with it, and the stream is not
    // to be read on.
    net::Result<std::optional<Message>> next();

  private:
    Bytes waiting_;
    std::size_t taken_ = 0;
};

}  // namespace hawser::replication
