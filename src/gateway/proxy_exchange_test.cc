// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <fstream>
#include <thread>

#include "gateway/testing_gateway.h"

namespace hawser::gateway::testing {
namespace {

const std::string hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n";
}

std::string body_of(std::string_view answer) {
    const auto end = answer.find("\r\n\r\n");
    return std::string(end == std::string_view::npos ? std::string_view{} : answer.substr(end + 4));
}

TEST(ProxyExchange, keeps_both_connections_and_answers_pipelined_requests_in_order) {
    for (const unsigned workers : {1U, 2U}) {
        Backend backend;
        Site site(workers);
        site.use(passes_to(backend));
        Peer client = site.client();
        client.send(get("/1") + get("/2") + get("/3"));
        Peer endpoint = backend.accept();
        for (const char* path : {"/1", "/2", "/3"}) {
            EXPECT_EQ(endpoint.read_until("\r\n\r\n").substr(0, 6), std::string("GET ") + path);
            endpoint.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + std::string(path));
        }
        for (const char* path : {"/1", "/2", "/3"}) {
            EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
            EXPECT_EQ(client.read(2), path);
        }
        EXPECT_FALSE(backend.is_wanted());
        EXPECT_TRUE(eventually([&] { return site.stats().idle_endpoint_connections == 1; }));
    }
}

TEST(ProxyExchange, answers_many_pipelined_requests_without_an_endpoint) {
    Site site;
    site.use("server { listen 127.0.0.1:1; keepalive_requests 10000; location / { return 204; } }");
    Peer client = site.client();
    std::string all;
    for (int i = 0; i < 2000; ++i) all += get("/");
    std::thread sender([&] { EXPECT_TRUE(client.send(all)); });
    for (int i = 0; i < 2000; ++i)
        ASSERT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 204 No Content\r\n")) << i;
    sender.join();
}

TEST(ProxyExchange, streams_chunks_both_ways) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "proxy_request_buffering off;"));
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    Peer endpoint = backend.accept();
    const auto head = endpoint.read_until("\r\n\r\n");
    EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << head;
    EXPECT_EQ(head.find("Content-Length"), std::string::npos) << head;
    EXPECT_EQ(endpoint.read(8), "3\r\nabc\r\n");
    endpoint.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n");
    EXPECT_NE(client.read_until("\r\n\r\n").find("Transfer-Encoding: chunked"), std::string::npos);
    EXPECT_EQ(client.read(7), "2\r\nxy\r\n");
    client.send("0\r\n\r\n");
    EXPECT_EQ(endpoint.read(5), "0\r\n\r\n");
    endpoint.send("0\r\n\r\n");
    EXPECT_EQ(client.read(5), "0\r\n\r\n");
    client.send(get("/again"));
    EXPECT_TRUE(endpoint.read_until("\r\n\r\n").starts_with("GET /again "));
    endpoint.send(hello);
    EXPECT_EQ(client.read_until("hello").substr(0, 12), "HTTP/1.1 200");
}

TEST(ProxyExchange, gives_a_chunked_body_a_length_where_it_is_collected) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    Peer endpoint = backend.accept();
    EXPECT_NE(endpoint.read_until("\r\n\r\n").find("Content-Length: 5\r\n"), std::string::npos);
    EXPECT_EQ(endpoint.read(5), "abcde");
    endpoint.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST(ProxyExchange, ends_a_body_of_nothing_for_the_second_endpoint_too) {
    Backend first, second;
    Site site;
    site.use("upstream app { server " + first.text() + "; server " + second.text() + "; }" +
             "server { listen 127.0.0.1:1; location / { proxy_pass http://app; proxy_http_version 1.1;"
             "proxy_request_buffering off; } }");
    Peer client = site.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    Peer bad = first.accept();
    bad.read_until("\r\n\r\n");
    client.send("0\r\n\r\n");
    EXPECT_EQ(bad.read(5), "0\r\n\r\n");
    bad.reset();
    Peer good = second.accept();
    good.read_until("\r\n\r\n");
    EXPECT_EQ(good.read(5), "0\r\n\r\n");
    good.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST(ProxyExchange, passes_the_head_alone_for_HEAD) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    Peer endpoint = backend.accept();
    EXPECT_TRUE(endpoint.read_until("\r\n\r\n").starts_with("HEAD / "));
    endpoint.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Length: 12345\r\n"), std::string::npos);
    client.send(get("/next"));
    EXPECT_TRUE(endpoint.read_until("\r\n\r\n").starts_with("GET /next "));
    endpoint.send(hello);
    EXPECT_TRUE(client.read_until("hello").starts_with("HTTP/1.1 200"));
}

