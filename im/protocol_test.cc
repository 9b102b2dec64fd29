// SPDX-License-Identifier: Apache-2.0
#include "im/protocol.h"

#include <gtest/gtest.h>

namespace hawser::im {
namespace {

template <class T>
T decoded(std::string_view text) {
    auto result = decode_request(text);
    if (const auto* refusal = std::get_if<Refusal>(&result)) {
        ADD_FAILURE() << text << ": " << refusal->message;
        return {};
    }
    return std::get<T>(std::get<Request>(result).what);
}

TEST(Protocol, decodes_every_request) {
    const auto sign_in =
        decoded<SignIn>(R"({"type":"signin","name":"ann","token":"t","resume":{"general":12}})");
    EXPECT_EQ(sign_in.name, "ann");
    EXPECT_EQ(sign_in.resume.at("general"), 12U);
    EXPECT_EQ(decoded<Join>(R"({"type":"join","room":"general","after":0})").after, 0U);
    EXPECT_EQ(decoded<Join>(R"({"type":"join","room":"general","after":null})").after, std::nullopt);
    EXPECT_EQ(decoded<Leave>(R"({"type":"leave","room":"general"})").room, "general");
    EXPECT_EQ(decoded<Send>(R"({"type":"send","to":"bob","id":"1","text":"hi"})").to, "bob");
    EXPECT_EQ(decoded<Typing>(R"({"type":"typing","room":"dm:ann:bob"})").room, "dm:ann:bob");
    const auto history =
        decoded<History>(R"({"type":"history","room":"general","before":7,"limit":3})").query;
    EXPECT_EQ(history.before, 7U);
    EXPECT_EQ(history.limit, 3U);
    EXPECT_FALSE(history.forward);
    decoded<ListRooms>(R"({"type":"rooms"})");
    decoded<ListUsers>(R"({"type":"users"})");
    decoded<Ping>(R"({"type":"ping","later":"fields are ignored"})");
}

TEST(Protocol, refuses_what_is_malformed_and_says_which_field) {
    const struct {
        std::string text, message;
    } cases[] = {
        {"", "the frame is not a JSON object"},
        {"7", "the frame is not a JSON object"},
        {R"({"type":"ping"} x)", "the frame is not a JSON object"},
        {R"({"type":{"a":{"b":{"c":{"d":1}}}}})", "the frame is not a JSON object"},
        {R"({"type":7})", "type is not a string"},
        {R"({"type":"fly"})", "type is missing or unknown"},
        {R"({"type":"join"})", "room is missing"},
        {R"({"type":"join","room":"a b"})", "room is not the name of a room"},
        {R"({"type":"join","room":"a","after":1.5})", "after is not a sequence number"},
        {R"({"type":"join","room":"a","after":-1})", "after is not a sequence number"},
        {R"({"type":"join","room":"a","after":9007199254740993})", "after is not a sequence number"},
        {R"({"type":"signin","name":"ann","resume":[]})", "resume is not an object of at most 256 rooms"},
        {R"({"type":"signin","name":"ann","resume":{"a b":1}})",
         "resume has a key that is not the name of a room"},
        {R"({"type":"signin","name":""})", "name is missing"},
        {R"({"type":"send","id":"1","text":"x"})", "send needs one of room and to"},
        {R"({"type":"send","room":"a","to":"b","id":"1","text":"x"})", "send needs one of room and to"},
        {R"({"type":"send","room":"a","text":"x"})", "id is missing"},
        {R"({"type":"send","room":"a","id":"1","text":""})", "text is missing"},
        {R"({"type":"history","room":"a","after":1,"before":2})", "history takes one of after and before"},
        {R"({"type":"history","room":"a","limit":201})", "limit is not 1 to 200"},
        {R"({"type":"ping","ref":{}})", "ref is not a short string or an integer"},
    };
    for (const auto& one : cases) {
        const auto result = decode_request(one.text);
        const auto* refusal = std::get_if<Refusal>(&result);
        ASSERT_NE(refusal, nullptr) << one.text;
        EXPECT_EQ(refusal->message, one.message) << one.text;
        EXPECT_EQ(refusal->code, "bad_request");
    }
}

TEST(Protocol, refuses_a_text_of_more_than_8000_bytes_and_names_the_message) {
    const auto send = [](std::size_t size) {
        return decode_request(R"({"type":"send","room":"a","id":"m1","ref":3,"text":")" +
                              std::string(size, 'x') + "\"}");
    };
    EXPECT_TRUE(std::holds_alternative<Request>(send(8000)));
    const auto refusal = std::get<Refusal>(send(8001));
    EXPECT_EQ(refusal.code, "too_long");
    EXPECT_EQ(
        *encode_refusal(refusal),
        R"({"type":"error","code":"too_long","message":"text is longer than 8000 bytes","id":"m1","ref":3})");
}

TEST(Protocol, the_mark_of_a_request_comes_back_as_it_was) {
    const auto request = std::get<Request>(decode_request(R"({"type":"ping","ref":"a\"b"})"));
    EXPECT_EQ(*encode_pong(request.ref), R"({"type":"pong","ref":"a\"b"})");
    EXPECT_EQ(*encode_pong(""), R"({"type":"pong"})");
}

TEST(Protocol, a_message_looks_as_the_document_says) {
    const Message message{"general", 7, 1700000000000, "ann", "m1", "hi \"you\"\n"};
    EXPECT_EQ(*encode_message(message),
              R"({"type":"message","room":"general","seq":7,"time":1700000000000,"from":"ann","id":"m1",)"
              R"("text":"hi \"you\"\n"})");
}

}  // namespace
}  // namespace hawser::im
