// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/handshake.h"

#include <gtest/gtest.h>

namespace hawser::bench {
namespace {

constexpr auto key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr auto accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

TEST(Handshake, accepts_the_key_of_rfc_6455_section_1_3) { EXPECT_EQ(accept_for(key), accept); }

TEST(Handshake, endpoint_and_client_agree) {
    const auto request = opening_request("example.com", "/echo?a=1", key);
    ASSERT_EQ(head_end(request), request.size());
    const auto opening = answer(request);
    EXPECT_TRUE(opening.accepted);
    EXPECT_EQ(opening.path, "/echo?a=1");
    EXPECT_EQ(check_response(opening.response, accept), "");
}

TEST(Handshake, client_refuses_a_wrong_101) {
    const std::string good = answer(opening_request("h", "/", key)).response;
    const struct {
        const char *from, *to, *why;
    } table[] = {
        {"101", "200", "the answer is not HTTP/1.1 101"},
        {"Upgrade: websocket", "Upgrade: h2c", "the 101 has no Upgrade: websocket"},
        {"Connection: Upgrade", "Connection: close", "the 101 has no Connection: upgrade"},
        {"s3pP", "s3pQ", "the 101 has a wrong Sec-WebSocket-Accept"},
        {"Connection:", "Sec-WebSocket-Extensions: permessage-deflate\r\nConnection:",
         "the 101 has an extension that was not asked for"},
    };
    for (const auto& row : table) {
        std::string head = good;
        head.replace(head.find(row.from), std::string_view(row.from).size(), row.to);
        EXPECT_EQ(check_response(head, accept), row.why) << head;
    }
}

TEST(Handshake, client_reads_names_in_any_case_and_lists) {
    EXPECT_EQ(check_response("HTTP/1.1 101 x\r\nupgrade:WebSocket\r\nCONNECTION: keep-alive , upgrade\r\n"
                             "sec-websocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo=  \r\n\r\n",
                             accept),
              "");
}

TEST(Handshake, endpoint_refuses_what_lost_its_upgrade_on_the_way) {
    const std::string good = opening_request("h", "/", key);
    const struct {
        const char *from, *to, *why;
    } table[] = {
        {"GET", "PUT", "not a GET of HTTP/1.1"},
        {"HTTP/1.1", "HTTP/1.0", "not a GET of HTTP/1.1"},
        {"Upgrade: websocket\r\n", "", "no Upgrade: websocket"},
        {"Connection: Upgrade", "Connection: close", "no Connection: upgrade"},
        {"Version: 13", "Version: 8", "no Sec-WebSocket-Version: 13"},
        {"dGhl", "", "no Sec-WebSocket-Key of 24 characters"},
    };
    for (const auto& row : table) {
        std::string head = good;
        head.replace(head.find(row.from), std::string_view(row.from).size(), row.to);
        const auto opening = answer(head);
        EXPECT_FALSE(opening.accepted) << row.why;
        EXPECT_TRUE(opening.response.starts_with("HTTP/1.1 400 ")) << row.why;
        EXPECT_NE(opening.response.find(row.why), std::string::npos) << opening.response;
    }
}

TEST(Handshake, head_end_waits_for_the_empty_line) {
    EXPECT_EQ(head_end("HTTP/1.1 101 x\r\nA: b\r\n\r"), std::string_view::npos);
    EXPECT_EQ(head_end("a\r\n\r\nrest"), 5U);
}

}  // namespace
}  // namespace hawser::bench
