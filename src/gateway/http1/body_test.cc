// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/body.h"

#include <gtest/gtest.h>

#include <string>

namespace hawser::gateway::http1 {
namespace {

using Kind = Framing::Kind;

struct Result {
    std::string data;
    std::size_t consumed = 0;
    bool done = false, invalid = false;
    std::string trailers;
    bool operator==(const Result&) const = default;
};

// Feeds `bytes` in pieces of `size`, each piece until it is used up.
Result decode(const Framing& framing, std::string_view bytes, std::size_t size) {
    BodyDecoder decoder(framing);
    Result result;
    std::size_t at = 0;
    while (at < bytes.size() && !result.done && !result.invalid) {
        std::string piece(bytes.substr(at, size));
        std::string_view rest = piece;
        while (!rest.empty() && !result.done && !result.invalid) {
            const auto step = decoder.next(rest);
            if (step.consumed == 0 && !step.done && !step.invalid) ADD_FAILURE() << "no progress";
            result.data.append(step.payload);
            result.consumed += step.consumed;
            result.done = step.done;
            result.invalid = step.invalid;
            rest.remove_prefix(step.consumed);
            if (step.consumed == 0) break;
        }
        at += piece.size();
    }
    result.done = decoder.done();
    result.trailers = decoder.trailers();
    return result;
}

TEST(BodyDecoder, decodes_chunks_the_same_at_every_split) {
    struct Row {
        std::string bytes, data, trailers, rest;
    };
    const Row rows[] = {
        {"0\r\n\r\n", "", "", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", "", "GET / HTTP/1.1"},
        {"05\r\nhello\r\nA;x=1;y=\"a b\"\r\n0123456789\r\n000\r\n\r\n", "hello0123456789", "", ""},
        {"1 ;x\r\na\r\n1\t ;\r\nb\r\n0;end\r\nA: b\r\nC:\r\n\r\n", "ab", "A: b\r\nC:\r\n", "x"},
        {"0000000000000001\r\n\n\r\n0\r\n\r\n", "\n", "", ""},
    };
    for (const Row& row : rows) {
        for (std::size_t size = 1; size <= row.bytes.size() + row.rest.size(); ++size) {
            const Result result = decode({Kind::chunked, 0}, row.bytes + row.rest, size);
            EXPECT_EQ(result, (Result{row.data, row.bytes.size(), true, false, row.trailers}))
                << row.bytes << size;
        }
    }
}

TEST(BodyDecoder, needs_one_step_for_a_small_chunked_body) {
    BodyDecoder decoder({Kind::chunked, 0});
    const auto step = decoder.next("5\r\nhello\r\n0\r\n\r\nrest");
    EXPECT_EQ(step.payload, "hello");
    EXPECT_EQ(step.consumed, 15U);
    EXPECT_TRUE(step.done);
}

TEST(BodyDecoder, refuses_broken_chunking_at_every_split) {
    const std::string rows[] = {
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\na\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\nab\r\n",
        "1\r\na\r0",
        "1\rx",
        "1;\n",
        "1;a\x01\r\n",
        "1;a\rb\r\n",
        "8000000000000000\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "00000000000000001\r\na\r\n",
        "10000000000000000\r\n",
        "0\r\nA\r\n",
        "0\r\n A: b\r\n",
        "0\r\nA : b\r\n",
        "0\r\nA: b\n",
        "0\r\n\n",
        "0\r\nA: b\x01\r\n",
        "0\r\nA: b\rc\r\n",
        "0\r\n: b\r\n",
        "0\n\r\n",
        "0\r\n\r\r\n",
        "1;" + std::string(17000, 'a'),
        "0\r\nA: " + std::string(8300, 'a'),
    };
    for (const std::string& row : rows) {
        for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{3}, row.size()}) {
            const Result result = decode({Kind::chunked, 0}, row, size);
            EXPECT_TRUE(result.invalid) << row << " in pieces of " << size;
            EXPECT_FALSE(result.done) << row;
        }
    }
}

TEST(BodyDecoder, bounds_extensions_by_the_data_that_they_come_with) {
    std::string signed_chunks, floods;
    for (int i = 0; i < 1000; ++i) {
        signed_chunks +=
            "64;chunk-signature=" + std::string(64, 'f') + "\r\n" + std::string(100, 'd') + "\r\n";
        floods += "1;" + std::string(100, 'x') + "\r\nd\r\n";
    }
    EXPECT_TRUE(decode({Kind::chunked, 0}, signed_chunks + "0\r\n\r\n", 4096).done);
    EXPECT_TRUE(decode({Kind::chunked, 0}, floods + "0\r\n\r\n", 4096).invalid);
}

TEST(BodyDecoder, counts_a_length_and_leaves_what_follows) {
    BodyDecoder decoder({Kind::length, 5});
    auto step = decoder.next("abc");
    EXPECT_EQ(step.payload, "abc");
    EXPECT_EQ(decoder.remaining(), 2U);
    EXPECT_FALSE(step.done);
    EXPECT_FALSE(decoder.end_completes());
    step = decoder.next("defg");
    EXPECT_EQ(step.payload, "de");
    EXPECT_EQ(step.consumed, 2U);
    EXPECT_TRUE(step.done);
    EXPECT_TRUE(decoder.end_completes());
    EXPECT_TRUE(decoder.next("x").done);
    EXPECT_EQ(decoder.next("x").consumed, 0U);
}

TEST(BodyDecoder, ends_with_the_connection_only_when_that_is_the_framing) {
    BodyDecoder until_close({Kind::until_close, 0});
    EXPECT_EQ(until_close.next("abc").payload, "abc");
    EXPECT_FALSE(until_close.done());
    EXPECT_TRUE(until_close.end_completes());
    EXPECT_FALSE(BodyDecoder({Kind::chunked, 0}).end_completes());
    EXPECT_TRUE(BodyDecoder().done());
    EXPECT_TRUE(BodyDecoder({Kind::length, 0}).done());
}

TEST(ChunkHead, is_hexadecimal_and_at_most_18_bytes) {
    char out[18];
    EXPECT_EQ(std::string_view(out, write_chunk_head(0x1a2b, out)), "1a2b\r\n");
    EXPECT_EQ(std::string_view(out, write_chunk_head(~0ULL, out)), "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace hawser::gateway::http1
