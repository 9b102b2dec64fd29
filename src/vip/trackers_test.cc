// SPDX-License-Identifier: Apache-2.0
#include "vip/trackers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hawser::vip {
namespace {

namespace vip = catalog::vip;

TEST(Weights, OfAThingThatIsGoodOrBad) {
    struct Case {
        bool good;
        int weight;
        bool reverse;
        int added;
        bool fault;
    };
    for (const Case& c : std::initializer_list<Case>{{true, 0, false, 0, false},
                                                     {false, 0, false, 0, true},
                                                     {true, 0, true, 0, true},
                                                     {false, 0, true, 0, false},
                                                     {true, 20, false, 20, false},
                                                     {false, 20, false, 0, false},
                                                     {true, 20, true, -20, false},
                                                     {true, -20, false, 0, false},
                                                     {false, -20, false, -20, false},
                                                     {false, -20, true, 20, false}}) {
        Verdict verdict;
        count_condition(verdict, "it", c.good, c.weight, c.reverse);
        EXPECT_EQ(verdict.added, c.added) << c.good << c.weight << c.reverse;
        EXPECT_EQ(!verdict.faults.empty(), c.fault) << c.good << c.weight << c.reverse;
    }
}

TEST(Weights, OfANumberInAFile) {
    struct Case {
        std::int64_t number;
        int weight;
        bool reverse;
        int added;
        bool fault;
    };
    constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
    for (const Case& c : std::initializer_list<Case>{{0, 0, false, 0, false},
                                                     {7, 0, false, 0, true},
                                                     {3, 10, false, 30, false},
                                                     {-3, 10, false, -30, false},
                                                     {3, 10, true, -30, false},
                                                     {26, -10, false, 0, true},
                                                     {26, 10, false, 253, false},
                                                     {huge, 2147483647, false, 253, false},
                                                     {huge, -2147483647, false, 0, true}}) {
        Verdict verdict;
        count_number(verdict, "it", c.number, c.weight, c.reverse);
        EXPECT_EQ(verdict.added, c.added) << c.number << " " << c.weight;
        EXPECT_EQ(!verdict.faults.empty(), c.fault) << c.number << " " << c.weight;
    }
}

class TrackersTest : public ::testing::Test {
  protected:
    TrackersTest() : directory_(std::filesystem::temp_directory_path() / ("hawser-vip-" + std::to_string(::getpid()))) {
        std::filesystem::create_directory(directory_);
    }
    ~TrackersTest() override { std::filesystem::remove_all(directory_); }

    vip::Command shell(const std::string& text) {
        vip::Command out;
        out.arguments = {"/bin/sh", "-c", text};
        out.user = ::geteuid();
        out.group = ::getegid();
        return out;
    }
    std::shared_ptr<vip::Script> script(const std::string& text) {
        auto out = std::make_shared<vip::Script>();
        out->name = "check";
        out->command = shell(text);
        out->interval = std::chrono::milliseconds(20);
        out->timeout = std::chrono::seconds(10);  // a loaded machine is no failure
        return out;
    }
    void track(const std::shared_ptr<vip::Script>& script) {
        plan_.routers.resize(1);
        plan_.routers[0].tracking.scripts = {{script, 0, false}};
        trackers_.configure(plan_);
    }
    bool is_fault() { return !trackers_.judge(plan_.routers[0].tracking, false).faults.empty(); }
    // Turns the loop until the verdict is so.
    bool becomes(bool fault) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
        while (is_fault() != fault && std::chrono::steady_clock::now() < end) loop_.turn(net::Duration{10});
        return is_fault() == fault;
    }
    std::string file(const char* name) { return (directory_ / name).string(); }

    std::filesystem::path directory_;
    net::Loop loop_;
    Links links_{loop_, [] {}};
    int changes_ = 0;
    std::vector<std::string> said_;
    Trackers trackers_{loop_, links_, [this](Severity, const std::string& line) { said_.push_back(line); },
                       [this] { ++changes_; }};
    vip::Plan plan_;
};

TEST_F(TrackersTest, AScriptThatFailsAndRecovers) {
    track(script("test ! -e " + file("bad")));
    EXPECT_FALSE(is_fault());
    std::ofstream(file("bad")) << "x";
    EXPECT_TRUE(becomes(true));
    EXPECT_EQ(changes_, 1);
    std::filesystem::remove(file("bad"));
    EXPECT_TRUE(becomes(false));
    EXPECT_EQ(changes_, 2);
}

