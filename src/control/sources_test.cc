// SPDX-License-Identifier: Apache-2.0
#include "control/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/fakes.h"

namespace hawser::control {
namespace {

using testing::HasSubstr;

// A Sources over one file whose lines are errors when they begin with "bad", and whose content names a
// service.
class SourcesTest : public testing::Test {
  protected:
    SourcesTest()
        : log_(*Log::open({false, gateway::LogLevel::info, log_file()})),
          sources_(
              io_, [this] { return read(); },
              [this](const auto& objects, const auto& previous) { return build(objects, previous); }, plane_,
              log_) {
        directory_.write("a.conf", "one\n");
    }

    [[nodiscard]] std::string log_file() const { return (directory_.path() / "log").string(); }

    ReadResult read() {
        ReadResult result;
        result.began = FileWatch::changed_clock();
        result.watch.files = {(directory_.path() / "a.conf").string()};
        std::ifstream file(directory_.path() / "a.conf");
        std::uint32_t line = 0;
        for (std::string text; std::getline(file, text);) {
            ++line;
            if (text.starts_with("bad")) result.diagnostics.error({"a.conf", line, 1}, text);
            catalog::Service service = site_service();
            service.metadata.name = text;
            result.objects.services.push_back({service, {}});
        }
        return result;
    }

    catalog::BuildResult build(const catalog::Objects& objects,
                               const std::shared_ptr<const catalog::Snapshot>& previous) {
        catalog::BuildResult result;
        if (fail_build_) {
            result.diagnostics.error({}, "two services want port 30100");
            return result;
        }
        result.snapshot = snapshot_of(objects.services.at(0).object, previous ? previous->number + 1 : 1);
        return result;
    }

    ReloadStatus reload(const char* cause) {
        std::optional<ReloadStatus> outcome;
        sources_.reload(cause, [&](const ReloadStatus& status) { outcome = status; });
        EXPECT_TRUE(run_until(io_, [&] { return outcome.has_value(); }));
        return outcome.value_or(ReloadStatus{});
    }

    [[nodiscard]] std::string name_in_force() const {
        return plane_.current() ? plane_.current()->services[0].object->metadata.name : "";
    }

    TemporaryDirectory directory_;
    boost::asio::io_context io_;
    FakePlane plane_;
    std::shared_ptr<Log> log_;
    bool fail_build_ = false;
    Sources sources_;
};

TEST_F(SourcesTest, puts_what_the_files_say_in_force) {
    const auto status = reload("start");
    EXPECT_TRUE(status.last_success);
    EXPECT_EQ(status.succeeded, 1U);
    EXPECT_EQ(name_in_force(), "one");
    EXPECT_TRUE(sources_.first_seen().contains("default/one"));
}

TEST_F(SourcesTest, a_bad_file_leaves_the_old_snapshot_and_shows_all_errors) {
    reload("start");
    directory_.write("a.conf", "two\nbad one\nbad two\n");
    const auto status = reload("SIGHUP");
    EXPECT_FALSE(status.last_success);
    EXPECT_EQ(status.failed, 1U);
    EXPECT_EQ(status.cause, "SIGHUP");
    EXPECT_EQ(status.diagnostics.errors(), 2U);
    EXPECT_EQ(name_in_force(), "one");
    EXPECT_THAT(directory_.read("log"), HasSubstr("error a.conf:2:1: bad one"));
    EXPECT_THAT(directory_.read("log"), HasSubstr("error a.conf:3:1: bad two"));
    EXPECT_THAT(directory_.read("log"), HasSubstr("snapshot 1 stays in force"));

    directory_.write("a.conf", "three\n");
    EXPECT_TRUE(reload("SIGHUP").last_success);
    EXPECT_EQ(name_in_force(), "three");
    EXPECT_EQ(plane_.current()->number, 2U);
}

TEST_F(SourcesTest, what_the_build_or_the_gateway_refuses_is_refused_whole) {
    reload("start");
    directory_.write("a.conf", "two\n");
    fail_build_ = true;
    EXPECT_FALSE(reload("SIGHUP").last_success);
    EXPECT_EQ(name_in_force(), "one");
    fail_build_ = false;
    plane_.refuse_with.error({}, "bind 0.0.0.0:80/TCP: Address already in use");
    const auto status = reload("SIGHUP");
    EXPECT_FALSE(status.last_success);
    EXPECT_THAT(status.diagnostics.text(), HasSubstr("Address already in use"));
    EXPECT_EQ(name_in_force(), "one");
    EXPECT_EQ(status.failed, 2U);
}

TEST_F(SourcesTest, a_changed_file_is_read_by_itself) {
    ASSERT_TRUE(sources_.watch_files());
    reload("start");
    directory_.write("a.conf", "two\n");
    EXPECT_TRUE(run_until(io_, [this] { return name_in_force() == "two"; }));
    directory_.write("a.conf", "bad\n");
    EXPECT_TRUE(run_until(io_, [this] { return sources_.status().failed == 1; }));
    EXPECT_EQ(sources_.status().cause, "file change");
    directory_.write("a.conf", "three\n");
    EXPECT_TRUE(run_until(io_, [this] { return name_in_force() == "three"; }))
        << "also watched after a bad one";
}

TEST_F(SourcesTest, requests_during_an_attempt_become_one_more_attempt) {
    int answers = 0;
    for (int i = 0; i < 5; ++i) sources_.reload("API", [&](const ReloadStatus&) { ++answers; });
    EXPECT_TRUE(run_until(io_, [&] { return answers == 5; }));
    EXPECT_EQ(sources_.status().succeeded, 2U);
}

TEST_F(SourcesTest, after_stop_nothing_is_applied_not_even_what_was_under_way) {
    reload("start");
    directory_.write("a.conf", "two\n");
    sources_.reload("SIGHUP");
    sources_.stop();
    sources_.reload("SIGHUP");
    run_until(
        io_, [] { return false; }, std::chrono::milliseconds(100));
    EXPECT_EQ(name_in_force(), "one");
    EXPECT_EQ(sources_.status().succeeded, 1U);
}

TEST_F(SourcesTest, a_service_keeps_the_time_when_it_was_first_seen) {
    reload("start");
    const auto first = sources_.first_seen().at("default/one");
    reload("SIGHUP");
    EXPECT_EQ(sources_.first_seen().at("default/one"), first);
    directory_.write("a.conf", "two\n");
    reload("SIGHUP");
    EXPECT_FALSE(sources_.first_seen().contains("default/one"));
}

}  // namespace
}  // namespace hawser::control
