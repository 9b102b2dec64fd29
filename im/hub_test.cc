// SPDX-License-Identifier: Apache-2.0
#include "im/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <deque>

namespace hawser::im {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view secret = "0123456789abcdef";

// A store in memory whose answers come when the test says so.
class FakeStore final : public Store {
  public:
    void start(Events given) override { events = std::move(given); }
    void append(Draft draft, Answer<Appended> answer) override {
        appends.emplace_back(std::move(draft), std::move(answer));
    }
    void read(HistoryQuery query, Answer<HistoryPage> answer) override {
        reads.emplace_back(std::move(query), std::move(answer));
    }
    void send_signal(Signal signal) override { signals.push_back(std::move(signal)); }
    net::Result<std::string> shared_secret(const std::string& candidate) override { return candidate; }
    void tick() override {}
    void stop() override {}

    void store(const std::string& room, std::uint64_t seq) {
        messages[room].push_back(Message{room, seq, 1, "someone", std::to_string(seq), "text"});
        events.messages({messages[room].back()});
    }
    void answer_append(const net::Result<Appended>& result) {
        auto [draft, answer] = std::move(appends.front());
        appends.pop_front();
        answer(result);
    }
    void answer_read(unsigned most = 1000) {
        auto [query, answer] = std::move(reads.front());
        reads.pop_front();
        HistoryPage page;
        for (const auto& message : messages[query.room])
            if (message.seq > query.after && page.messages.size() < most) page.messages.push_back(message);
        answer(page);
    }

    Events events;
    std::map<std::string, std::vector<Message>> messages;
    std::deque<std::pair<Draft, Answer<Appended>>> appends;
    std::deque<std::pair<HistoryQuery, Answer<HistoryPage>>> reads;
    std::vector<Signal> signals;
};

struct FakeConnection final : Connection {
    void send(Frame frame) override { frames.push_back(json::parse(*frame).as_object()); }
    [[nodiscard]] std::size_t queued_bytes() const override { return queued; }
    void close(CloseCode code, std::string) override { closed = code; }
    void check(std::chrono::steady_clock::time_point) override {}

    [[nodiscard]] std::vector<std::uint64_t> seqs(std::string_view room) const {
        std::vector<std::uint64_t> out;
        for (const auto& frame : frames)
            if (frame.at("type") == json::value("message") && frame.at("room") == json::value(room))
                out.push_back(frame.at("seq").to_number<std::uint64_t>());
        return out;
    }
    [[nodiscard]] std::string last() const { return json::serialize(frames.back()); }

    std::vector<json::object> frames;
    std::size_t queued = 0;
    std::optional<CloseCode> closed;
};

class HubTest : public testing::Test {
  protected:
    HubTest() {
        store.start(hub.events());
        store.events.history("e1", {});
        store.events.ready(true);
    }

    SessionId open(FakeConnection& connection, const std::string& name, const std::string& resume = "{}") {
        const auto id = hub.opened(connection);
        const auto token =
            issue_token({.name = name, .scope = Scope::user, .expires_s = 99'999'999'999}, secret);
        hub.frame(id, R"({"type":"signin","name":")" + name + R"(","token":")" + token + R"(","resume":)" +
                          resume + "}");
        return id;
    }

    FakeStore store;
    Metrics metrics{"pod"};
    Hub::TimePoint now{std::chrono::seconds(1000)};
    Hub::Options options{"pod", std::string(secret), {"general"}, Limits{}};
    Hub hub{options, store, metrics, [this] { return now; }};
    FakeConnection ann, bob;
};

TEST_F(HubTest, acknowledges_only_after_the_store_has_answered) {
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"send","room":"general","id":"m1","text":"x"})");
    const auto before = ann.frames.size();
    ASSERT_EQ(store.appends.size(), 1U);
    EXPECT_EQ(ann.frames.size(), before);
    store.answer_append(Appended{1, 5, false});
    EXPECT_THAT(ann.last(), HasSubstr(R"("type":"ack","room":"general","id":"m1","seq":1)"));
}

TEST_F(HubTest, says_unavailable_when_the_store_could_not) {
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"send","room":"general","id":"m1","text":"x"})");
    store.answer_append(net::Error{.message = "disk full", .cause = nullptr});
    EXPECT_THAT(ann.last(), HasSubstr(R"("code":"unavailable","message":"disk full","id":"m1")"));
}

TEST_F(HubTest, an_answer_for_a_session_that_is_gone_is_dropped) {
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"send","room":"general","id":"m1","text":"x"})");
    hub.frame(id, R"({"type":"join","room":"general","after":0})");
    hub.closed(id);
    store.answer_append(Appended{1, 5, false});
    EXPECT_TRUE(hub.empty());
}

TEST_F(HubTest, who_resumes_gets_what_was_missed_and_what_comes_meanwhile_once_and_in_order) {
    for (std::uint64_t seq = 1; seq <= 5; ++seq) store.store("general", seq);
    open(ann, "ann", R"({"general":2})");
    ASSERT_EQ(store.reads.size(), 1U);
    store.store("general", 6);  // while the page is on its way
    store.answer_read();        // 3 to 6
    store.store("general", 7);
    EXPECT_THAT(ann.seqs("general"), ElementsAre(3, 4, 5, 6, 7));
    EXPECT_THAT(store.reads, IsEmpty());
}

TEST_F(HubTest, a_message_stored_after_the_page_was_read_is_fetched_with_another_page) {
    for (std::uint64_t seq = 1; seq <= 5; ++seq) store.store("general", seq);
    open(ann, "ann", R"({"general":2})");
    store.store("general", 6);
    store.answer_read(3);  // 3 to 5
    ASSERT_EQ(store.reads.size(), 1U);
    store.answer_read();
    EXPECT_THAT(ann.seqs("general"), ElementsAre(3, 4, 5, 6));
}

