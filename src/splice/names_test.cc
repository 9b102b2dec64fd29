// SPDX-License-Identifier: Apache-2.0
#include "splice/names.h"

#include <thread>

#include "splice/testing_packets.h"

namespace hawser::splice::testing {
namespace {

class NamesTest : public PacketTest {
  protected:
    const Tables& tables() { return node_->tables(); }
};

TEST_F(NamesTest, ANameIsFoundByItsKeyAlsoByAnotherProcess) {
    Names names(tables());
    const std::uint64_t key = names.put("default/web");
    EXPECT_EQ(key, name_key("default/web"));
    EXPECT_EQ(names.find(key), "default/web");
    EXPECT_EQ(Names(tables()).find(key), "default/web");
    EXPECT_EQ(names.put("default/web"), key);
    EXPECT_EQ(tables().names.size(), 1U);
}

TEST_F(NamesTest, KeysAreForEver) {
    // Flows and records of an earlier version of this program hold them.
    EXPECT_EQ(name_key(""), 0U);
    EXPECT_EQ(name_key("default/web"),
              balance::stable_hash(std::string_view("default/web"), 0x6861777365720010));
}

TEST_F(NamesTest, ABatchIsWrittenAtOnceAndLeavesOutWhatStandsAlready) {
    Names names(tables());
    names.put("a");
    Names::Batch batch(tables().names);
    for (const char* name : {"a", "b", "c", "b", ""}) EXPECT_EQ(names.put(name, batch), name_key(name));
    EXPECT_EQ(batch.size(), 2U);
    EXPECT_EQ(tables().names.size(), 1U);
    names.write(batch);
    EXPECT_EQ(batch.size(), 0U);
    EXPECT_EQ(tables().names.size(), 3U);
    EXPECT_EQ(Names(tables()).find(name_key("c")), "c");
}

TEST_F(NamesTest, NoNameHasNoKeyAndStandsNowhere) {
    Names names(tables());
    EXPECT_EQ(names.put(""), 0U);
    EXPECT_EQ(names.find(0), "");
    EXPECT_EQ(tables().names.size(), 0U);
}

TEST_F(NamesTest, AKeyThatIsNotThereIsAQuestionMark) { EXPECT_EQ(Names(tables()).find(4'711), "?"); }

TEST_F(NamesTest, WhatIsTooLongIsCut) {
    Names names(tables());
    for (const std::size_t size : {246U, 247U, 248U, 249U, 5'000U}) {
        const std::string name(size, 'n');
        EXPECT_EQ(names.find(names.put(name)), name.substr(0, 247)) << size;
    }
    EXPECT_EQ(tables().names.size(), 5U) << "by the whole name's key";
}

TEST_F(NamesTest, OnlyNeededNamesAreKeptAndOthersCanComeAgain) {
    Names names(tables());
    const std::uint64_t a = names.put("a"), b = names.put("b");
    const std::uint64_t foreign = name_key("of an earlier process");
    tables().names.put(foreign, layout::name{"of an earlier process"});
    names.keep({a});
    EXPECT_EQ(names.find(b), "b") << "it was put lately";
    EXPECT_EQ(names.find(foreign), "?");
    names.keep({a});
    EXPECT_EQ(names.find(a), "a");
    EXPECT_EQ(names.find(b), "?");
    EXPECT_EQ(names.find(foreign), "?");
    EXPECT_EQ(names.put("b"), b);
    EXPECT_EQ(names.find(b), "b");
    names.keep({});
    EXPECT_EQ(names.find(b), "b");
    names.keep({});
    EXPECT_EQ(tables().names.size(), 0U);
}

TEST_F(NamesTest, ManyThreadsPutTheSameNames) {
    Names names(tables());
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&names] {
            for (int n = 0; n < 500; ++n) names.put("name " + std::to_string(n));
        });
    threads.clear();
    EXPECT_EQ(tables().names.size(), 500U);
    EXPECT_EQ(names.find(name_key("name 499")), "name 499");
}

}  // namespace
}  // namespace hawser::splice::testing
