// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "gateway/http1/framing.h"
#include "gateway/http1/parser.h"

namespace hawser::gateway::http1 {
namespace {

using Outcome = std::variant<NeedMore, ResponseHead, ParseError>;
using Kind = Framing::Kind;

Outcome parse_all(std::string_view bytes, bool was_head = false, std::size_t max_size = 4096) {
    return ResponseParser(max_size, was_head).parse(bytes);
}

std::string describe(const Outcome& outcome) {
    if (const auto* error = std::get_if<ParseError>(&outcome))
        return std::to_string(error->status) + " " + error->reason;
    if (std::holds_alternative<NeedMore>(outcome)) return "need more";
    const auto& head = std::get<ResponseHead>(outcome);
    std::string out = std::to_string(head.status) + "|" + std::string(head.reason) + "|";
    for (const Field& field : head.fields.all())
        out.append(field.name).append("=").append(field.value).append("|");
    return out + std::to_string(head.minor_version) + std::to_string(static_cast<int>(head.framing.kind)) +
           "/" + std::to_string(head.framing.length) + (head.keep_alive ? "keep" : "close") +
           std::to_string(head.size);
}

TEST(ResponseParser, takes_a_101_apart_and_leaves_the_early_frames) {
    const std::string bytes =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: x=\r\n\r\n\x81\x01"
        "a";
    auto outcome = parse_all(bytes);
    ASSERT_TRUE(std::holds_alternative<ResponseHead>(outcome)) << describe(outcome);
    const ResponseHead head = std::move(std::get<ResponseHead>(outcome));
    EXPECT_EQ(head.status, 101);
    EXPECT_EQ(head.reason, "Switching Protocols");
    EXPECT_EQ(head.fields.find("sec-websocket-accept"), "x=");
    EXPECT_EQ(head.size, bytes.size() - 3);
    EXPECT_EQ(head.framing.kind, Kind::none);
}

TEST(ResponseParser, frames_the_body_by_rfc_9112) {
    struct Row {
        std::string head;
        bool was_head;
        Kind kind;
        std::uint64_t length;
        bool keep_alive;
    };
    const Row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", false, Kind::length, 5, true},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n", false, Kind::length, 0, true},
        {"HTTP/1.1 200 \r\nContent-Length: 5\r\nContent-Length: 5\r\n", false, Kind::length, 5, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", false, Kind::chunked, 0, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", false, Kind::chunked, 0,
         false},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n", false, Kind::chunked,
         0, false},
        {"HTTP/1.1 200 OK\r\n", false, Kind::until_close, 0, false},
        {"HTTP/1.0 200 OK\r\n", false, Kind::until_close, 0, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", false, Kind::length, 5, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n", false, Kind::length, 5, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", false, Kind::length, 5, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", true, Kind::none, 0, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", true, Kind::none, 0, true},
        {"HTTP/1.1 204 No Content\r\n", false, Kind::none, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", false, Kind::none, 0, true},
        {"HTTP/1.1 100 Continue\r\n", false, Kind::none, 0, true},
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n", false, Kind::none, 0, true},
        {"HTTP/1.1 999 \xe4\r\nContent-Length: 1\r\n", false, Kind::length, 1, true},
    };
    for (const Row& row : rows) {
        const auto outcome = parse_all(row.head + "\r\n", row.was_head);
        ASSERT_TRUE(std::holds_alternative<ResponseHead>(outcome)) << row.head << describe(outcome);
        const auto& head = std::get<ResponseHead>(outcome);
        EXPECT_EQ(head.framing.kind, row.kind) << row.head;
        EXPECT_EQ(head.framing.length, row.length) << row.head;
        EXPECT_EQ(head.keep_alive, row.keep_alive) << row.head;
    }
}

TEST(ResponseParser, refuses_what_is_no_answer) {
    const std::string rows[] = {
        "<html>",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1200 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (const std::string& row : rows) {
        const auto outcome = parse_all(row);
        ASSERT_TRUE(std::holds_alternative<ParseError>(outcome)) << row << describe(outcome);
        EXPECT_EQ(std::get<ParseError>(outcome).status, 502) << row;
    }
}

TEST(ResponseParser, gives_the_same_result_at_every_split) {
    const std::string messages[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA:\t b c \r\nEmpty:\r\n\r\n",
        "HTTP/1.0 404\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    };
    for (const std::string& message : messages) {
        const std::string whole = describe(parse_all(message));
        for (std::size_t first = 0; first <= message.size(); ++first) {
            for (std::size_t second = first; second <= message.size(); ++second) {
                ResponseParser parser(4096, false);
                Outcome outcome;
                for (const std::size_t size : {first, second, message.size()}) {
                    const std::string piece = message.substr(0, size);
                    outcome = parser.parse(piece);
                    if (!std::holds_alternative<NeedMore>(outcome)) break;
                }
                ASSERT_EQ(describe(outcome), whole) << message << " at " << first << ", " << second;
            }
        }
    }
}

TEST(ResponseParser, bounds_the_head) {
    const std::string head = "HTTP/1.1 200 OK\r\nA: " + std::string(75, 'a') + "\r\n\r\n";
    ASSERT_EQ(head.size(), 99U);
    EXPECT_TRUE(std::holds_alternative<ResponseHead>(parse_all(head, false, 99)));
    EXPECT_TRUE(std::holds_alternative<ParseError>(parse_all(head, false, 98)));
    EXPECT_TRUE(
        std::holds_alternative<ParseError>(parse_all("HTTP/1.1 200 " + std::string(200, 'a'), false, 99)));
    EXPECT_TRUE(
        std::holds_alternative<NeedMore>(parse_all("HTTP/1.1 200 " + std::string(50, 'a'), false, 99)));
}

TEST(Message, finds_tokens_in_lists) {
    EXPECT_TRUE(has_token("keep-alive, Upgrade", "upgrade"));
    EXPECT_TRUE(has_token(",, upgrade\t,", "Upgrade"));
    EXPECT_FALSE(has_token("upgraded", "upgrade"));
    EXPECT_FALSE(has_token("", "upgrade"));
    EXPECT_FALSE(has_token("up grade", "upgrade"));
}

}  // namespace
}  // namespace hawser::gateway::http1
