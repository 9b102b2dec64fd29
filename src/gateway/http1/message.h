// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::gateway::http1 {

// A header field as it came: the name keeps its case, the value is trimmed of surrounding SP and HTAB (RFC
// 9112 §5.1). Views into the head that it belongs to.
struct Field {
    std::string_view name;
    std::string_view value;
};

// True when both are the same letters, ASCII case aside.
bool same_name(std::string_view a, std::string_view b);
// True when the comma-separated list in `value` has `token` in it, case aside (RFC 9110 §5.6.1).
bool has_token(std::string_view value, std::string_view token);

class Fields {
  public:
    void add(Field field) { all_.push_back(field); }
    void clear() { all_.clear(); }
    void reserve(std::size_t count) { all_.reserve(count); }
    [[nodiscard]] const std::vector<Field>& all() const { return all_; }
    // First field of that name; nothing if there is none.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;
    // True when any field of that name has the token in its list.
    [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  private:
    std::vector<Field> all_;
};

// How a message's body is framed (RFC 9112 §6.3).
struct Framing {
    enum class Kind : std::uint8_t { none, length, chunked, until_close };
    Kind kind = Kind::none;
    std::uint64_t length = 0;  // kind length, bytes
};

// What a parser found wrong: the status that the client gets, and why in words for the log.
struct ParseError {
    std::uint16_t status = 400;
    std::string reason;  // "bare LF in a header line", "two Content-Length fields"
    // The page that nginx shows, where it is not the one of `status`: 494, "Request Header Or Cookie Too
    // Large". 0: the one of `status`.
    std::uint16_t page = 0;
};

// The head of a request. Owns its bytes; movable, the views stay valid.
struct RequestHead {
    std::string_view method;
    std::string_view target;            // as sent: "/chat?room=1", "http://host/path", "*"
    std::string_view scheme;            // absolute-form only
    std::string_view target_host;       // absolute-form only: the host of the target, without port
    std::string_view target_authority;  // absolute-form only: host and port as sent
    std::string_view raw_path;          // path as sent, without query and fragment: "/a%20b"
    std::string_view query;             // without '?'
    bool has_query = false;             // a '?' was there
    std::uint8_t minor_version = 1;     // HTTP/1.x; 9 stands for HTTP/0.9 ("GET /" alone)
    std::string path;                   // decoded, "//" merged if asked, "." and ".." resolved: nginx's $uri
    Fields fields;
    std::string_view request_line;
    std::string_view host;  // Host without port, as sent (or target_host); "" if none. Not lower-cased.
    Framing framing;
    bool expect_continue = false;
    bool keep_alive = true;       // what the client asks for
    std::size_t size = 0;         // bytes of the head on the wire
    std::size_t empty_lines = 0;  // of those, bytes of empty lines before the request line

    std::unique_ptr<char[]> bytes;
};

// The head of a response. Owns its bytes; movable, the views stay valid.
struct ResponseHead {
    std::uint8_t minor_version = 1;
    std::uint16_t status = 0;
    std::string_view reason;
    Fields fields;
    Framing framing;         // for the method of the request (HEAD: none)
    bool keep_alive = true;  // may the connection be used again
    std::size_t size = 0;

    std::unique_ptr<char[]> bytes;
};

}  // namespace hawser::gateway::http1
