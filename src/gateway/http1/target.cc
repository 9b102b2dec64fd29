// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/target.h"

#include "gateway/http1/syntax.h"

namespace hawser::gateway::http1 {
namespace {

bool is_letter(char c) {
    const char l = static_cast<char>(c | 0x20);
    return l >= 'a' && l <= 'z';
}

ParseError bad(std::string reason) { return ParseError{.status = 400, .reason = std::move(reason)}; }

Span span(std::size_t from, std::size_t to) {
    return {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)};
}

// Bytes of an IP literal between the brackets: RFC 3986 unreserved, sub-delims and ':'.
bool is_literal_byte(char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view(":-._~!$&'()*+,;=").find(c) != std::string_view::npos;
}

// scheme "://" host [":" port], from `at` up to a '/', a '?' or the end. Returns the place after it.
std::variant<std::size_t, ParseError> parse_authority(std::string_view line, std::size_t at, std::size_t end,
                                                      RequestLine& out) {
    std::size_t p = at;
    while (p < end &&
           (is_letter(line[p]) || is_digit(line[p]) || line[p] == '+' || line[p] == '-' || line[p] == '.'))
        ++p;
    if (line.substr(p, 3) != "://" || p + 3 > end) return bad("a target that is neither a path nor a URL");
    out.scheme = span(at, p);
    p += 3;
    const std::size_t authority = p;
    if (p < end && line[p] == '[') {
        while (++p < end && is_literal_byte(line[p])) {
        }
        if (p == end || line[p] != ']') return bad("an unclosed IP literal in the target");
        ++p;
    } else {
        while (p < end && (is_letter(line[p]) || is_digit(line[p]) || line[p] == '.' || line[p] == '-')) ++p;
    }
    out.host = span(authority, p);
    if (p < end && line[p] == ':') {
        while (++p < end && is_digit(line[p])) {
        }
    }
    out.authority = span(authority, p);
    if (p < end && line[p] != '/' && line[p] != '?') return bad("an invalid host in the target");
    if (!host_of(out.host.of(line.data()))) return bad("an invalid host in the target");
    out.absolute = true;
    return p;
}

bool is_plain(std::string_view path) {
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '%') return false;
        if (path[i] == '/' && i + 1 < path.size() && (path[i + 1] == '/' || path[i + 1] == '.')) return false;
    }
    return true;
}

std::optional<ParseError> parse_target(std::string_view line, std::size_t at, std::size_t end,
                                       RequestLine& out) {
    if (at == end) return bad("no target in the request line");
    std::size_t path = at;
    if (is_letter(line[at])) {
        auto after = parse_authority(line, at, end, out);
        if (auto* error = std::get_if<ParseError>(&after)) return *error;
        path = std::get<std::size_t>(after);
    } else if (line[at] != '/') {
        return bad("a target that is neither a path nor a URL");
    }
    const std::string_view upto = line.substr(0, end);
    const std::size_t stop = std::min(upto.find_first_of("?#", path), end);
    out.path = span(path, stop);
    out.plain_path = is_plain(out.path.of(line.data()));
    if (stop < end && line[stop] == '?') {
        out.has_query = true;
        out.query = span(stop + 1, std::min(upto.find('#', stop), end));
    }
    return std::nullopt;
}

// "HTTP/1.1". Nothing wrong: sets minor_version.
std::optional<ParseError> parse_version(std::string_view text, RequestLine& out) {
    if (!text.starts_with("HTTP/") || text.size() < 6 || text[5] < '1' || text[5] > '9')
        return bad("an invalid protocol");
    const std::string_view number = text.substr(5);
    const std::size_t dot = std::min(number.find('.'), number.size());
    for (const char c : number.substr(0, dot)) {
        if (!is_digit(c)) return bad("an invalid protocol version");
    }
    if (dot > 1 || number[0] != '1')
        return ParseError{.status = 505, .reason = "an unsupported protocol version"};
    if (number.size() != 3 || !is_digit(number[2])) return bad("an invalid protocol version");
    out.minor_version = number[2] == '0' ? 0 : 1;
    return std::nullopt;
}

}  // namespace