TEST(ProxyExchange, says_100_continue_before_the_body_is_there) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    Peer endpoint = backend.accept();
    EXPECT_EQ(endpoint.read_until("\r\n\r\n").find("Expect"), std::string::npos);
    EXPECT_EQ(endpoint.read(3), "abc");
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n" + hello);
    EXPECT_TRUE(client.read_until("hello").starts_with("HTTP/1.1 200"));
}

TEST(ProxyExchange, passes_an_early_answer_on_and_does_not_reuse_what_was_half_sent) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "proxy_request_buffering off;"));
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    Peer endpoint = backend.accept();
    endpoint.read_until("abc");
    endpoint.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_TRUE(client.read_until("\r\n\r\nno").starts_with("HTTP/1.1 403"));
    EXPECT_TRUE(endpoint.sees_end() || endpoint.sees_reset());
    EXPECT_EQ(site.stats().idle_endpoint_connections, 0U);
    // The client may go on: its body is read and forgotten.
    client.send(std::string(97, 'x') + get("/next"));
    Peer other = backend.accept();
    EXPECT_TRUE(other.read_until("\r\n\r\n").starts_with("GET /next "));
    other.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST(ProxyExchange, does_not_reuse_an_endpoint_connection_after_a_broken_request_body) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "proxy_request_buffering off;"));
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    Peer endpoint = backend.accept();
    endpoint.read_until("3\r\nabc\r\n");
    endpoint.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nxy");
    client.read_until("xy");
    client.send("broken\r\n");
    EXPECT_TRUE(eventually([&] { return site.stats().bytes_from_clients == 72; }));
    endpoint.send("zz");
    EXPECT_EQ(client.read(2), "zz");
    EXPECT_TRUE(endpoint.sees_end() || endpoint.sees_reset());
    EXPECT_EQ(site.stats().idle_endpoint_connections, 0U);
    EXPECT_TRUE(client.sees_end());
}

std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * 4096;
}

TEST(ProxyExchange, stops_the_endpoint_while_the_client_does_not_read) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client(64 * 1024);
    client.send(get("/"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    constexpr std::size_t size = 64 << 20;
    const std::string piece(1 << 20, 'x');
    const std::size_t before = resident_bytes();
    std::atomic<std::size_t> sent{0};
    std::thread sender([&] {
        endpoint.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
        for (std::size_t at = 0; at < size && endpoint.send(piece); at += piece.size()) sent += piece.size();
    });
    // It comes to a halt by itself, far from the end.
    std::size_t last = 0;
    EXPECT_TRUE(eventually([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        const std::size_t now = sent;
        return std::exchange(last, now) == now && now != 0;
    }));
    EXPECT_LT(sent, size / 2);
    EXPECT_LT(resident_bytes(), before + (16 << 20));
    client.read_until("\r\n\r\n");
    std::size_t got = 0;
    while (got < size) {
        const std::size_t n = client.read(1 << 20).size();
        if (n == 0) break;
        got += n;
    }
    sender.join();
    EXPECT_EQ(got, size);
}

TEST(ProxyExchange, stops_the_client_while_the_endpoint_does_not_read) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "proxy_request_buffering off; client_max_body_size 0;"));
    Peer client = site.client();
    constexpr std::size_t size = 32 << 20;
    std::thread sender([&] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
        const std::string piece(1 << 20, 'y');
        for (std::size_t at = 0; at < size; at += piece.size()) client.send(piece);
    });
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    std::size_t got = 0;
    while (got < size) {
        const std::size_t n = endpoint.read(1 << 20).size();
        if (n == 0) break;
        got += n;
    }
    sender.join();
    EXPECT_EQ(got, size);
    endpoint.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST(ProxyExchange, passes_a_hundred_thousand_small_chunks) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    std::string chunks;
    for (int i = 0; i < 100'000; ++i) chunks += "1\r\nx\r\n";
    chunks += "0\r\n\r\n";
    std::thread sender(
        [&] { endpoint.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks); });
    client.read_until("\r\n\r\n");
    EXPECT_EQ(client.read(chunks.size()), chunks);
    sender.join();
}

