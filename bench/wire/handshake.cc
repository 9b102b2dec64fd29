// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>

namespace hawser::bench {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_word(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view s) {
    const auto first = s.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

// The value of the first header of this name, without the blanks around it.
std::optional<std::string_view> header(std::string_view head, std::string_view name) {
    for (auto line = head.find("\r\n"); line != std::string_view::npos;) {
        const auto start = line + 2;
        const auto end = head.find("\r\n", start);
        if (end == std::string_view::npos || end == start) break;
        const auto text = head.substr(start, end - start);
        const auto colon = text.find(':');
        if (colon != std::string_view::npos && same_word(text.substr(0, colon), name))
            return trim(text.substr(colon + 1));
        line = end;
    }
    return std::nullopt;
}

// Whether a comma-separated header value holds this word.
bool lists(std::optional<std::string_view> value, std::string_view word) {
    while (value) {
        const auto comma = value->find(',');
        if (same_word(trim(value->substr(0, comma)), word)) return true;
        if (comma == std::string_view::npos) return false;
        value = value->substr(comma + 1);
    }
    return false;
}

std::string refusal(std::string_view reason) {
    return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " +
           std::to_string(reason.size() + 1) + "\r\n\r\n" + std::string(reason) + "\n";
}

}  // namespace

std::string accept_for(std::string_view key) {
    const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    unsigned char encoded[32];
    const int size = EVP_EncodeBlock(encoded, digest, sizeof digest);
    return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size)};
}

std::string opening_request(std::string_view host, std::string_view path, std::string_view key) {
    std::string out = "GET ";
    out.append(path).append(" HTTP/1.1\r\nHost: ").append(host);
    out.append("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ").append(key);
    out.append("\r\nSec-WebSocket-Version: 13\r\n\r\n");
    return out;
}

std::string_view check_response(std::string_view head, std::string_view expected_accept) {
    if (!head.starts_with("HTTP/1.1 101 ")) return "the answer is not HTTP/1.1 101";
    if (!same_word(header(head, "Upgrade").value_or(""), "websocket"))
        return "the 101 has no Upgrade: websocket";
    if (!lists(header(head, "Connection"), "upgrade")) return "the 101 has no Connection: upgrade";
    if (header(head, "Sec-WebSocket-Accept").value_or("") != expected_accept)
        return "the 101 has a wrong Sec-WebSocket-Accept";
    if (header(head, "Sec-WebSocket-Extensions")) return "the 101 has an extension that was not asked for";
    return {};
}

Opening answer(std::string_view head) {
    Opening out;
    const auto line = head.substr(0, head.find("\r\n"));
    const auto path_at = line.find(' ');
    const auto path_end = line.rfind(' ');
    if (!line.starts_with("GET ") || !line.ends_with(" HTTP/1.1") || path_end <= path_at) {
        out.response = refusal("not a GET of HTTP/1.1");
        return out;
    }
    out.path = line.substr(path_at + 1, path_end - path_at - 1);
    const auto key = header(head, "Sec-WebSocket-Key");
    if (!same_word(header(head, "Upgrade").value_or(""), "websocket")) {
        out.response = refusal("no Upgrade: websocket");
    } else if (!lists(header(head, "Connection"), "upgrade")) {
        out.response = refusal("no Connection: upgrade");
    } else if (header(head, "Sec-WebSocket-Version").value_or("") != "13") {
        out.response = refusal("no Sec-WebSocket-Version: 13");
    } else if (!key || key->size() != 24) {
        out.response = refusal("no Sec-WebSocket-Key of 24 characters");
    } else {
        out.accepted = true;
        out.response =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " +
            accept_for(*key) + "\r\n\r\n";
    }
    return out;
}

std::size_t head_end(std::string_view received) {
    const auto at = received.find("\r\n\r\n");
    return at == std::string_view::npos ? at : at + 4;
}

}  // namespace hawser::bench
