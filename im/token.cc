// SPDX-License-Identifier: Apache-2.0
#include "im/token.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <boost/json.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view version = "him1.";
constexpr std::size_t longest_token = 1024;

std::string base64url(std::string_view in) {
    std::string out;
    std::uint32_t bits = 0;
    int have = 0;
    for (const char c : in) {
        bits = bits << 8U | static_cast<unsigned char>(c);
        for (have += 8; have >= 6; have -= 6) out += alphabet[bits >> static_cast<unsigned>(have - 6) & 63U];
    }
    if (have > 0) out += alphabet[bits << static_cast<unsigned>(6 - have) & 63U];
    return out;
}

std::optional<std::string> from_base64url(std::string_view in) {
    std::string out;
    std::uint32_t bits = 0;
    int have = 0;
    for (const char c : in) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = bits << 6U | static_cast<std::uint32_t>(value);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out += static_cast<char>(bits >> static_cast<unsigned>(have) & 255U);
        }
    }
    return out;
}

std::string mac(std::string_view text, std::string_view secret) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size) == nullptr)
        throw std::runtime_error("HMAC-SHA256 is not available");
    return {reinterpret_cast<const char*>(out.data()), size};
}

net::Error refused(std::string_view why) {
    net::Error error;
    error.party = net::Party::client;
    error.message = why;
    return error;
}

}  // namespace

std::string issue_token(const Claims& claims, std::string_view secret) {
    const json::object body{{"name", claims.name},
                            {"scope", claims.scope == Scope::service ? "service" : "user"},
                            {"exp", claims.expires_s}};
    std::string token = std::string(version) + base64url(json::serialize(body));
    return token + "." + base64url(mac(token, secret));
}

net::Result<Claims> verify_token(std::string_view token, std::string_view secret, std::int64_t now_s) {
    const auto dot = token.rfind('.');
    if (token.size() > longest_token || !token.starts_with(version) || dot < version.size())
        return refused("the token is malformed");
    const auto given = from_base64url(token.substr(dot + 1));
    const auto expected = mac(token.substr(0, dot), secret);
    if (!given || given->size() != expected.size() ||
        CRYPTO_memcmp(given->data(), expected.data(), expected.size()) != 0)
        return refused("the token's signature is wrong");
    // From here on the text is our own.
    const auto body = from_base64url(token.substr(version.size(), dot - version.size()));
    boost::system::error_code failed;
    const auto value = json::parse(body.value_or(""), failed);
    if (failed || !value.is_object()) return refused("the token is malformed");
    const auto* name = value.as_object().if_contains("name");
    const auto* scope = value.as_object().if_contains("scope");
    const auto* expires = value.as_object().if_contains("exp");
    if (name == nullptr || !name->is_string() || !valid_name(name->as_string()) || scope == nullptr ||
        expires == nullptr || !expires->is_int64())
        return refused("the token is malformed");
    if (expires->as_int64() <= now_s) return refused("the token has expired");
    Claims claims;
    claims.name = std::string(name->as_string());
    claims.scope = *scope == json::value("service") ? Scope::service : Scope::user;
    claims.expires_s = expires->as_int64();
    return claims;
}

std::string random_hex(unsigned bytes) {
    std::vector<unsigned char> raw(bytes);
    if (RAND_bytes(raw.data(), static_cast<int>(bytes)) != 1) throw std::runtime_error("no random numbers");
    std::string out;
    for (const auto byte : raw) {
        out += "0123456789abcdef"[byte >> 4U];
        out += "0123456789abcdef"[byte & 15U];
    }
    return out;
}

}  // namespace hawser::im
