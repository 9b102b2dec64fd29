// SPDX-License-Identifier: Apache-2.0
#include "control/file_watch.h"

#include <gtest/gtest.h>

#include <tuple>

#include "control/fakes.h"

namespace hawser::control {
namespace {

namespace fs = std::filesystem;

class FileWatchTest : public testing::Test {
  protected:
    FileWatchTest()
        : watch_(
              io_, [this] { ++changes_; }, std::chrono::milliseconds(20)) {
        EXPECT_TRUE(watch_.open());
    }
    [[nodiscard]] std::string at(const std::string& name) const {
        return (directory_.path() / name).string();
    }
    void watch(const WatchList& list) {
        // What was written before is no change: file times are those of the coarse clock or, since
        // Linux 6.13, exact where somebody has asked for them, so wait until the coarse one is past this
        // moment.
        timespec written{};
        ::clock_gettime(CLOCK_REALTIME, &written);
        timespec now = FileWatch::changed_clock();
        while (std::tie(now.tv_sec, now.tv_nsec) <= std::tie(written.tv_sec, written.tv_nsec))
            now = FileWatch::changed_clock();
        ASSERT_TRUE(watch_.watch(list, now));
    }
    bool sees_change() {
        const bool seen = run_until(io_, [this] { return changes_ > 0; });
        changes_ = 0;
        return seen;
    }
    // Nothing to wait for: a change that is seen comes within the quiet time.
    bool sees_nothing() {
        run_until(
            io_, [this] { return changes_ > 0; }, std::chrono::milliseconds(120));
        return changes_ == 0;
    }

    TemporaryDirectory directory_;
    boost::asio::io_context io_;
    FileWatch watch_;
    int changes_ = 0;
};

TEST_F(FileWatchTest, sees_a_file_written_in_place_and_renamed_over) {
    directory_.write("a.conf", "1");
    watch({{at("a.conf")}, {}, {}});
    directory_.write("a.conf", "2");
    EXPECT_TRUE(sees_change());
    directory_.write("a.conf.new", "3");
    fs::rename(at("a.conf.new"), at("a.conf"));
    EXPECT_TRUE(sees_change());
    directory_.write("a.conf", "4");
    EXPECT_TRUE(sees_change()) << "still watched after the rename";
}

TEST_F(FileWatchTest, sees_a_file_go_and_a_missing_one_come) {
    directory_.write("a.conf", "1");
    watch({{at("a.conf"), at("sub/missing.conf")}, {}, {}});
    fs::remove(at("a.conf"));
    EXPECT_TRUE(sees_change());
    fs::create_directory(at("sub"));
    EXPECT_TRUE(sees_change());
}

TEST_F(FileWatchTest, sees_a_config_map_swapped) {
    directory_.write("..2026_1/im.yaml", "1");
    directory_.write("..2026_2/im.yaml", "2");
    fs::create_directory_symlink("..2026_1", at("..data"));
    fs::create_symlink("..data/im.yaml", at("im.yaml"));
    for (const WatchList& list : {WatchList{{at("im.yaml")}, {}, {}}, WatchList{{}, {at("")}, {}}}) {
        watch(list);
        fs::create_directory_symlink("..2026_2", at("..data_tmp"));
        fs::rename(at("..data_tmp"), at("..data"));
        EXPECT_TRUE(sees_change());
    }
}

TEST_F(FileWatchTest, sees_manifests_come_into_a_directory_and_below_it) {
    directory_.write("d/sub/a.yaml", "1");
    watch({{}, {at("d")}, {}});
    directory_.write("d/b.json", "1");
    EXPECT_TRUE(sees_change());
    directory_.write("d/sub/a.yaml", "2");
    EXPECT_TRUE(sees_change());
    fs::create_directory(at("d/new"));
    EXPECT_TRUE(sees_change());
}

TEST_F(FileWatchTest, sees_a_file_that_an_include_pattern_now_matches) {
    directory_.write("conf.d/a.conf", "1");
    watch({{}, {}, {at("conf.d/*.conf")}});
    directory_.write("conf.d/b.conf", "1");
    EXPECT_TRUE(sees_change());
    directory_.write("conf.d/README", "1");
    EXPECT_TRUE(sees_nothing());
}

TEST_F(FileWatchTest, does_not_care_for_other_files) {
    directory_.write("a.conf", "1");
    directory_.write("d/a.yaml", "1");
    watch({{at("a.conf")}, {at("d")}, {}});
    directory_.write("b.conf", "1");
    directory_.write("d/.a.yaml.swp", "1");
    directory_.write("d/notes.txt", "1");
    EXPECT_TRUE(sees_nothing());
}

TEST_F(FileWatchTest, makes_one_change_of_many_events) {
    directory_.write("d/a.yaml", "1");
    watch({{}, {at("d")}, {}});
    for (int i = 0; i < 50; ++i) directory_.write("d/" + std::to_string(i) + ".yaml", "1");
    EXPECT_TRUE(run_until(io_, [this] { return changes_ > 0; }));
    EXPECT_EQ(changes_, 1);
}

TEST_F(FileWatchTest, sees_what_changed_between_the_reading_and_the_watching) {
    const auto began = FileWatch::changed_clock();
    directory_.write("a.conf", "2");
    ASSERT_TRUE(watch_.watch({{at("a.conf")}, {}, {}}, began));
    EXPECT_TRUE(sees_change());
}

TEST_F(FileWatchTest, is_not_caught_in_links_that_lead_in_circles) {
    directory_.write("d/a.yaml", "1");
    for (const char* name : {"x", "y", "z"}) fs::create_directory_symlink(".", at(std::string("d/") + name));
    fs::create_symlink("loop", at("loop"));
    watch({{at("loop"), at("d/x/../../d/a.yaml")}, {at("d")}, {}});
    directory_.write("d/a.yaml", "2");
    EXPECT_TRUE(sees_change());
}

TEST_F(FileWatchTest, sees_an_edit_of_a_file_behind_a_link) {
    directory_.write("real/a.yaml", "1");
    fs::create_directory(at("d"));
    fs::create_symlink("../real/a.yaml", at("d/a.yaml"));
    watch({{}, {at("d")}, {}});
    directory_.write("real/a.yaml", "2");
    EXPECT_TRUE(sees_change());
}

}  // namespace
}  // namespace hawser::control
