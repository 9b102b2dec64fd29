// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/escape.h"
#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::AccessLog;
using catalog::http::LogFormat;
using catalog::http::Template;

std::string render_log_line(const LogFormat& format, const Exchange& x) {
    std::string line;
    line.reserve(256);
    std::string value;
    for (const Template::Part& part : format.format.parts) {
        if (part.kind != Template::Part::Kind::variable) {
            line += part.text;
            continue;
        }
        if (format.escape == LogFormat::Escape::none) {
            append_value(line, part.variable, x);
            continue;
        }
        value.clear();
        const bool found = append_value(value, part.variable, x);
        if (format.escape == LogFormat::Escape::json) {
            append_json_escaped(line, value);
        } else if (found) {
            append_log_escaped(line, value);
        } else {
            line += '-';
        }
    }
    return line;
}

bool wants_log(const AccessLog& log, const Exchange& x) {
    return !log.condition || !is_false(expand(*log.condition, x));
}

}  // namespace hawser::gateway
