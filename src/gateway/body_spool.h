// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/error.h"
#include "net/fd.h"

namespace hawser::gateway {

// A request body that is kept until it is sent: the first 16 KiB in memory (nginx's client_body_buffer_size),
// the rest in an unnamed temporary file. Memory stays bounded whatever the client sends.
class BodySpool {
  public:
    net::Result<void> append(std::string_view bytes);
    [[nodiscard]] std::uint64_t size() const { return size_; }
    // Reads up to `most` bytes from `offset`; empty at the end.
    net::Result<std::string> read(std::uint64_t offset, std::size_t most) const;

  private:
    std::string memory_;
    net::Fd file_;
    std::uint64_t size_ = 0;
};

}  // namespace hawser::gateway
