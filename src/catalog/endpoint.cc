// SPDX-License-Identifier: Apache-2.0
#include "catalog/endpoint.h"

namespace hawser::catalog {

std::string_view to_string(Scheduler scheduler) {
    switch (scheduler) {
        case Scheduler::rr:
            return "rr";
        case Scheduler::random:
            return "random";
        case Scheduler::least_connected:
            return "lc";
        case Scheduler::random_two:
            return "random two";
        case Scheduler::source_hash:
            return "sh";
        case Scheduler::destination_hash:
            return "dh";
        case Scheduler::maglev:
            return "mh";
        case Scheduler::ip_hash:
            return "ip_hash";
        case Scheduler::hash:
            return "hash";
        case Scheduler::hash_consistent:
            return "hash consistent";
    }
    return "?";
}

}  // namespace hawser::catalog