TEST(ProxyExchange, takes_a_new_connection_when_the_kept_one_turns_out_dead) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/1"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send(hello);
    client.read_until("hello");
    // The endpoint reads the second request and closes without a word.
    client.send(get("/2"));
    endpoint.read_until("\r\n\r\n");
    endpoint.close();
    Peer fresh = backend.accept();
    EXPECT_TRUE(fresh.read_until("\r\n\r\n").starts_with("GET /2 "));
    fresh.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST(ProxyExchange, drops_a_kept_connection_that_the_endpoint_closes) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/1"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send(hello);
    client.read_until("hello");
    EXPECT_TRUE(eventually([&] { return site.stats().idle_endpoint_connections == 1; }));
    endpoint.close();
    EXPECT_TRUE(eventually([&] { return site.stats().idle_endpoint_connections == 0; }));
}

class NextUpstream : public ::testing::Test {
  protected:
    Backend first, second;
    Site site;
    Peer begin(const std::string& more, const std::string& request) {
        site.use("upstream app { server " + first.text() + "; server " + second.text() + "; }" +
                 "server { listen 127.0.0.1:1; location / { proxy_pass http://app; " + more + " } }");
        Peer client = site.client();
        client.send(request);
        return client;
    }
};

TEST_F(NextUpstream, tries_the_next_endpoint_when_one_cannot_be_reached) {
    first.close();
    Peer client = begin("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    Peer endpoint = second.accept();
    endpoint.read_until("abc");
    endpoint.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST_F(NextUpstream, sends_a_safe_request_again_after_a_reset_but_not_a_POST) {
    Peer client = begin("", get("/"));
    Peer one = first.accept();
    one.read_until("\r\n\r\n");
    one.reset();
    Peer two = second.accept();
    two.read_until("\r\n\r\n");
    two.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");

    Site other;
    other.use("upstream app { server " + second.text() + "; server " + first.text() + "; }" +
              "server { listen 127.0.0.1:1; location / { proxy_pass http://app; } }");
    Peer poster = other.client();
    poster.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    Peer three = second.accept();
    three.read_until("abc");
    three.reset();
    EXPECT_TRUE(poster.read_until("</html>").starts_with("HTTP/1.1 502"));
    EXPECT_FALSE(first.is_wanted());
}

TEST_F(NextUpstream, sends_a_POST_again_where_non_idempotent_allows_it) {
    Peer client = begin("proxy_next_upstream error non_idempotent;",
                        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    Peer one = first.accept();
    one.read_until("abc");
    one.reset();
    Peer two = second.accept();
    EXPECT_TRUE(two.read_until("abc").starts_with("POST "));
    two.send(hello);
    EXPECT_EQ(body_of(client.read_until("hello")), "hello");
}

TEST_F(NextUpstream, passes_the_last_bad_answer_on_and_counts_it_once) {
    Peer client = begin("proxy_next_upstream error http_503;", get("/"));
    for (Backend* backend : {&first, &second}) {
        Peer endpoint = backend->accept();
        endpoint.read_until("\r\n\r\n");
        endpoint.send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    }
    EXPECT_TRUE(client.read_until("busy").starts_with("HTTP/1.1 503 Busy\r\n"));
    EXPECT_TRUE(eventually([&] {
        std::uint64_t sum = 0;
        for (const auto& [key, n] : site.stats().endpoint_attempts) sum += n;
        return sum == 2;
    }));
}

TEST(ProxyExchange, shows_that_an_answer_was_cut) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    endpoint.close();
    client.read_until("\r\n\r\n");
    const std::string rest = client.read_to_end();
    EXPECT_EQ(rest.find("0\r\n\r\n"), std::string::npos) << rest;
    EXPECT_TRUE(eventually([&] { return site.log->has("cut its answer short"); }));
}

TEST(ProxyExchange, answers_502_and_504_in_time) {
    Site site;
    site.use("server { listen 127.0.0.1:1; location / { proxy_pass http://" + dead_address().text() +
             "; } }");
    Peer client = site.client();
    client.send(get("/"));
    EXPECT_TRUE(client.read_until("</html>").starts_with("HTTP/1.1 502 Bad Gateway\r\n"));

    Backend silent;
    site.use(passes_to(silent, "proxy_read_timeout 100ms;"));
    Peer other = site.client();
    other.send(get("/"));
    EXPECT_TRUE(other.read_until("</html>").starts_with("HTTP/1.1 504 Gateway Time-out\r\n"));
}

TEST(ProxyExchange, refuses_an_answer_that_is_none) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "proxy_next_upstream off;"));
    const std::string cases[] = {"nonsense\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"};
    for (const std::string& bad : cases) {
        Peer client = site.client();
        client.send(get("/"));
        Peer endpoint = backend.accept();
        endpoint.read_until("\r\n\r\n");
        endpoint.send(bad);
        EXPECT_TRUE(client.read_until("</html>").starts_with("HTTP/1.1 502")) << bad;
    }
}

