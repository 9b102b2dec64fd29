// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/http.h"
#include "catalog/ingress_template.h"
#include "catalog/objects.h"

namespace hawser::catalog {

// What the annotations of one Ingress (nginx.ingress.kubernetes.io/*) ask for, on top of ingress-nginx's
// defaults: so that an Ingress written for it behaves here as it did there.
struct IngressSettings {
    std::shared_ptr<const http::Settings> settings;
    http::Proxy proxy;  // without group and host_header
    bool use_regex = false;
    std::optional<http::Template> rewrite_target;
    std::optional<http::Return> redirect;    // permanent-redirect, temporal-redirect
    std::string app_root;                    // "" = none
    std::vector<std::string> aliases;        // server-alias, lower case
    std::optional<http::Template> hash_key;  // upstream-hash-by
    bool round_robin = false;                // load-balance: round_robin
};

// The settings of Ingress servers by themselves (answers that no Ingress decides).
std::shared_ptr<const http::Settings> default_ingress_settings(TemplateMaker& templates);

// Annotations that hawser does not have are named in a warning each; a value that makes no sense is a warning
// and the default stays, as ingress-nginx does it.
IngressSettings read_annotations(const Sourced<Ingress>& ingress, TemplateMaker& templates,
                                 Diagnostics& diagnostics);

}  // namespace hawser::catalog
