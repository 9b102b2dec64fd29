// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/syntax.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hawser::nginx {

namespace {
std::string open_error(const std::string& path, int code) {
    return "open() \"" + path + "\" failed (" + std::to_string(code) + ": " + std::strerror(code) + ")";
}

void remember(std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}
}  // namespace

bool Syntax::load(const std::string& path, const catalog::Position& asked_at, std::string& text) {
    remember(files_, path);
    if (++opened_ > bounds_.files) {
        diagnostics_.error(asked_at, "more than " + std::to_string(bounds_.files) + " files are included");
        return false;
    }
    // O_NONBLOCK: a named pipe in conf.d must not hang the daemon.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        diagnostics_.error(asked_at, open_error(path, errno));
        return false;
    }
    struct stat info {};
    std::string trouble;
    if (::fstat(fd, &info) != 0) {
        trouble = open_error(path, errno);
    } else if (!S_ISREG(info.st_mode)) {
        trouble = "\"" + path + "\" is not a regular file";
    } else if (static_cast<std::size_t>(info.st_size) > bounds_.file_bytes ||
               (total_bytes_ += static_cast<std::size_t>(info.st_size)) > bounds_.total_bytes) {
        trouble = "\"" + path + "\" is too large";
    }
    text.resize(trouble.empty() ? static_cast<std::size_t>(info.st_size) : 0);
    std::size_t got = 0;
    while (got < text.size()) {
        const ssize_t n = ::read(fd, text.data() + got, text.size() - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) trouble = "read() \"" + path + "\" failed (" + std::strerror(errno) + ")";
        if (n <= 0) break;
        got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    ::close(fd);
    if (!trouble.empty()) diagnostics_.error(asked_at, trouble);
    return trouble.empty();
}

std::vector<Directive> Syntax::read_file(const std::string& path, const std::string& directory,
                                         const catalog::Position& asked_at) {
    std::string text;
    if (!load(path, asked_at, text)) return {};
    return read_text(text, path, directory);
}

std::vector<Directive> Syntax::read_text(std::string_view text, const std::string& name,
                                         const std::string& directory) {
    const auto file = std::make_shared<const std::string>(name);
    Lexer lexer(text, *file, diagnostics_);
    std::vector<Directive> all;
    // A '}' too many ends read_block at the top level; what stands behind it is read as well.
    for (bool more = true; more && !stopped();) {
        Directive end;
        std::vector<Directive> some = read_block(lexer, file, directory, 0, &end);
        std::move(some.begin(), some.end(), std::back_inserter(all));
        more = end.close_line != 0;
        if (more) diagnostics_.error({name, end.close_line, end.close_column}, "unexpected \"}\"");
    }
    return all;
}

std::vector<Directive> Syntax::read_block(Lexer& lexer, const std::shared_ptr<const std::string>& file,
                                          const std::string& directory, std::size_t depth, Directive* owner) {
    std::vector<Directive> out;
    while (!stopped()) {
        Statement statement = lexer.next();
        if (statement.end == Statement::End::block_end) {
            owner->close_line = statement.line;
            owner->close_column = statement.column;
            return out;
        }
        if (statement.end == Statement::End::end_of_file) {
            if (depth > 0)
                diagnostics_.error({*file, statement.line, statement.column},
                                   "unexpected end of file, expecting \"}\"");
            return out;
        }
        Directive directive;
        directive.file = file;
        directive.words = std::move(statement.words);
        directive.end_line = statement.line;
        directive.end_column = statement.column;
        if (statement.end == Statement::End::block_start) {
            directive.has_block = true;
            if (block_depth_ == bounds_.block_depth) {
                diagnostics_.error({*file, statement.line, statement.column}, "blocks are nested too deeply");
                return out;
            }
            ++block_depth_;
            directive.children = read_block(lexer, file, directory, depth + 1, &directive);
            --block_depth_;
            // The block of an unexpected "{" has no name: it was reported and is dropped.
            if (directive.words.empty()) continue;
            // At the end of the file one message is enough, not one per open block.
            if (directive.close_line == 0) {
                out.push_back(std::move(directive));
                return out;
            }
        } else if (directive.name() == "include") {
            include(directive, directory, out);
            continue;
        }
        out.push_back(std::move(directive));
    }
    return out;
}

void Syntax::include(const Directive& directive, const std::string& directory, std::vector<Directive>& into) {
    if (directive.argument_count() != 1) {
        diagnostics_.error(directive.position(), "invalid number of arguments in \"include\" directive");
        return;
    }
    if (include_depth_ == bounds_.include_depth) {
        diagnostics_.error(directive.position(), "includes are nested too deeply");
        return;
    }
    std::string path = directive.argument(1);
    if (path.empty() || path.front() != '/') path = directory + "/" + path;

    ++include_depth_;
    if (path.find_first_of("*?[") == std::string::npos) {
        std::vector<Directive> some = read_file(path, directory, directive.position(1));
        std::move(some.begin(), some.end(), std::back_inserter(into));
    } else {
        remember(patterns_, path);
        glob_t found{};
        const int code = ::glob(path.c_str(), 0, nullptr, &found);
        if (code != 0 && code != GLOB_NOMATCH)
            diagnostics_.error(directive.position(1), "glob() \"" + path + "\" failed");
        for (std::size_t i = 0; code == 0 && i < found.gl_pathc && !stopped(); ++i) {
            std::vector<Directive> some = read_file(found.gl_pathv[i], directory, directive.position(1));
            std::move(some.begin(), some.end(), std::back_inserter(into));
        }
        if (code == 0) ::globfree(&found);
    }
    --include_depth_;
}

}  // namespace hawser::nginx