TEST(ProxyExchange, ends_a_stream_of_interim_answers) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    std::string interim;
    for (int i = 0; i < 1000; ++i) interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
    endpoint.send(interim);
    EXPECT_TRUE(client.read_until("</html>").starts_with("HTTP/1.1 502"));
}

TEST(ProxyExchange, leaves_the_endpoint_when_the_client_goes) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(get("/"));
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    client.close();
    EXPECT_TRUE(endpoint.sees_end());
    EXPECT_TRUE(eventually([&] { return site.stats().requests[499] == 1; }));
}

TEST(ProxyExchange, gives_up_on_slow_heads_and_bodies) {
    Backend backend;
    Site site;
    site.use(
        "server { listen 127.0.0.1:1; client_header_timeout 100ms; client_body_timeout 100ms;"
        "location / { proxy_pass http://" +
        backend.text() + "; } }");
    Peer head = site.client();
    head.send("GET / HT");
    EXPECT_TRUE(head.sees_end());
    Peer body = site.client();
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_TRUE(body.sees_end());
    EXPECT_TRUE(eventually([&] { return site.stats().requests[408] == 2; }));
}

TEST(ProxyExchange, closes_an_idle_connection_after_keepalive_timeout) {
    Site site;
    site.use("server { listen 127.0.0.1:1; keepalive_timeout 100ms; location / { return 200 hi; } }");
    Peer client = site.client();
    client.send(get("/"));
    client.read_until("hi");
    EXPECT_TRUE(client.sees_end());
}

TEST(ProxyExchange, refuses_a_body_that_grows_too_large) {
    Backend backend;
    Site site;
    site.use(passes_to(backend, "client_max_body_size 10;"));
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" +
                std::string(20, 'x'));
    EXPECT_TRUE(client.read_until("</html>").starts_with("HTTP/1.1 413"));
}

TEST(ProxyExchange, sends_no_rest_of_a_body_to_where_X_Accel_Redirect_leads) {
    Backend app, files;
    Site site;
    site.use("server { listen 127.0.0.1:1; location / { proxy_pass http://" + app.text() +
             "; proxy_request_buffering off; } location /files/ { internal; proxy_pass http://" +
             files.text() + "; } }");
    Peer client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabc");
    Peer first = app.accept();
    first.read_until("abc");
    first.send("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /files/x\r\nContent-Length: 0\r\n\r\n");
    client.send("GET /evil HTTP/1.1\r\nA: b\r\n\r\n.");
    Peer second = files.accept();
    EXPECT_TRUE(second.read_until("\r\n\r\n").starts_with("GET /files/x HTTP/1.0\r\n"));
    EXPECT_TRUE(second.is_quiet());
    second.send("HTTP/1.0 200 OK\r\n\r\nfile");
    EXPECT_TRUE(client.read_until("file").starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(second.is_quiet());
    second.close();
}

TEST(ProxyExchange, forgets_a_delayed_request_whose_client_goes) {
    Site site;
    site.use(
        "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;"
        "server { listen 127.0.0.1:1; location / { limit_req zone=z burst=5; proxy_pass http://" +
        dead_address().text() + "; } }");
    Peer first = site.client();
    first.send(get("/"));
    first.read_until("</html>");
    Peer second = site.client();
    second.send(get("/"));
    EXPECT_TRUE(eventually([&] { return site.stats().connections == 2; }));
    second.close();
    EXPECT_TRUE(eventually([&] { return site.stats().requests[499] == 1; }));
}

}  // namespace
}  // namespace hawser::gateway::testing
