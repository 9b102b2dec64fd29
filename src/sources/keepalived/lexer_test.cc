// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/lexer.h"

#include <gtest/gtest.h>

#include "sources/keepalived/sequence.h"

namespace hawser::keepalived {
namespace {

// Words joined by '|', braces as they are.
std::string read_line(std::string_view text, catalog::Diagnostics& diagnostics) {
    const auto file = std::make_shared<const std::string>("f");
    const Line line = Line::of(file, 1, text.substr(0, comment_start(text)));
    std::string out;
    for (const Token& token : read_tokens(line, diagnostics)) {
        if (!out.empty()) out += "|";
        out += token.kind == Token::Kind::open    ? "{"
               : token.kind == Token::Kind::close ? "}"
                                                  : token.word.text;
    }
    return out;
}

struct Row {
    std::string text, words;
};
class Words : public testing::TestWithParam<Row> {};

TEST_P(Words, of_a_line_are_told_apart) {
    catalog::Diagnostics diagnostics;
    EXPECT_EQ(read_line(GetParam().text, diagnostics), GetParam().words);
    EXPECT_EQ(diagnostics.text(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Lexer, Words,
    testing::Values(Row{"", ""}, Row{" \t\r", ""}, Row{"priority 100", "priority|100"}, Row{"a b\r", "a|b"},
                    Row{"a{b}", "a|{|b|}"}, Row{"} b {", "}|b|{"}, Row{"a # b {", "a"}, Row{"a 5!b", "a|5"},
                    Row{"# don't", ""}, Row{"a \"b # c ! d\"", "a|b # c ! d"}, Row{"a \"b {c}\"", "a|b {c}"},
                    Row{"a 'b \"c\"'", "a|b \"c\""}, Row{"a \"b 'c'\"", "a|b 'c'"}, Row{"a don't", "a|don't"},
                    Row{R"(abcd" efg h jkl "mnop)", "abcd efg h jkl mnop"},
                    Row{R"('abcd "efg h jkl" mnop')", "abcd \"efg h jkl\" mnop"}, Row{"a \"\"", "a|"},
                    Row{R"("a\"b")", "a\"b"}, Row{R"("\x41\102\t\cA\\\q\E")", "AB\t\x01\\q\x1b"},
                    Row{R"(a\x41)", R"(a\x41)"}, Row{"\"a\\)\\\"\"", "a)\""}));

TEST(Lexer, an_open_string_is_an_error_where_it_begins) {
    catalog::Diagnostics diagnostics;
    EXPECT_EQ(read_line("  a \"b c", diagnostics), "a|b c");
    EXPECT_EQ(diagnostics.text(), "f:1:5: error: the string has no closing \"\n");
}

TEST(Lexer, a_command_is_split_at_blanks_outside_of_its_strings) {
    using List = std::vector<std::string>;
    EXPECT_EQ(split_command("killall -0 nginx"), (List{"killall", "-0", "nginx"}));
    EXPECT_EQ(split_command(" /a  'b c' d\"e f\"g "), (List{"/a", "b c", "de fg"}));
    EXPECT_EQ(split_command(R"(/a b\ c)"), (List{"/a", "b c"}));
    EXPECT_EQ(split_command("/a don't"), (List{"/a", "don't"}));
    EXPECT_EQ(split_command("  "), List{});
}

// Rounds joined by ' ', the values of a round by ','.
std::string rounds(std::string_view text) {
    const Sequence sequence = read_sequence(text, 0, 100);
    if (!sequence.error.empty()) return sequence.error;
    std::string out;
    for (const auto& round : sequence.rounds) {
        if (!out.empty()) out += ' ';
        for (std::size_t i = 0; i < round.size(); ++i) out += (i == 0 ? "" : ",") + round[i];
    }
    return out;
}

TEST(Sequence, counts_as_the_manual_says) {
    EXPECT_EQ(rounds("~SEQ(N, 0, 3)"), "0 1 2 3");
    EXPECT_EQ(rounds("~SEQ(N, 3)"), "1 2 3");
    EXPECT_EQ(rounds("~SEQ(N, -2)"), "-1 -2");
    EXPECT_EQ(rounds("~SEQ(N, 5, 3)"), "5 4 3");
    EXPECT_EQ(rounds("~SEQ(N,168,2,172)"), "168 170 172");
    EXPECT_EQ(rounds("~SEQx(N, 144, 16, 192)"), "90 a0 b0 c0");
    EXPECT_EQ(rounds("~SEQx(N, 0x12, -1, 0x10)"), "12 11 10");
    EXPECT_EQ(rounds("~SEQ(N, 3, 1, 1)"), "");
}

TEST(Sequence, lists_values_for_one_name_or_several) {
    EXPECT_EQ(rounds("~LST(IP, 1, x, 3)"), "1 x 3");
    EXPECT_EQ(rounds("~LST({IP, IP1}, {10,1},{20,4})"), "10,1 20,4");
}

TEST(Sequence, tells_what_is_wrong_with_it) {
    EXPECT_EQ(rounds("~SEQ(N)"), "~SEQ takes a name and one to three numbers: (name, start, step, end)");
    EXPECT_EQ(rounds("~SEQ(N, x)"), "\"x\" is not a number");
    EXPECT_EQ(rounds("~SEQ(N, 1, 0, 5)"), "a step of 0 has no end");
    EXPECT_EQ(rounds("~SEQ(N, 1, 1000)"), "a sequence has at most 100 values");
    EXPECT_EQ(rounds("~SEQ(1N, 1, 2)"), "\"1N\" cannot be the name of a parameter");
    EXPECT_EQ(rounds("~SEQ(N, 1, 2"), "the sequence has no closing )");
    EXPECT_EQ(rounds("~LST(N)"), "~LST takes a name and at least one value");
    EXPECT_EQ(rounds("~LST({A, B}, {1})"), "\"{1}\" has 1 values for 2 names");
}

}  // namespace
}  // namespace hawser::keepalived
