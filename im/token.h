// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/error.h"

namespace hawser::im {

// user: acts as `name`. service: another service of the cluster, may act as any user and read every room.
enum class Scope : unsigned char { user, service };

struct Claims {
    std::string name;
    Scope scope = Scope::user;
    std::int64_t expires_s = 0;  // seconds since 1970; not valid from then on
};

// "him1.<claims>.<mac>": claims is JSON, mac is HMAC-SHA256 over "him1.<claims>", both base64url without
// padding (RFC 4648 §5).
std::string issue_token(const Claims& claims, std::string_view secret);

// Errors (the client's): malformed, signature wrong, expired. The signature is compared in constant time.
net::Result<Claims> verify_token(std::string_view token, std::string_view secret, std::int64_t now_s);

// `bytes` random bytes as hex digits.
std::string random_hex(unsigned bytes);

}  // namespace hawser::im
