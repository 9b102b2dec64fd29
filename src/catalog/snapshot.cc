// SPDX-License-Identifier: Apache-2.0
#include "catalog/snapshot.h"

namespace hawser::catalog {

std::string_view to_string(FrontendKind kind) {
    switch (kind) {
        case FrontendKind::node_port:
            return "NodePort";
        case FrontendKind::external_ip:
            return "ExternalIP";
        case FrontendKind::load_balancer:
            return "LoadBalancer";
        case FrontendKind::cluster_ip:
            return "ClusterIP";
    }
    return "?";
}

}  // namespace hawser::catalog
