// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/preprocess.h"
#include "net/testing_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hawser::keepalived {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Lines {
    std::string text;  // each line behind its number and the column of its first character
    catalog::Diagnostics diagnostics;
    std::vector<std::string> files, patterns;
};

template <class Read>
Lines run(Read read, const std::string& id, const Bounds& bounds) {
    Lines out;
    Files files(bounds, out.diagnostics);
    Preprocessor preprocessor(id, bounds, files, out.diagnostics, [&](const Line& line) {
        const std::size_t start = skip_blanks(line.text);
        out.text += std::to_string(line.number) + ":" + std::to_string(line.column(start)) + " " +
                    std::string(trim(line.text)) + "\n";
    });
    read(preprocessor);
    out.files = files.names();
    out.patterns = files.patterns();
    return out;
}

Lines lines(std::string_view text, const std::string& id = "main", const Bounds& bounds = {}) {
    return run([&](Preprocessor& p) { p.read_text(text, "f", "/dir"); }, id, bounds);
}

TEST(Conditions, choose_lines_by_the_id) {
    const char* text = "@main a\n @backup b\n@^main c\n@^backup d\n@ e\n@^main @^x f\n";
    EXPECT_EQ(lines(text, "main").text, "1:7 a\n4:10 d\n");
    EXPECT_EQ(lines(text, "backup").text, "2:10 b\n3:8 c\n6:12 f\n");
}

TEST(Parameters, are_replaced_when_they_are_used) {
    EXPECT_EQ(lines("$B=10.2.${S}\n$S=0\n${B}.100/32\n$S=10\n${B}.100/32\n").text,
              "3:1 10.2.0.100/32\n5:1 10.2.10.100/32\n");
    EXPECT_EQ(lines("$A=x y\na $A b\na ${A}b\n").text, "2:1 a x y b\n3:1 a x yb\n");
    EXPECT_EQ(lines("$A=\na $A b ${A}c").text, "2:1 a  b c\n");
    EXPECT_EQ(lines("@main $P=240\n@backup $P=200\np $P").text, "3:1 p 240\n");
    EXPECT_EQ(lines("$I=@main\n$I a\n$J=@other\n$J b").text, "2:4 a\n");
    EXPECT_EQ(lines("${_PWD} ${_INSTANCE} ${_HASH} ${_BANG}").text, "1:1 /dir main # !\n");
}

TEST(Parameters, of_several_lines_are_several_lines) {
    const Lines out =
        lines("$V= \\\na ${N} { \\\n  # comment\n\n  @main b $N \\\n @other c \\\n}\n$N=1\n$V\n$N=2\n  $V\n");
    EXPECT_EQ(out.text, "9:1 a 1 {\n9:1 b 1\n9:1 }\n11:3 a 2 {\n11:3 b 2\n11:3 }\n");
    EXPECT_EQ(lines("$R= \\\nr ${A}${B}\n$V= \\\nv \\\n$B=1 \\\n$R \\\n$B=2 \\\n$R\n$A=0\n$V\n$V").text,
              "10:1 v\n10:1 r 01\n10:1 r 02\n11:1 v\n11:1 r 01\n11:1 r 02\n");
    EXPECT_EQ(lines("@other $V= \\\na \\\nb\nc").text, "4:1 c\n");
}

TEST(Parameters, that_are_not_defined_stay_and_are_told) {
    const Lines out = lines("a $X\nb \"${Y}\" '$Z'\nc ${Q}\n");
    EXPECT_EQ(out.text, "1:1 a $X\n2:1 b \"${Y}\" '$Z'\n3:1 c ${Q}\n");
    EXPECT_EQ(out.diagnostics.text(),
              "f:1:3: warning: parameter \"X\" is not defined; \"$X\" stays as it is\n"
              "f:3:3: error: parameter \"Q\" is not defined\n");
}

TEST(Parameters, without_an_end_are_an_error) {
    EXPECT_EQ(lines("$A=$A\nx $A\n").diagnostics.text(),
              "f:2:1: error: parameters are nested too deeply, or one stands for itself\n");
    EXPECT_THAT(lines("a ${_RANDOM 1 5}\n").diagnostics.text(),
                HasSubstr("f:1:3: error: ${_RANDOM} is not supported"));
    std::string text = "$A0=xxxxxxxxxx\n";
    for (int i = 1; i < 30; ++i) {
        const std::string before = "${A" + std::to_string(i - 1) + "}";
        text += "$A" + std::to_string(i) + "=" + before + before + "\n";
    }
    EXPECT_THAT(lines(text + "${A29}").diagnostics.text(), HasSubstr("the line becomes too long"));
}

TEST(Sequences, repeat_the_rest_of_the_line) {
    EXPECT_EQ(lines("~SEQ(N, 1, 2) a ${N} ~LST(M, x) b\n").text,
              "1:15 a 1 ~LST(M, x) b\n1:15 a 2 ~LST(M, x) b\n");
    EXPECT_EQ(lines("~LST({A,  B},  {1,2}, {3,4}) ~SEQ(C, 5, 6) ${A}.${B}.$C\n").text,
              "1:44 1.2.5\n1:44 1.2.6\n1:44 3.4.5\n1:44 3.4.6\n");
    EXPECT_EQ(lines("$M=3\n~SEQ(N, ${M}) a$N ${N}\n").text, "2:15 a1 1\n2:15 a2 2\n2:15 a3 3\n");
    EXPECT_EQ(lines("$V= \\\na ${N} \\\nb\n~SEQ(N, 2) $V").text, "4:12 a 1\n4:12 b\n4:12 a 2\n4:12 b\n");
    EXPECT_EQ(lines(" ~SEQ(N) a").diagnostics.text(),
              "f:1:2: error: ~SEQ takes a name and one to three numbers: (name, start, step, end)\n");
}

