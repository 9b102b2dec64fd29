// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hawser::gateway::http1 {

// What a byte is inside a field name.
enum class NameByte : std::uint8_t {
    forbidden,   // control, space, DEL: never part of a name; 400
    plain,       // letters, digits, '-': what nginx takes for a valid name
    underscore,  // '_': valid with underscores_in_headers
    token,       // the other tchar of RFC 9110 §5.6.2: legal, yet "invalid" for nginx
    foreign,     // visible or obs-text, but not a tchar
    colon,
};

namespace detail {
constexpr std::array<NameByte, 256> make_name_bytes() {
    std::array<NameByte, 256> table{};
    for (unsigned c = 0; c < 256; ++c) {
        table[c] = c <= 0x20 || c == 0x7f ? NameByte::forbidden : NameByte::foreign;
    }
    for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = NameByte::plain;
    for (unsigned c = '0'; c <= '9'; ++c) table[c] = NameByte::plain;
    for (const char c : std::string_view("!#$%&'*+.^`|~"))
        table[static_cast<unsigned char>(c)] = NameByte::token;
    table['-'] = NameByte::plain;
    table['_'] = NameByte::underscore;
    table[':'] = NameByte::colon;
    return table;
}
inline constexpr std::array<NameByte, 256> name_bytes = make_name_bytes();
}  // namespace detail

inline NameByte name_byte(char c) { return detail::name_bytes[static_cast<unsigned char>(c)]; }
inline bool is_token_byte(char c) {
    const NameByte kind = name_byte(c);
    return kind == NameByte::plain || kind == NameByte::underscore || kind == NameByte::token;
}
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
// 0..15, or -1.
inline int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    const char l = static_cast<char>(c | 0x20);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}
// Without surrounding SP and HTAB.
std::string_view trimmed(std::string_view text);

// Offset of the first control byte (below 0x20 or DEL) at or after `from`; text.size() if there is none.
// HTAB is one only if `tab_stops`.
std::size_t find_control(std::string_view text, std::size_t from, bool tab_stops);

}  // namespace hawser::gateway::http1
