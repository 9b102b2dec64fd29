// SPDX-License-Identifier: Apache-2.0
#include "control/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>

#include "control/fakes.h"
#include "net/fd.h"
#include "tunnel/tunnel.h"

namespace hawser::control {
namespace {

namespace json = boost::json;

TEST(Log, json_gives_the_words_of_a_tunnel_line_as_members) {
    auto t = some_tunnel(12);
    t.reason = tunnel::CloseReason::idle;
    const auto line = json::parse("{" + json_members(tunnel::log_line(t, "close")) + "}").as_object();
    EXPECT_EQ(line.at("message"), "tunnel close");
    EXPECT_EQ(line.at("id"), "12");
    EXPECT_EQ(line.at("route"), "nginx:websocket.bbotte.com:80/");
    EXPECT_EQ(line.at("reason"), "idle");
    EXPECT_EQ(line.at("closed_by"), "hawser");
}

TEST(Log, a_message_cannot_forge_a_second_line) {
    const TemporaryDirectory directory;
    for (const bool as_json : {false, true}) {
        const std::string name = as_json ? "j.log" : "t.log";
        auto log = Log::open({as_json, gateway::LogLevel::info, (directory.path() / name).string()});
        ASSERT_TRUE(log);
        (*log)->info("GET /\n2026 error forged");
        (*log)->debug("too quiet to be written");
        const auto text = directory.read(name);
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
        if (as_json) {
            EXPECT_EQ(json::parse(text).at("level"), "info");
        }
    }
}

TEST(Log, goes_on_in_a_new_file_after_a_rotation) {
    const TemporaryDirectory directory;
    auto log = Log::open({false, gateway::LogLevel::info, (directory.path() / "a.log").string()});
    ASSERT_TRUE(log);
    (*log)->info("one");
    std::filesystem::rename(directory.path() / "a.log", directory.path() / "a.log.1");
    ASSERT_TRUE((*log)->reopen());
    (*log)->info("two");
    EXPECT_THAT(directory.read("a.log.1"), testing::EndsWith(" info one\n"));
    EXPECT_THAT(directory.read("a.log"), testing::EndsWith(" info two\n"));
}

TEST(Log, does_not_wait_for_a_reader_that_sleeps) {
    const TemporaryDirectory directory;
    const std::string path = (directory.path() / "pipe").string();
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const net::Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    auto log = Log::open({false, gateway::LogLevel::info, path});
    ASSERT_TRUE(log);
    const std::string line(1000, 'x');
    for (int i = 0; i < 1000; ++i) (*log)->info(line);
    std::string text(1 << 20, '\0');
    EXPECT_GT(::read(reader.get(), text.data(), text.size()), 0);
    (*log)->info("awake");
    text.resize(static_cast<std::size_t>(::read(reader.get(), text.data(), text.size())));
    EXPECT_THAT(text, testing::HasSubstr(" log line(s) were lost\n"));
    EXPECT_THAT(text, testing::EndsWith(" info awake\n"));
}

TEST(Log, says_which_file_it_cannot_open) {
    const auto log = Log::open({false, gateway::LogLevel::info, "/nonexistent/x.log"});
    ASSERT_FALSE(log);
    EXPECT_THAT(log.error().text(), testing::HasSubstr("/nonexistent/x.log"));
}

}  // namespace
}  // namespace hawser::control
