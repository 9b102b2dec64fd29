// SPDX-License-Identifier: Apache-2.0
#include "tunnel/tunnel.h"

#include <fmt/format.h>

namespace hawser::tunnel {

std::string_view to_string(Side side) { return side == Side::client ? "client" : "endpoint"; }

std::string_view to_string(Kind kind) {
    switch (kind) {
        case Kind::upgrade:
            return "upgrade";
        case Kind::tcp:
            return "tcp";
        case Kind::udp:
            return "udp";
    }
    return "?";
}

std::string_view to_string(CloseReason reason) {
    switch (reason) {
        case CloseReason::finished:
            return "finished";
        case CloseReason::reset:
            return "reset";
        case CloseReason::timed_out:
            return "timed_out";
        case CloseReason::idle:
            return "idle";
        case CloseReason::killed:
            return "killed";
        case CloseReason::drained:
            return "drained";
        case CloseReason::moved:
            return "moved";
        case CloseReason::failed:
            return "failed";
    }
    return "?";
}

std::string log_line(const Tunnel& t, std::string_view event) {
    std::string line = fmt::format(
        "tunnel {} id={} proto={} client={} frontend={} service={} endpoint={} route=\"{}\"", event, t.id,
        t.protocol, t.client.text(), t.frontend.text(), t.service, t.endpoint.text(), t.route);
    if (!t.reason) return line;
    line += fmt::format(
        " duration={:.3f}s bytes_in={} bytes_out={} frames_in={} frames_out={} closed_by={} reason={}",
        static_cast<double>(t.duration.count()) / 1000.0, t.from_client.bytes, t.from_endpoint.bytes,
        t.from_client.frames, t.from_endpoint.frames, t.closed_by ? to_string(*t.closed_by) : "hawser",
        to_string(*t.reason));
    if (t.from_client.close_code) line += fmt::format(" close_code_in={}", *t.from_client.close_code);
    if (t.from_endpoint.close_code) line += fmt::format(" close_code_out={}", *t.from_endpoint.close_code);
    return line;
}

}  // namespace hawser::tunnel