TEST_F(TrackersTest, FallAndRiseCountRunsInARow) {
    const auto counting = script("echo x >> " + file("runs") + "; exit 1");
    counting->fall = 3;
    track(counting);
    EXPECT_TRUE(becomes(true));
    std::ifstream in(file("runs"));
    const auto runs = std::count(std::istreambuf_iterator<char>(in), {}, 'x');
    EXPECT_EQ(runs, 3);
}

TEST_F(TrackersTest, InitFailIsBadUntilItHasSucceeded) {
    const auto slow = script("sleep 0.05");
    slow->starts_bad = true;
    track(slow);
    EXPECT_TRUE(is_fault());
    EXPECT_TRUE(becomes(false));
}

TEST_F(TrackersTest, AScriptThatHangsIsBadAndIsKilled) {
    const auto hanging = script("echo $$ > " + file("pid") + "; trap '' TERM; sleep 60");
    hanging->timeout = std::chrono::seconds(2);
    track(hanging);
    EXPECT_TRUE(becomes(true));
    pid_t pid = 0;
    std::ifstream(file("pid")) >> pid;
    ASSERT_GT(pid, 0);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (::kill(pid, 0) == 0 && std::chrono::steady_clock::now() < end) loop_.turn(net::Duration{10});
    EXPECT_NE(::kill(pid, 0), 0) << "a process that ignores TERM is left";
}

TEST_F(TrackersTest, AScriptThatCannotBeStartedIsBad) {
    const auto missing = script("");
    missing->command.arguments = {file("nothing")};
    track(missing);
    EXPECT_TRUE(becomes(true));
}

TEST_F(TrackersTest, AChildHasNoDescriptorOfOurs) {
    track(script("ls /proc/self/fd > " + file("fds") + "; exit 1"));
    EXPECT_TRUE(becomes(true));
    std::ifstream in(file("fds"));
    for (int fd = 0; in >> fd;) EXPECT_LE(fd, 3) << "3 is ls's own";
}

TEST_F(TrackersTest, WhatIsKnownOfAScriptSurvivesAReload) {
    const auto bad = script("exit 1");
    track(bad);
    EXPECT_TRUE(becomes(true));
    track(std::make_shared<vip::Script>(*bad));
    EXPECT_TRUE(is_fault()) << "the same script is the same";
}

TEST_F(TrackersTest, AFileSaysANumber) {
    auto tracked = std::make_shared<vip::File>();
    tracked->name = "weight";
    tracked->path = file("weight");
    tracked->initial = 4;
    plan_.routers.resize(1);
    plan_.routers[0].tracking.files = {{tracked, 10, false}};
    trackers_.configure(plan_);
    EXPECT_EQ(trackers_.judge(plan_.routers[0].tracking, false).added, 40) << "it was made with its first number";
    std::ofstream(file("weight")) << "-7\n";
    for (int i = 0; i < 200 && changes_ == 0; ++i) loop_.turn(net::Duration{10});
    EXPECT_EQ(trackers_.judge(plan_.routers[0].tracking, false).added, -70);
}

TEST_F(TrackersTest, AProcessIsFoundByItsNameAndItsParameters) {
    const auto sleeper = script("exec sleep 61.5");
    sleeper->interval = std::chrono::seconds(60);
    sleeper->timeout = std::chrono::seconds(60);
    track(sleeper);
    auto process = std::make_shared<vip::Process>();
    process->name = "sleeper";
    process->command = {"sleep", "61.5"};
    process->parameters = vip::Process::Parameters::exact;
    auto other = std::make_shared<vip::Process>(*process);
    other->name = "other";
    other->command = {"sleep", "61.7"};
    plan_.routers[0].tracking.processes = {{process, 5, false}, {other, 7, false}};
    trackers_.configure(plan_);
    int added = 0;
    for (int i = 0; i < 300 && added == 0; ++i) {
        loop_.turn(net::Duration{10});
        added = trackers_.judge(plan_.routers[0].tracking, false).added;
    }
    EXPECT_EQ(added, 5);
}

}  // namespace
}  // namespace hawser::vip