TEST_F(HubTest, a_slow_reader_gets_nothing_queued_and_is_brought_up_when_it_has_read) {
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"join","room":"general"})");
    store.store("general", 1);
    ann.queued = Delivery::short_queue;
    for (std::uint64_t seq = 2; seq <= 9; ++seq) store.store("general", seq);
    EXPECT_THAT(ann.seqs("general"), ElementsAre(1));
    EXPECT_THAT(store.reads, IsEmpty());
    ann.queued = 0;
    hub.drained(id);
    store.answer_read();
    EXPECT_THAT(ann.seqs("general"), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(HubTest, a_page_for_a_place_that_was_left_does_not_tear_a_hole_into_the_new_one) {
    for (std::uint64_t seq = 1; seq <= 9; ++seq) store.store("general", seq);
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"join","room":"general","after":6})");
    hub.frame(id, R"({"type":"leave","room":"general"})");
    hub.frame(id, R"({"type":"join","room":"general","after":2})");
    ASSERT_EQ(store.reads.size(), 2U);
    store.answer_read();  // of the first join
    EXPECT_THAT(ann.seqs("general"), IsEmpty());
    store.answer_read();
    EXPECT_THAT(ann.seqs("general"), ElementsAre(3, 4, 5, 6, 7, 8, 9));
}

TEST_F(HubTest, a_direct_message_reaches_every_session_of_both_without_a_join) {
    FakeConnection again, eve;
    open(ann, "ann");
    open(again, "ann");
    open(bob, "bob");
    open(eve, "eve");
    store.store("dm:ann:bob", 1);
    store.store("dm:ann:bob", 2);
    for (const auto* one : {&ann, &again, &bob}) EXPECT_THAT(one->seqs("dm:ann:bob"), ElementsAre(1, 2));
    EXPECT_THAT(eve.seqs("dm:ann:bob"), IsEmpty());
}

TEST_F(HubTest, a_position_of_another_history_is_taken_for_the_end) {
    store.store("general", 1);
    open(ann, "ann", R"({"general":900})");
    store.store("general", 2);
    EXPECT_THAT(ann.seqs("general"), ElementsAre(2));
}

TEST_F(HubTest, closes_everyone_when_the_history_became_another_one) {
    open(ann, "ann");
    store.events.history("e2", {});
    EXPECT_EQ(ann.closed, CloseCode::service_restart);
}

TEST_F(HubTest, closes_who_does_not_sign_in_in_time) {
    hub.opened(ann);
    now += std::chrono::milliseconds(9'999);
    hub.tick();
    EXPECT_EQ(ann.closed, std::nullopt);
    now += std::chrono::milliseconds(1);
    hub.tick();
    EXPECT_EQ(ann.closed, CloseCode::policy);
}

TEST_F(HubTest, refuses_beyond_the_rate_and_closes_who_does_not_stop) {
    const auto id = open(ann, "ann");
    for (int i = 0; i < 59; ++i) hub.frame(id, R"({"type":"ping"})");
    EXPECT_EQ(ann.last(), R"({"type":"pong"})");
    hub.frame(id, R"({"type":"send","room":"general","id":"m1","text":"x","ref":1})");
    EXPECT_THAT(ann.last(), HasSubstr(R"("code":"rate_limited")"));
    EXPECT_THAT(ann.last(), HasSubstr(R"("id":"m1","retry_after_ms":50,"ref":1)"));
    EXPECT_THAT(store.appends, IsEmpty());
    for (int i = 0; i < 38; ++i) hub.frame(id, R"({"type":"ping"})");
    EXPECT_EQ(ann.closed, std::nullopt);
    hub.frame(id, R"({"type":"ping"})");
    EXPECT_EQ(ann.closed, CloseCode::policy);
}

TEST_F(HubTest, a_drain_is_spread_and_waits_for_acks) {
    const auto first = open(ann, "ann");
    open(bob, "bob");
    hub.frame(first, R"({"type":"send","room":"general","id":"m1","text":"x"})");
    hub.drain(std::chrono::seconds(2));
    EXPECT_FALSE(hub.ready());
    now += std::chrono::seconds(2);
    hub.tick();
    EXPECT_EQ(ann.closed, std::nullopt);
    EXPECT_EQ(bob.closed, CloseCode::going_away);
    store.answer_append(Appended{1, 5, false});
    hub.tick();
    EXPECT_THAT(ann.last(), HasSubstr(R"("type":"ack")"));
    EXPECT_EQ(ann.closed, CloseCode::going_away);
}

TEST_F(HubTest, typing_of_another_replica_is_told_and_our_own_is_not_told_twice) {
    const auto id = open(ann, "ann");
    hub.frame(id, R"({"type":"join","room":"general"})");
    const auto told = open(bob, "bob");
    hub.frame(told, R"({"type":"join","room":"general"})");
    hub.frame(told, R"({"type":"typing","room":"general"})");
    EXPECT_EQ(ann.last(), R"({"type":"typing","room":"general","from":"bob"})");
    const auto before = ann.frames.size();
    for (const auto& signal : store.signals)
        if (signal.kind == "typing") store.events.signal(signal);
    EXPECT_EQ(ann.frames.size(), before);
    store.events.signal({"typing", R"({"instance":"other","room":"general","from":"zoe"})"});
    EXPECT_EQ(ann.last(), R"({"type":"typing","room":"general","from":"zoe"})");
}

}  // namespace
}  // namespace hawser::im
