// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hawser::manifest {

// The API server's rules for names (k8s.io/apimachinery util/validation). Each returns what is wrong, in the
// words of an error ("must be ..."), or "".
std::string check_dns_label(std::string_view text);       // RFC 1123 label, <= 63: Services, port names
std::string check_dns_subdomain(std::string_view text);   // RFC 1123 subdomain, <= 253: most objects
std::string check_wildcard_host(std::string_view text);   // "*.example.com": Ingress hosts
std::string check_port_name(std::string_view text);       // IANA service name, <= 15: containers, targetPort
std::string check_qualified_name(std::string_view text);  // "app", "example.com/app": label keys
std::string check_label_value(std::string_view text);
std::string check_data_key(std::string_view text);  // keys of Secret.data

}  // namespace hawser::manifest
