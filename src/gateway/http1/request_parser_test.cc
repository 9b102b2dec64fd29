// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "gateway/http1/parser.h"

namespace hawser::gateway::http1 {
namespace {

using Outcome = std::variant<NeedMore, RequestHead, ParseError>;

Outcome parse_all(std::string_view bytes, const RequestLimits& limits = {}) {
    return RequestParser(limits).parse(bytes);
}

// Everything that a head says, as text: equal texts are equal heads.
std::string describe(const RequestHead& head) {
    std::string out;
    for (const std::string_view part :
         {head.method, head.target, head.scheme, head.target_host, head.target_authority, head.raw_path,
          head.query, std::string_view(head.path), head.request_line, head.host}) {
        out.append(part).append("|");
    }
    for (const Field& field : head.fields.all())
        out.append(field.name).append("=").append(field.value).append("|");
    for (const std::uint64_t number :
         {std::uint64_t{head.has_query}, std::uint64_t{head.minor_version},
          static_cast<std::uint64_t>(head.framing.kind), head.framing.length,
          std::uint64_t{head.expect_continue}, std::uint64_t{head.keep_alive}, std::uint64_t{head.size}}) {
        out.append(std::to_string(number)).append("|");
    }
    return out;
}

std::string describe(const Outcome& outcome) {
    if (const auto* head = std::get_if<RequestHead>(&outcome)) return describe(*head);
    if (const auto* error = std::get_if<ParseError>(&outcome))
        return std::to_string(error->status) + " " + error->reason;
    return "need more";
}

int status_of(const Outcome& outcome) {
    if (const auto* error = std::get_if<ParseError>(&outcome)) return error->status;
    return std::holds_alternative<RequestHead>(outcome) ? 200 : 0;
}

std::string with_line(std::string_view line, std::string_view fields = "Host: h\r\n") {
    return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}
std::string with_fields(std::string_view fields) {
    return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

TEST(RequestParser, takes_a_websocket_handshake_apart) {
    const std::string bytes =
        "GET /chat/a%20b?room=1&x HTTP/1.1\r\nHost: IM.example.com:9080\r\nUpgrade: websocket\r\n"
        "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key:  dGhl\t \r\nEmpty:\r\n\r\nearly frame";
    auto outcome = parse_all(bytes);
    ASSERT_TRUE(std::holds_alternative<RequestHead>(outcome)) << describe(outcome);
    // Moved on purpose: the views must survive.
    const RequestHead head = std::move(std::get<RequestHead>(outcome));
    EXPECT_EQ(head.method, "GET");
    EXPECT_EQ(head.target, "/chat/a%20b?room=1&x");
    EXPECT_EQ(head.raw_path, "/chat/a%20b");
    EXPECT_EQ(head.path, "/chat/a b");
    EXPECT_EQ(head.query, "room=1&x");
    EXPECT_TRUE(head.has_query);
    EXPECT_EQ(head.host, "IM.example.com");
    EXPECT_EQ(head.request_line, "GET /chat/a%20b?room=1&x HTTP/1.1");
    EXPECT_EQ(head.size, bytes.size() - std::string_view("early frame").size());
    EXPECT_TRUE(head.fields.has_token("connection", "upgrade"));
    EXPECT_EQ(head.fields.find("sec-websocket-key"), "dGhl");
    EXPECT_EQ(head.fields.all()[3].name, "Sec-WebSocket-Key");
    EXPECT_EQ(head.fields.find("empty"), "");
    EXPECT_EQ(head.framing.kind, Framing::Kind::none);
    EXPECT_TRUE(head.keep_alive);
}

struct LineRow {
    std::string line;
    int status;
    std::string path = "", query = "", host = "h";
    std::string path_unmerged = "";  // with merge_slashes off, if it is another; "400" is refused
};

class RequestLines : public testing::TestWithParam<LineRow> {};

TEST_P(RequestLines, get_the_answer_of_nginx) {
    const LineRow& row = GetParam();
    for (const bool merge : {true, false}) {
        RequestLimits limits;
        limits.merge_slashes = merge;
        const auto outcome = parse_all(with_line(row.line), limits);
        std::string path = !merge && !row.path_unmerged.empty() ? row.path_unmerged : row.path;
        const int status = row.status == 400 && !merge && !row.path_unmerged.empty() ? 200 : row.status;
        ASSERT_EQ(status_of(outcome), status) << row.line << ": " << describe(outcome);
        if (status != 200) continue;
        const auto& head = std::get<RequestHead>(outcome);
        EXPECT_EQ(head.path, path) << row.line;
        EXPECT_EQ(head.query, row.query) << row.line;
        EXPECT_EQ(head.host, row.host) << row.line;
    }
}

// Asked of nginx 1.22.1 with `return 200 "$uri $args $host"`.
INSTANTIATE_TEST_SUITE_P(
    AsNginx, RequestLines,
    testing::Values(
        LineRow{"GET / HTTP/1.1", 200, "/"}, LineRow{"get / HTTP/1.1", 400}, LineRow{"G3T / HTTP/1.1", 400},
        LineRow{"M-SEARCH_X / HTTP/1.1", 200, "/"}, LineRow{"OPTIONS * HTTP/1.1", 400},
        LineRow{"OPTIONS / HTTP/1.1", 200, "/"}, LineRow{"CONNECT / HTTP/1.1", 405},
        LineRow{"TRACE / HTTP/1.1", 405}, LineRow{"GET / HTTP/2.0", 505}, LineRow{"GET / HTTP/10.0", 505},
        LineRow{"GET / HTTP/1.2", 200, "/"}, LineRow{"GET / HTTP/0.9", 400}, LineRow{"GET / http/1.1", 400},
        LineRow{"GET / HTTP/1.", 400}, LineRow{"GET / HTTP/1", 400}, LineRow{"GET / HTTP/x.1", 400},
        LineRow{"GET / HTTP/", 400}, LineRow{"GET / HTTP/1.1x", 400}, LineRow{"GET", 400},
        LineRow{"GET ", 400}, LineRow{"", 400}, LineRow{" / HTTP/1.1", 400},
        // the path
        LineRow{"GET /a/../b HTTP/1.1", 200, "/b"},
        LineRow{"GET /a/..//b HTTP/1.1", 200, "/b", "", "h", "//b"}, LineRow{"GET /../b HTTP/1.1", 400},
        LineRow{"GET /.. HTTP/1.1", 400}, LineRow{"GET /a/../.. HTTP/1.1", 400},
        LineRow{"GET /a/%2e%2e/b HTTP/1.1", 200, "/b"},
        LineRow{"GET /a%2f%2fb HTTP/1.1", 200, "/a/b", "", "h", "/a//b"}, LineRow{"GET /a%00 HTTP/1.1", 400},
        LineRow{"GET /a%3fb?c HTTP/1.1", 200, "/a?b", "c"}, LineRow{"GET /a%23b HTTP/1.1", 200, "/a#b"},
        LineRow{"GET /a%25b HTTP/1.1", 200, "/a%b"}, LineRow{"GET /a%2 HTTP/1.1", 400},
        LineRow{"GET /a% HTTP/1.1", 400}, LineRow{"GET /a%zz HTTP/1.1", 400},
        LineRow{"GET /a%2?x HTTP/1.1", 400}, LineRow{"GET /a#b?c HTTP/1.1", 200, "/a"},
        LineRow{"GET /a?b#c HTTP/1.1", 200, "/a", "b"}, LineRow{"GET /a?b?c#d#e HTTP/1.1", 200, "/a", "b?c"},
        LineRow{"GET /a?%zz%00 HTTP/1.1", 200, "/a", "%zz%00"}, LineRow{"GET /a+b HTTP/1.1", 200, "/a+b"},
        LineRow{"GET /a/./b/. HTTP/1.1", 200, "/a/b/"}, LineRow{"GET /a/b/.. HTTP/1.1", 200, "/a/"},
        LineRow{"GET /a/b/..?x HTTP/1.1", 200, "/a/", "x"},
        LineRow{"GET /a/...//.b/..c HTTP/1.1", 200, "/a/.../.b/..c", "", "h", "/a/...//.b/..c"},
        LineRow{"GET /.%2e/x HTTP/1.1", 400}, LineRow{"GET /a/.%2fb HTTP/1.1", 200, "/a/b"},
        LineRow{"GET /a/.%3fb HTTP/1.1", 200, "/a/.?b"}, LineRow{"GET /a/..%3f/.. HTTP/1.1", 200, "/a/"},
        LineRow{"GET /a/..%25 HTTP/1.1", 200, "/a/..%"}, LineRow{"GET /\xff HTTP/1.1", 200, "/\xff"},
        LineRow{"GET /a\x01 HTTP/1.1", 400}, LineRow{"GET /a\x7f HTTP/1.1", 400},
        LineRow{"GET /a\tb HTTP/1.1", 400}, LineRow{"GET /%7f%01 HTTP/1.1", 200, "/\x7f\x01"},
        LineRow{"GET //..//a HTTP/1.1", 400, "", "", "h", "//a"},
        LineRow{"GET /a//..//b HTTP/1.1", 200, "/b", "", "h", "/a//b"},
        // absolute-form: its host wins
        LineRow{"GET http://x.com HTTP/1.1", 200, "/", "", "x.com"},
        LineRow{"GET http://x.com?q=1 HTTP/1.1", 200, "/", "q=1", "x.com"},
        LineRow{"GET http://x.com/%2e HTTP/1.1", 200, "/", "", "x.com"},
        LineRow{"GET http://x.com:80/a HTTP/1.1", 200, "/a", "", "x.com"},
        LineRow{"GET http://x.com:/a HTTP/1.1", 200, "/a", "", "x.com"},
        LineRow{"GET ftp://X.COM./a HTTP/1.1", 200, "/a", "", "X.COM"},
        LineRow{"GET a1://b/ HTTP/1.1", 200, "/", "", "b"},
        LineRow{"GET http://[::1]:80/a HTTP/1.1", 200, "/a", "", "[::1]"},
        LineRow{"GET http://[::1/a HTTP/1.1", 400}, LineRow{"GET http://x_y.com/ HTTP/1.1", 400},
        LineRow{"GET http:///a HTTP/1.1", 400}, LineRow{"GET http:/a HTTP/1.1", 400},
        LineRow{"GET x.com HTTP/1.1", 400}, LineRow{"GET http://u@x.com/ HTTP/1.1", 400},
        LineRow{"GET http://x.com#f HTTP/1.1", 400}, LineRow{"GET http://x.com:80:90/ HTTP/1.1", 400},
        LineRow{"GET ?x HTTP/1.1", 400}, LineRow{"GET http://a..b/ HTTP/1.1", 400},
        LineRow{"GET 1http://a/ HTTP/1.1", 400}));

// The table of README.md: nginx takes these.
INSTANTIATE_TEST_SUITE_P(StricterThanNginx, RequestLines,
                         testing::Values(LineRow{"GET  / HTTP/1.1", 400}, LineRow{"GET /  HTTP/1.1", 400},
                                         LineRow{"GET / HTTP/1.1 ", 400}, LineRow{"GET / HTTP/1.10", 400},
                                         LineRow{"GET / HTTP/1.01", 400}, LineRow{"GET /x ", 400},
                                         LineRow{"CONNECT h:80 HTTP/1.1", 405}));

TEST(RequestParser, validates_the_host_as_nginx_does) {
    struct Row {
        std::string fields;
        int status;
        std::string host = "";
    };
    const Row rows[] = {
        {"", 400},
        {"Host: a\r\nHost: a\r\n", 400},
        {"Host: a\r\nhost: b\r\n", 400},
        {"Host:\r\n", 400},
        {"Host: a b\r\n", 400},
        {"Host: a/b\r\n", 400},
        {"Host: A.com.\r\n", 200, "A.com"},
        {"Host: a..b\r\n", 400},
        {"Host: .\r\n", 400},
        {"Host: a:b\r\n", 200, "a"},
        {"Host: :80\r\n", 400},
        {"Host: [::1]:80\r\n", 200, "[::1]"},
        {"Host: [::1\r\n", 200, "[::1"},
        {"Host: a]b\r\n", 200, "a]b"},
        {"Host: a_b\r\n", 200, "a_b"},
        {"Host: a\tb\r\n", 400},
        {"Host: x.:80\r\n", 200, "x"},
        {"Host: a\xff\r\n", 200, "a\xff"},
    };
    for (const Row& row : rows) {
        const auto outcome = parse_all(with_line("GET / HTTP/1.1", row.fields));
        EXPECT_EQ(status_of(outcome), row.status) << row.fields << describe(outcome);
        if (row.status == 200) {
            EXPECT_EQ(std::get<RequestHead>(outcome).host, row.host);
        }
        // The host of the target wins, and does not excuse the field.
        const auto absolute = parse_all(with_line("GET http://t/ HTTP/1.1", row.fields));
        EXPECT_EQ(status_of(absolute), row.status) << row.fields;
        if (row.status == 200) {
            EXPECT_EQ(std::get<RequestHead>(absolute).host, "t");
        }
    }
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.0\r\n\r\n")), 200);
}

TEST(RequestParser, refuses_what_smuggles) {
    struct Row {
        std::string fields;
        int status;
    };
    const std::string nul("A: b\0c\r\n", 8);
    const Row rows[] = {
        {"Content-Length: 0\r\nContent-Length: 0\r\n", 400},
        {"Content-Length: 5\r\ncontent-length: 6\r\n", 400},
        {"Content-Length: 5, 5\r\n", 400},
        {"Content-Length: +5\r\n", 400},
        {"Content-Length: -1\r\n", 400},
        {"Content-Length: 0x5\r\n", 400},
        {"Content-Length: 5 5\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: 9223372036854775808\r\n", 400},
        {"Content-Length: 99999999999999999999\r\n", 400},
        {"Content-Length: 9223372036854775807\r\n", 200},
        {"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: Chunked\r\n", 200},
        {"Transfer-Encoding: chunked, chunked\r\n", 501},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: chunked;q=1\r\n", 501},
        {"Transfer-Encoding: \"chunked\"\r\n", 501},
        {"Transfer-Encoding: xchunked\r\n", 501},
        {"Transfer-Encoding: identity\r\n", 501},
        {"Transfer-Encoding:\r\n", 501},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400},
        {"Transfer-Encoding : chunked\r\n", 400},
        {"Transfer-Encoding\t: chunked\r\n", 400},
        {"Transfer-Encoding:\vchunked\r\n", 400},
        {"Transfer-Encoding: chunked\v\r\n", 400},
        {"Transfer-Encoding:\n chunked\r\n", 400},
        {"Transfer-Encoding\r\n: chunked\r\n", 400},
        {" Transfer-Encoding: chunked\r\n", 400},
        {"A: b\r\n Transfer-Encoding: chunked\r\n", 400},
        {"A: b\r\n\tc\r\n", 400},
        {"A: b\nTransfer-Encoding: chunked\r\n", 400},
        {"A: b\rTransfer-Encoding: chunked\r\n", 400},
        {"A: b\r\r\n", 400},
        {nul, 400},
        {"A: b\x01\r\n", 400},
        {"A: b\x7f\r\n", 400},
        {"A\r\n", 400},
        {"A b\r\n", 400},
        {": b\r\n", 400},
        {"A: b\tc\r\n", 200},
        {"A: \xff\r\n", 200},
        {"Expect: 100-continue\r\nExpect: 100-continue\r\n", 400},
        {"Authorization: a\r\nAuthorization: a\r\n", 400},
        {"If-Match: a\r\nIf-Match: a\r\n", 400},
        {"Cookie: a\r\nCookie: b\r\nUpgrade: a\r\nUpgrade: a\r\n", 200},
    };
    for (const Row& row : rows) {
        const auto outcome = parse_all(with_fields(row.fields));
        EXPECT_EQ(status_of(outcome), row.status) << row.fields << describe(outcome);
    }
    EXPECT_EQ(status_of(parse_all("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")), 400);
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.1\nHost: h\r\n\r\n")), 400);
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.1\r\nHost: h\r\n\n")), 400);
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.1\rHost: h\r\n\r\n")), 400);
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.1\r\nHost: h\r\n\rX")), 400);
}

TEST(RequestParser, leaves_invalid_names_out_or_keeps_them_as_told) {
    struct Row {
        std::string name;
        bool ignore, underscores;
        int fields;  // besides Host; -1 is 400
    };
    const Row rows[] = {
        {"A-1", true, false, 1},    {"A_B", true, false, 0},   {"A_B", true, true, 1},
        {"A_B", false, false, 1},   {"A.B", true, false, 0},   {"A.B", false, false, 1},
        {"A(B", true, true, 0},     {"A(B", false, false, -1}, {"A\xff", true, true, 0},
        {"A\xff", false, true, -1},
    };
    for (const Row& row : rows) {
        RequestLimits limits;
        limits.ignore_invalid_headers = row.ignore;
        limits.underscores_in_headers = row.underscores;
        const auto outcome = parse_all(with_fields(row.name + ": x\r\n"), limits);
        EXPECT_EQ(status_of(outcome), row.fields < 0 ? 400 : 200) << row.name;
        if (row.fields >= 0) {
            EXPECT_EQ(std::get<RequestHead>(outcome).fields.all().size(),
                      1U + static_cast<unsigned>(row.fields))
                << row.name;
        }
    }
    // One bad name does not spoil the next.
    const auto outcome = parse_all(with_fields("A_B: x\r\nC: y\r\n"));
    EXPECT_EQ(std::get<RequestHead>(outcome).fields.find("c"), "y");
}

TEST(RequestParser, says_what_the_client_wants_of_the_connection) {
    struct Row {
        std::string version, fields;
        bool keep_alive, expect_continue;
    };
    const Row rows[] = {
        {"1.1", "", true, false},
        {"1.0", "", false, false},
        {"1.0", "Connection: Keep-Alive\r\n", true, false},
        {"1.1", "Connection: x, CLOSE\r\n", false, false},
        {"1.1", "Connection: enclosed\r\n", true, false},
        {"1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, false},
        {"1.1", "Expect: 100-Continue\r\n", true, true},
        {"1.1", "Expect: something\r\n", true, false},
        {"1.0", "Expect: 100-continue\r\n", false, false},
    };
    for (const Row& row : rows) {
        const auto outcome = parse_all(with_line("GET / HTTP/" + row.version, "Host: h\r\n" + row.fields));
        ASSERT_EQ(status_of(outcome), 200) << row.fields;
        EXPECT_EQ(std::get<RequestHead>(outcome).keep_alive, row.keep_alive) << row.version << row.fields;
        EXPECT_EQ(std::get<RequestHead>(outcome).expect_continue, row.expect_continue) << row.fields;
    }
}

TEST(RequestParser, knows_http_0_9) {
    const auto outcome = parse_all("GET /x\r\nnot a header");
    ASSERT_EQ(status_of(outcome), 200);
    const auto& head = std::get<RequestHead>(outcome);
    EXPECT_EQ(head.minor_version, 9);
    EXPECT_EQ(head.path, "/x");
    EXPECT_EQ(head.size, 8U);
    EXPECT_FALSE(head.keep_alive);
    EXPECT_EQ(status_of(parse_all("POST /x\r\n")), 400);
}

TEST(RequestParser, gives_the_same_result_at_every_split) {
    const std::string messages[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\n\r\nPOST http://x.com:80/a/../b%20c?q#f HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nA:\r\nB: c "
        "d \t\r\n\r\n",
        "GET /x\r\n",
        "PUT /a//b HTTP/1.0\r\nConnection: keep-alive\r\nX_Y: 1\r\nX.Y: 2\r\n\r\n",
        with_fields("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
        // errors: the same one, wherever it becomes visible
        with_fields("A: b\n"),
        with_fields("A : b\r\n"),
        with_fields("A: b\rc\r\n"),
        with_fields("Content-Length: x\r\n"),
        "GET / HTTP/3.0\r\n\r\n",
        "GET /%zz HTTP/1.1\r\n\r\n",
        "GET\t/ HTTP/1.1\r\n\r\n",
        "\r\rGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nA\rB\r\n\r\n",
    };
    for (const std::string& message : messages) {
        const std::string whole = describe(parse_all(message));
        for (std::size_t first = 0; first <= message.size(); ++first) {
            for (std::size_t second = first; second <= message.size();
                 second += 1 + (message.size() - second) / 5) {
                RequestParser parser{RequestLimits{}};
                // Each time other memory: the parser may keep no pointer into the input.
                Outcome outcome;
                for (const std::size_t size : {first, second, message.size()}) {
                    const std::string piece = message.substr(0, size);
                    outcome = parser.parse(piece);
                    if (!std::holds_alternative<NeedMore>(outcome)) break;
                }
                ASSERT_EQ(describe(outcome), whole) << message << " at " << first << ", " << second;
            }
        }
        RequestParser parser{RequestLimits{}};
        Outcome outcome;
        for (std::size_t size = 0; size <= message.size() && std::holds_alternative<NeedMore>(outcome);
             ++size) {
            outcome = parser.parse(std::string_view(message).substr(0, size));
        }
        ASSERT_EQ(describe(outcome), whole) << message;
    }
}

TEST(RequestParser, forgives_a_few_empty_lines_before_a_request_only) {
    RequestParser parser{RequestLimits{}};
    EXPECT_EQ(status_of(parser.parse("\r\n\r")), 0);
    EXPECT_FALSE(parser.started());
    EXPECT_EQ(status_of(parser.parse("\r\n\r\nG")), 0);
    EXPECT_TRUE(parser.started());
    const auto outcome = parser.parse("\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    ASSERT_EQ(status_of(outcome), 200);
    EXPECT_EQ(std::get<RequestHead>(outcome).size, 22U);
    EXPECT_EQ(std::get<RequestHead>(outcome).request_line, "GET / HTTP/1.0");
    std::string many;
    for (int i = 0; i < 20; ++i) many += "\r\n";
    EXPECT_EQ(status_of(parse_all(many)), 400);
    EXPECT_EQ(status_of(parse_all("\nGET / HTTP/1.0\r\n\r\n")), 400);
}

TEST(RequestParser, refuses_a_tls_hello_by_its_first_byte) {
    EXPECT_EQ(status_of(parse_all("\x16\x03\x01")), 400);
    EXPECT_EQ(status_of(parse_all("\x16")), 400);
    EXPECT_EQ(status_of(parse_all("{")), 400);
}

// The numbers were asked of nginx 1.22.1: client_header_buffer_size 1k, large_client_header_buffers 4 8k.
TEST(RequestParser, bounds_lines_and_heads_as_nginx_does) {
    const auto line = [](std::size_t size) { return "GET /" + std::string(size, 'a') + " HTTP/1.0\r\n\r\n"; };
    EXPECT_EQ(status_of(parse_all(line(8176))), 200);
    EXPECT_EQ(status_of(parse_all(line(8177))), 414);
    EXPECT_EQ(status_of(parse_all(std::string("GET /") + std::string(8186, 'a'))), 0);
    EXPECT_EQ(status_of(parse_all(std::string("GET /") + std::string(8187, 'a'))), 414);
    const auto field = [](std::size_t size) {
        return "GET / HTTP/1.0\r\nA: " + std::string(size, 'a') + "\r\n\r\n";
    };
    EXPECT_EQ(status_of(parse_all(field(8187))), 200);
    const auto too_large = parse_all(field(8188));
    ASSERT_EQ(status_of(too_large), 400);
    EXPECT_EQ(std::get<ParseError>(too_large).page, 494);
    EXPECT_EQ(status_of(parse_all("GET / HTTP/1.0\r\n" + std::string(8192, 'a'))), 400);
    const auto fields = [](int count) {
        std::string head = "GET / HTTP/1.0\r\n";
        for (int i = 0; i < count; ++i) head += "A: " + std::string(8000, 'a') + "\r\n";
        return head + "\r\n";
    };
    EXPECT_EQ(status_of(parse_all(fields(4))), 200);
    EXPECT_EQ(status_of(parse_all(fields(5))), 400);
    RequestLimits limits;
    limits.max_fields = 3;
    EXPECT_EQ(status_of(parse_all(with_fields("A: 1\r\nB: 1\r\n"), limits)), 200);
    EXPECT_EQ(status_of(parse_all(with_fields("A: 1\r\nB: 1\r\nC_D: 1\r\n"), limits)), 400);
}

TEST(RequestParser, shows_the_request_line_of_a_request_that_failed) {
    RequestParser parser{RequestLimits{}};
    const std::string_view bytes = "\r\nGET /x HTTP/7.0\r\nHost: h\r\n\r\n";
    EXPECT_EQ(status_of(parser.parse(bytes)), 505);
    EXPECT_EQ(parser.request_line_of(bytes), "GET /x HTTP/7.0");
    parser.reset(RequestLimits{});
    EXPECT_FALSE(parser.started());
    EXPECT_EQ(parser.request_line_of("GET /hal"), "GET /hal");
}

TEST(RequestParser, reads_pipelined_requests_one_after_the_other) {
    const std::string bytes = "GET /1 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: i\r\n\r\n";
    RequestParser parser{RequestLimits{}};
    const auto first = parser.parse(bytes);
    ASSERT_EQ(status_of(first), 200);
    parser.reset(RequestLimits{});
    const auto second = parser.parse(std::string_view(bytes).substr(std::get<RequestHead>(first).size));
    ASSERT_EQ(status_of(second), 200);
    EXPECT_EQ(std::get<RequestHead>(second).path, "/2");
    EXPECT_EQ(std::get<RequestHead>(second).host, "i");
    EXPECT_EQ(std::get<RequestHead>(second).fields.all().size(), 1U);
}

}  // namespace
}  // namespace hawser::gateway::http1
