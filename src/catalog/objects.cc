// SPDX-License-Identifier: Apache-2.0
#include "catalog/objects.h"

namespace hawser::catalog {

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
        case Protocol::tcp:
            return "TCP";
        case Protocol::udp:
            return "UDP";
        case Protocol::sctp:
            return "SCTP";
    }
    return "?";
}

std::optional<Protocol> parse_protocol(std::string_view text) {
    if (text == "TCP") return Protocol::tcp;
    if (text == "UDP") return Protocol::udp;
    if (text == "SCTP") return Protocol::sctp;
    return std::nullopt;
}

}  // namespace hawser::catalog
