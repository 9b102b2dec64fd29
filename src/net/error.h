// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/system/result.hpp>
#include <memory>
#include <string>
#include <string_view>

namespace hawser::net {

// Whose fault an error is: decides the status a client sees, the log line and the metric.
enum class Party : unsigned char { client, endpoint, ourselves };

std::string_view to_string(Party party);

// What can be expected to fail. Crosses modules inside Result<T>; never thrown.
struct Error {
    Party party = Party::ourselves;
    bool retry_is_safe = false;  // nothing was sent to the endpoint yet
    int code = 0;                // errno, or 0
    std::string message;         // lower case, no full stop, e.g. "connect to 10.0.0.1:9080 failed"
    std::shared_ptr<const Error> cause;

    // "message: cause: cause of the cause"
    [[nodiscard]] std::string text() const;
};

template <class T>
using Result = boost::system::result<T, Error>;

// An Error of ours with the text of errno as its cause, e.g. system_error("bind 0.0.0.0:80", EACCES).
Error system_error(std::string_view what, int code, Party party = Party::ourselves);

// The same error one level up: `what` is the new message, `cause` becomes its cause.
Error wrap(std::string_view what, Error cause);

// Called by Boost when value() is asked of a Result that holds an Error: a bug, never input.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

}  // namespace hawser::net