TEST(Sequences, have_bounds) {
    Bounds bounds;
    bounds.lines = 100;
    EXPECT_THAT(lines("~SEQ(A, 90) ~SEQ(B, 90) x\n", "main", bounds).diagnostics.text(),
                HasSubstr("more than 100 lines"));
    bounds.total_bytes = 1000;
    EXPECT_THAT(lines("~SEQ(A, 90) $B=1\n", "main", bounds).diagnostics.text(),
                HasSubstr("parameters and sequences make too much text"));
    bounds.line_bytes = 10;
    EXPECT_EQ(lines("12345678901\nb", "main", bounds).diagnostics.text(),
              "f:1:1: error: the line is too long\n");
}

class Includes : public testing::Test {
  protected:
    Includes() {
        std::filesystem::create_directories(directory_ + "/d");
    }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(directory_ + "/" + name) << text;
    }
    [[nodiscard]] Lines read(const std::string& text, const Bounds& bounds = {}) const {
        write("main.conf", text);
        return run([&](Preprocessor& p) { p.read_file(directory_ + "/main.conf"); }, "main", bounds);
    }
    [[nodiscard]] std::string without_directory(std::string text) const {
        for (std::size_t at = text.find(directory_); at != std::string::npos; at = text.find(directory_, at))
            text.erase(at, directory_.size() + 1);
        return text;
    }

    net::testing::TemporaryDirectory kept_{"keepalived"};
    std::string directory_ = kept_.path();
};

TEST_F(Includes, start_at_the_directory_of_the_file_that_has_them) {
    write("a.conf", "one ${_PWD}\ninclude d/b.conf\nfour");
    write("d/b.conf", "two\ninclude c.conf # and so on\n");
    write("d/c.conf", "three");
    const Lines out = read("include a.conf\nlast ${_PWD}");
    EXPECT_EQ(out.diagnostics.text(), "");
    EXPECT_EQ(out.text,
              "1:1 one " + directory_ + "\n1:1 two\n1:1 three\n3:1 four\n2:1 last " + directory_ + "\n");
    EXPECT_THAT(out.files, ElementsAre(directory_ + "/main.conf", directory_ + "/a.conf",
                                       directory_ + "/d/b.conf", directory_ + "/d/c.conf"));
}

TEST_F(Includes, match_wildcards_and_braces) {
    for (const char* name : {"d/1.conf", "d/2.conf", "d/3.txt"}) write(name, name);
    const Lines out = read("include d/*.conf\ninclude {d/{3.txt,1.conf},d/2.conf}\n");
    EXPECT_EQ(out.diagnostics.text(), "");
    EXPECT_EQ(out.text, "1:1 d/1.conf\n1:1 d/2.conf\n1:1 d/3.txt\n1:1 d/1.conf\n1:1 d/2.conf\n");
    EXPECT_THAT(out.patterns, ElementsAre(directory_ + "/d/*.conf"));
}

TEST_F(Includes, that_lead_nowhere_are_errors_where_that_is_asked_for) {
    const Lines out = read(
        "include a\nincluder b*\nincludem c\nincludem d*x\nincludew e*\nincludea f*\nincludea g\n"
        "includeb {d,h}/i\ninclude\nincludex j\n");
    EXPECT_EQ(without_directory(out.diagnostics.text()),
              "main.conf:1:9: warning: cannot open \"a\": No such file or directory\n"
              "main.conf:3:10: error: cannot open \"c\": No such file or directory\n"
              "main.conf:5:10: error: no file matches \"e*\"\n"
              "main.conf:6:10: error: no file matches \"f*\"\n"
              "main.conf:7:10: error: cannot open \"g\": No such file or directory\n"
              "main.conf:8:10: error: cannot open \"d/i\": No such file or directory\n"
              "main.conf:8:10: error: cannot open \"h/i\": No such file or directory\n"
              "main.conf:9:1: error: \"include\" needs a parameter: a file\n");
    EXPECT_EQ(out.text, "10:1 includex j\n");
}

TEST_F(Includes, have_bounds) {
    EXPECT_THAT(read("include main.conf\n").diagnostics.text(), HasSubstr("includes are nested too deeply"));
    EXPECT_THAT(read("include .\n").diagnostics.text(), HasSubstr("is not a regular file"));
    Bounds bounds;
    bounds.files = 3;
    bounds.file_bytes = 100;
    write("a", "a");
    write("b", std::string(101, 'b'));
    const Lines out = read("include b\ninclude a\ninclude a\ninclude a\n", bounds);
    EXPECT_EQ(
        without_directory(out.diagnostics.text()),
        "main.conf:1:9: error: \"b\" is too large\nmain.conf:3:9: error: more than 3 files are included\n");
}

}  // namespace
}  // namespace hawser::keepalived
