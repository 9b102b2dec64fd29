// SPDX-License-Identifier: Apache-2.0
#include "im/token.h"

#include <gtest/gtest.h>

namespace hawser::im {
namespace {

constexpr std::string_view secret = "0123456789abcdef";

TEST(Token, says_who_and_what_it_was_issued_for) {
    const auto token = issue_token({.name = "billing", .scope = Scope::service, .expires_s = 2000}, secret);
    const auto claims = verify_token(token, secret, 1999);
    ASSERT_TRUE(claims);
    EXPECT_EQ(claims->name, "billing");
    EXPECT_EQ(claims->scope, Scope::service);
    EXPECT_EQ(claims->expires_s, 2000);
}

TEST(Token, is_refused_when_it_has_expired_or_the_secret_is_another) {
    const auto token = issue_token({.name = "ann", .scope = Scope::user, .expires_s = 2000}, secret);
    EXPECT_EQ(verify_token(token, secret, 2000).error().message, "the token has expired");
    EXPECT_EQ(verify_token(token, "fedcba9876543210", 0).error().message, "the token's signature is wrong");
    EXPECT_EQ(verify_token(token, secret, 2000).error().party, net::Party::client);
}

TEST(Token, is_refused_when_any_character_is_changed_or_missing) {
    const auto token = issue_token({.name = "ann", .scope = Scope::user, .expires_s = 2000}, secret);
    for (std::size_t i = 0; i < token.size(); ++i) {
        auto changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        // The last character of a base64 text of 32 bytes carries two bits that mean nothing.
        if (i + 1 < token.size()) {
            EXPECT_FALSE(verify_token(changed, secret, 0)) << i;
        }
        EXPECT_FALSE(verify_token(token.substr(0, i), secret, 0)) << i;
    }
    EXPECT_FALSE(verify_token(token + std::string(2000, 'A'), secret, 0));
}

TEST(Token, random_text_is_as_long_as_asked_and_never_the_same) {
    EXPECT_EQ(random_hex(16).size(), 32U);
    EXPECT_NE(random_hex(16), random_hex(16));
}

}  // namespace
}  // namespace hawser::im
