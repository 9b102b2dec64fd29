// SPDX-License-Identifier: Apache-2.0
#include "net/error.h"

#include <cstring>
#include <stdexcept>

namespace hawser::net {

std::string_view to_string(Party party) {
    switch (party) {
        case Party::client:
            return "client";
        case Party::endpoint:
            return "endpoint";
        case Party::ourselves:
            return "hawser";
    }
    return "?";
}

std::string Error::text() const {
    std::string out = message;
    for (const Error* e = cause.get(); e != nullptr; e = e->cause.get()) out += ": " + e->message;
    return out;
}

Error system_error(std::string_view what, int code, Party party) {
    Error error;
    error.party = party;
    error.code = code;
    error.message = std::string(what) + ": " + std::strerror(code);
    return error;
}

Error wrap(std::string_view what, Error cause) {
    Error error;
    error.party = cause.party;
    error.retry_is_safe = cause.retry_is_safe;
    error.code = cause.code;
    error.message = what;
    error.cause = std::make_shared<const Error>(std::move(cause));
    return error;
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
    throw std::logic_error(error.text() + " (" + where.to_string() + ")");
}

}  // namespace hawser::net
