// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::Listener;
using catalog::http::ServerName;
using testing::Site;

ServerName name_of(Site& site, std::string_view text) {
    ServerName out;
    if (text.starts_with('~')) {
        out.kind = ServerName::Kind::regex;
        out.regex = Site::regex(text.substr(1));
        out.named = site.named(*out.regex);
    } else if (text.starts_with("*.") || text.starts_with('.')) {
        out.kind = ServerName::Kind::leading_wildcard;
        out.also_bare = text.starts_with('.');
        text = text.substr(text.find('.'));
    } else if (text.ends_with(".*")) {
        out.kind = ServerName::Kind::trailing_wildcard;
        text.remove_suffix(1);
    }
    out.text = text;
    return out;
}

TEST(ServerIndex, picks_as_nginx_does) {
    std::vector<Site> sites(8);
    const std::vector<std::vector<std::string_view>> names = {{"default"},
                                                              {"www.example.com"},
                                                              {"*.example.com"},
                                                              {"mail.*", "mail.example.*"},
                                                              {".short.org"},
                                                              {"*.deep.example.com"},
                                                              {"~^(?<sub>[a-z]+)\\.re\\.net$"},
                                                              {""}};
    Listener listener;
    for (std::size_t i = 0; i < sites.size(); ++i) {
        for (const auto text : names[i]) sites[i].server->names.push_back(name_of(sites[i], text));
        sites[i].server->name = names[i].front();
        listener.servers.push_back(sites[i].server);
    }
    const ServerIndex index(listener);
    struct Row {
        const char *host, *server;
    };
    const Row rows[] = {{"WWW.example.com", "www.example.com"},
                        {"www.example.com.", "www.example.com"},
                        {"a.b.example.com", "*.example.com"},
                        {"example.com", "default"},
                        {"x.deep.example.com", "*.deep.example.com"},
                        {"mail.org", "mail.*"},
                        {"mail.example.net", "mail.*"},
                        {"mail.example.com", "*.example.com"},
                        {"short.org", ".short.org"},
                        {"a.short.org", ".short.org"},
                        {"abc.re.net", "~^(?<sub>[a-z]+)\\.re\\.net$"},
                        {"1.re.net", "default"},
                        {"", ""},
                        {"nothing", "default"},
                        {".example.com", "*.example.com"},
                        {"mail.", "default"},
                        {"mail.x.", "mail.*"},
                        {"mail.example.org", "mail.*"}};
    for (const Row& row : rows) {
        Exchange x;
        const auto found = index.find(row.host, x);
        EXPECT_EQ(found->name, row.server) << row.host;
        if (std::string_view(row.host) == "abc.re.net") {
            EXPECT_EQ(value_of(sites[6].variable("sub"), x), "abc");
            EXPECT_EQ(expand(sites[6].text("$1"), x), "abc");
        }
    }
    Exchange x;
    EXPECT_EQ(index.find(std::string(5000, 'a'), x)->name, "default");
}

TEST(ServerIndex, the_first_of_two_servers_with_one_name_keeps_it) {
    Site first;
    Site second;
    first.server->names = {name_of(first, "a")};
    second.server->names = {name_of(second, "a")};
    Listener listener;
    listener.servers = {second.server, first.server};
    listener.default_server = 1;
    Exchange x;
    EXPECT_EQ(ServerIndex(listener).find("a", x), second.server);
    EXPECT_EQ(ServerIndex(listener).find("b", x), first.server);
}

}  // namespace
}  // namespace hawser::gateway