std::variant<RequestLine, ParseError> parse_request_line(std::string_view line) {
    RequestLine out;
    const std::size_t space = line.find(' ');
    const std::size_t method_end = std::min(space, line.size());
    for (const char c : line.substr(0, method_end)) {
        if ((c < 'A' || c > 'Z') && c != '_' && c != '-') return bad("an invalid method");
    }
    if (method_end == 0) return bad("an empty method");
    if (space == std::string_view::npos) return bad("no target in the request line");
    out.method = span(0, method_end);
    const std::size_t target = method_end + 1;
    const std::size_t target_end = std::min(line.find(' ', target), line.size());
    out.target = span(target, target_end);
    if (out.method.of(line.data()) == "CONNECT") {
        return ParseError{.status = 405, .reason = "CONNECT is not allowed here"};
    }
    if (auto error = parse_target(line, target, target_end, out)) return *error;
    if (target_end == line.size()) {  // RFC 1945 §4.1, the simple request
        if (out.method.of(line.data()) != "GET")
            return bad("an HTTP/0.9 request with a method other than GET");
        out.minor_version = 9;
        return out;
    }
    if (auto error = parse_version(line.substr(target_end + 1), out)) return *error;
    return out;
}

namespace {

// nginx's state machine for complex URIs (ngx_http_parse_complex_uri), over an output that never grows
// beyond its input.
class PathWriter {
  public:
    PathWriter(std::size_t capacity, bool merge) : merge_(merge) { out_.reserve(capacity); }

    // False: ".." above the root.
    bool put(char c) {
        switch (state_) {
            case State::usual:
                out_ += c;
                if (c == '/') state_ = State::slash;
                return true;
            case State::slash:
                if (c == '/') {
                    if (!merge_) out_ += c;
                    return true;
                }
                state_ = c == '.' ? State::dot : State::usual;
                break;
            case State::dot:
                if (c == '/') return resolve();
                state_ = c == '.' ? State::dot_dot : State::usual;
                break;
            case State::dot_dot:
                if (c == '/') return resolve();
                state_ = State::usual;
                break;
        }
        out_ += c;
        return true;
    }
    // An escaped '%', '#' or '?': data, whatever stands before it.
    void put_data(char c) {
        out_ += c;
        state_ = State::usual;
    }
    // Takes "." or ".." at the end away, and the segment that ".." undoes.
    bool resolve() {
        if (state_ == State::dot) out_.pop_back();
        if (state_ == State::dot_dot) {
            if (out_.size() < 4) return false;  // "/.."
            const std::size_t slash = out_.rfind('/', out_.size() - 4);
            if (slash == std::string::npos) return false;
            out_.resize(slash + 1);
        }
        state_ = State::slash;
        return true;
    }
    std::string take() { return std::move(out_); }

  private:
    enum class State : std::uint8_t { usual, slash, dot, dot_dot };
    State state_ = State::usual;
    bool merge_;
    std::string out_;
};

}  // namespace

std::optional<std::string> normalize_path(std::string_view raw, bool merge_slashes) {
    PathWriter out(raw.size(), merge_slashes);
    for (std::size_t i = 0; i < raw.size(); ++i) {
        char c = raw[i];
        if (c == '?' || c == '#') break;
        if (c != '%') {
            if (!out.put(c)) return std::nullopt;
            continue;
        }
        if (i + 2 >= raw.size()) return std::nullopt;
        const int high = hex_value(raw[i + 1]);
        const int low = hex_value(raw[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        c = static_cast<char>(high * 16 + low);
        i += 2;
        if (c == '\0') return std::nullopt;
        if (c == '%' || c == '#' || c == '?') {
            out.put_data(c);
        } else if (!out.put(c)) {
            return std::nullopt;
        }
    }
    if (!out.resolve()) return std::nullopt;
    return out.take();
}

std::optional<std::string_view> host_of(std::string_view value) {
    enum class Part { usual, literal, rest };
    Part part = Part::usual;
    std::size_t length = value.size();
    std::size_t dot = std::string_view::npos;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        if (c == '.') {
            if (i > 0 && dot == i - 1) return std::nullopt;
            dot = i;
        } else if (c == ':' && part == Part::usual) {
            length = i;
            part = Part::rest;
        } else if (c == '[' && i == 0) {
            part = Part::literal;
        } else if (c == ']' && part == Part::literal) {
            length = i + 1;
            part = Part::rest;
        } else if (c == '/' || c == ' ' || is_control(c)) {
            return std::nullopt;
        }
    }
    if (length > 0 && dot == length - 1) --length;
    if (length == 0) return std::nullopt;
    return value.substr(0, length);
}

}  // namespace hawser::gateway::http1
