// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/lexer.h"

#include <gtest/gtest.h>

namespace hawser::nginx {
namespace {

// Words joined by '|', the statement's end behind them.
std::string read_all(std::string_view text, catalog::Diagnostics& diagnostics) {
    const std::string file = "f";
    Lexer lexer(text, file, diagnostics);
    std::string out;
    for (;;) {
        const Statement s = lexer.next();
        for (std::size_t i = 0; i < s.words.size(); ++i) out += (i == 0 ? "" : "|") + s.words[i].text;
        switch (s.end) {
            case Statement::End::semicolon:
                out += ";";
                break;
            case Statement::End::block_start:
                out += "{";
                break;
            case Statement::End::block_end:
                out += "}";
                break;
            case Statement::End::end_of_file:
                return out;
        }
    }
}

struct Row {
    const char* text;
    const char* words;
};

class Words : public testing::TestWithParam<Row> {};

TEST_P(Words, are_what_nginx_reads) {
    catalog::Diagnostics diagnostics;
    EXPECT_EQ(read_all(GetParam().text, diagnostics), GetParam().words);
    EXPECT_EQ(diagnostics.text(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Lexer, Words,
    testing::Values(Row{"", ""}, Row{" \t\r\n", ""}, Row{"a;", "a;"}, Row{"a b c;", "a|b|c;"},
                    Row{"a{b;}", "a{b;}"}, Row{"a { }", "a{}"}, Row{"a \"b c\";", "a|b c;"},
                    Row{"a 'b \"c\"';", "a|b \"c\";"}, Row{"a \"\" '';", "a||;"},
                    Row{R"(a "x\ny\tz\r\\\"\'";)", "a|x\ny\tz\r\\\"';"}, Row{R"(a x\ny;)", "a|x\ny;"},
                    Row{R"(a ^\d+\.x$;)", R"(a|^\d+\.x$;)"}, Row{R"(a b\ c;)", R"(a|b\ c;)"},
                    Row{R"(a b\;c;)", R"(a|b\;c;)"}, Row{"a ${b}c;", "a|${b}c;"}, Row{"a x${b}{", "a|x${b}{"},
                    Row{"a b#c;", "a|b#c;"}, Row{"a # b ; { }\n c;", "a|c;"}, Row{"a b}c;", "a|b}c;"},
                    Row{"if ($a = \"b\") {", "if|($a|=|b|){"}, Row{"a\"b\" c;", "a\"b\"|c;"},
                    Row{"a 'multi\nline';", "a|multi\nline;"}, Row{"a $;", "a|$;"},
                    Row{"a '{};#';", "a|{};#;"}));

struct Wrong {
    const char* text;
    const char* message;
};
class Errors : public testing::TestWithParam<Wrong> {};

TEST_P(Errors, are_told_in_the_words_of_nginx_with_their_place) {
    catalog::Diagnostics diagnostics;
    read_all(GetParam().text, diagnostics);
    ASSERT_FALSE(diagnostics.all().empty());
    EXPECT_EQ(diagnostics.all().front().text(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Lexer, Errors,
    testing::Values(Wrong{"\n  ;", "f:2:3: error: unexpected \";\""},
                    Wrong{"{ }", "f:1:1: error: unexpected \"{\""},
                    Wrong{"a b\n}", "f:2:1: error: unexpected \"}\""},
                    Wrong{"a \"b\"c;", "f:1:6: error: unexpected \"c\""},
                    Wrong{"a \"b\"}", "f:1:6: error: unexpected \"}\""},
                    Wrong{"a b", "f:1:4: error: unexpected end of file, expecting \";\" or \"}\""},
                    Wrong{"a 'b;\n", "f:2:1: error: unexpected end of file, expecting \";\" or \"}\""}));

TEST(Lexer, goes_on_behind_an_error_so_that_all_are_seen) {
    catalog::Diagnostics diagnostics;
    EXPECT_EQ(read_all("; a \"b\"c; ; d;", diagnostics), "a|b|c;d;");
    EXPECT_EQ(diagnostics.errors(), 3U);
}

TEST(Lexer, refuses_a_word_that_does_not_fit_in_the_buffer_of_nginx) {
    for (const auto& [text, fits] : {std::pair{std::string(4095, 'a') + ";", true},
                                     {std::string(4096, 'a') + ";", false},
                                     {"\"" + std::string(4095, 'a') + "\";", true},
                                     {"\"" + std::string(4096, 'a') + "\";", false}}) {
        catalog::Diagnostics diagnostics;
        read_all("x " + text, diagnostics);
        EXPECT_EQ(diagnostics.errors(), fits ? 0U : 1U) << text.substr(0, 3) << text.size();
    }
}

}  // namespace
}  // namespace hawser::nginx
