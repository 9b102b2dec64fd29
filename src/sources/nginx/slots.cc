// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/slots.h"

namespace hawser::nginx {

std::optional<bool> read_flag(Reading& reading, const Directive& d) {
    const std::string value = lower(d.argument(1));
    if (value == "on") return true;
    if (value == "off") return false;
    reading.error(d.position(1), "invalid value \"" + d.argument(1) + "\" in \"" + d.name() +
                                     "\" directive, it must be \"on\" or \"off\"");
    return std::nullopt;
}

}  // namespace hawser::nginx
