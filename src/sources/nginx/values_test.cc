// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/values.h"

#include <gtest/gtest.h>

namespace hawser::nginx {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Values, sizes_know_k_and_m_and_offsets_g) {
    EXPECT_EQ(parse_size("8k"), 8192U);
    EXPECT_EQ(parse_size("1M"), 1U << 20);
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_offset("2g"), std::uint64_t{2} << 30);
    for (const char* bad :
         {"", "k", "1g", "-1", "1kk", "1.5k", "99999999999999999999", "9223372036854775807k"})
        EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Values, times_have_units_in_falling_order) {
    EXPECT_EQ(parse_time_ms("60"), milliseconds(60'000));
    EXPECT_EQ(parse_time_ms("1h30m"), milliseconds(5'400'000));
    EXPECT_EQ(parse_time_ms("1m 30s 5ms"), milliseconds(90'005));
    EXPECT_EQ(parse_time_ms("500ms"), milliseconds(500));
    EXPECT_EQ(parse_time_s("1y"), seconds(365 * 86'400));
    EXPECT_EQ(parse_time_s("2M"), seconds(60 * 86'400));
    EXPECT_EQ(parse_time_ms("1m5"), milliseconds(65'000));
    for (const char* bad : {"", "s", "1s1m", "1x", "1y", "1M", "5 s", "1h1h", "99999999999999999999", " 5"})
        EXPECT_FALSE(parse_time_ms(bad)) << bad;
    EXPECT_FALSE(parse_time_s("5ms"));
}

TEST(Values, a_time_past_any_clock_is_cut_to_what_a_clock_holds) {
    ASSERT_TRUE(parse_time_ms("9000000000000000s"));
    EXPECT_LT(*parse_time_ms("9000000000000000s"), std::chrono::hours(24 * 366 * 50));
}

struct Form {
    const char* text;
    bool listening, uri;
    const char* host;
    int port;
    const char* rest;
    const char* error;
};
class Urls : public testing::TestWithParam<Form> {};

TEST_P(Urls, are_taken_apart_as_nginx_does) {
    const Form& f = GetParam();
    const Url url = parse_url(f.text, {.listening = f.listening, .uri_allowed = f.uri});
    EXPECT_STREQ(url.error, f.error);
    if (f.error != nullptr) return;
    EXPECT_EQ(url.host, f.host);
    EXPECT_EQ(url.port ? int{*url.port} : 0, f.port);
    EXPECT_EQ(url.uri, f.rest);
}

INSTANTIATE_TEST_SUITE_P(Values, Urls,
                         testing::Values(Form{"80", true, false, "", 80, "", nullptr},
                                         Form{"*:80", true, false, "*", 80, "", nullptr},
                                         Form{"1.2.3.4:81", true, false, "1.2.3.4", 81, "", nullptr},
                                         Form{"[::1]:81", true, false, "[::1]", 81, "", nullptr},
                                         Form{"[::]", true, false, "[::]", 0, "", nullptr},
                                         Form{"localhost", true, false, "localhost", 0, "", nullptr},
                                         Form{"a.b:8080/x?y", false, true, "a.b", 8080, "/x?y", nullptr},
                                         Form{"a.b?y/z", false, true, "a.b", 0, "?y/z", nullptr},
                                         Form{"[fd00::1]:1/", false, true, "[fd00::1]", 1, "/", nullptr},
                                         Form{"80", false, false, "80", 0, "", nullptr},
                                         Form{"1.2.3.4:0", true, false, "", 0, "", "invalid port"},
                                         Form{"1.2.3.4:65536", true, false, "", 0, "", "invalid port"},
                                         Form{"a:", false, false, "", 0, "", "invalid port"},
                                         Form{":80", false, false, "", 0, "", "no host"},
                                         Form{"", false, true, "", 0, "", "no host"},
                                         Form{"/x", false, true, "", 0, "", "no host"},
                                         Form{"a/x", false, false, "", 0, "", "invalid host"},
                                         Form{"[::1", false, false, "", 0, "", "invalid host"},
                                         Form{"[x]:80", false, false, "", 0, "", "invalid IPv6 address"}));

}  // namespace
}  // namespace hawser::nginx
