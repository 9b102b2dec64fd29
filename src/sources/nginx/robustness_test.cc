// SPDX-License-Identifier: Apache-2.0
// Files that nobody wrote: pieces of configuration cut, doubled and spoiled by a fixed sequence of accidents.

#include <gtest/gtest.h>

#include "catalog/testing_spoiler.h"
#include "sources/nginx/load.h"
#include "sources/nginx/model_text.h"

namespace hawser::nginx {
namespace {

constexpr std::string_view seed = R"(events { worker_connections 10; }
http {
    map $http_upgrade $cu { default upgrade; '' close; ~^(?<x>a.)$ $x; }
    map $host $h { hostnames; *.a.b 1; .c 2; d.* 3; }
    log_format j escape=json '{"a":"${remote_addr}"}' "$status";
    limit_req_zone $binary_remote_addr zone=r:1m rate=30r/m;
    limit_conn_zone $server_name zone=c:64k;
    upstream u { hash $uri consistent; server 10.0.0.1:8080 weight=3 max_fails=1 fail_timeout=10s; server [::1]:9 down; keepalive 2; }
    server {
        listen 80 default_server backlog=5; listen [::]:81-83 ipv6only=off;
        server_name a.b *.c ~^(?<sub>\w+)\.d$ "";
        set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
        rewrite ^/old/(.*)$ /new/$1? last;
        if ($request_method !~ "^(GET|POST)$") { return 405; }
        access_log /dev/null j if=$cu;
        location / {
            proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
            proxy_redirect ~*http://([^/]+)/(.*) $scheme://$1/$2; proxy_read_timeout 1h30m;
            limit_req zone=r burst=5 nodelay; limit_conn c 10; allow 1.2.3.4; deny all;
            location ~ \.x$ { set $b u; proxy_pass http://$b/$uri$is_args$args; add_header A "$sub" always; }
        }
        location = /x { return 301 https://$host$request_uri; }
    }
}
)";

LoadOptions offline() {
    LoadOptions options;
    options.resolve = [](const std::string&) { return net::Error{}; };
    return options;
}

TEST(Robustness, the_seed_is_good) {
    catalog::Diagnostics diagnostics;
    const Loaded loaded = load_text(seed, "f", offline(), diagnostics);
    EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.text();
    EXPECT_EQ(loaded.listeners.size(), 4U);
}

TEST(Robustness, every_beginning_of_a_good_file_is_read_without_harm) {
    for (std::size_t length = 0; length < seed.size(); length += 3) {
        catalog::Diagnostics diagnostics;
        const Loaded loaded = load_text(seed.substr(0, length), "f", offline(), diagnostics);
        EXPECT_TRUE(loaded.listeners.empty() || !diagnostics.has_errors());
    }
}

TEST(Robustness, spoiled_files_are_read_without_harm) {
    catalog::testing::Spoiler spoiler(20260822, "{};\"'\\$#~*()[]=.:/@ \n\t0aZ");
    for (int round = 0; round < 1500; ++round) {
        const std::string text = spoiler.spoil(seed);
        // An accident may write a path; nothing of this machine is to be read.
        if (text.find("include") != std::string::npos) continue;
        catalog::Diagnostics diagnostics;
        const Loaded loaded = load_text(text, "f", offline(), diagnostics);
        EXPECT_TRUE(loaded.listeners.empty() || !diagnostics.has_errors());
        model_text(loaded.listeners);
    }
}

}  // namespace
}  // namespace hawser::nginx
