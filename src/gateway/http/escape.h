// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hawser::gateway {

// The sets of bytes that nginx 1.22 writes as %XX; both hold controls, DEL, bytes above 0x7f and
// SP " # % < > ? \ ^ ` { | }.
enum class EscapeSet : unsigned char {
    uri,        // a path that was decoded: proxied URIs, location names in redirects
    arguments,  // captures that go into arguments or a redirect: & + ; as well
};
void append_escaped(std::string& out, std::string_view text, EscapeSet set);

// Decodes the path of a redirect as nginx does: %XX of printable bytes above '%', up to the first '?'.
void unescape_redirect(std::string& text);

// Writes controls other than HTAB as %XX. What variables and captures hold was decoded from the request and
// may have a CR LF in it: nothing of that kind may get into a head. (nginx 1.22 lets it through.)
void escape_controls(std::string& text);

// What access_log writes for escape=default (\xHH) and escape=json (\n, \", \u00HH). Upper-case digits.
void append_log_escaped(std::string& out, std::string_view text);
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace hawser::gateway
