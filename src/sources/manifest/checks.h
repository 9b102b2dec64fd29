// SPDX-License-Identifier: Apache-2.0
#pragma once

// The single checks that the validation of several kinds shares.

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/objects.h"
#include "net/address.h"
#include "sources/manifest/path.h"

namespace hawser::manifest {

// Reports `value` as wrong at `path` unless `wrong` is empty: `metadata.name: "A": must ...`.
void refuse(const Path& path, std::string_view value, const std::string& wrong, Report& report);
void require(const Path& path, bool there, Report& report);  // "is required"
void one_of(const Path& path, std::string_view value, std::initializer_list<std::string_view> allowed,
            Report& report);
void in_range(const Path& path, std::int64_t value, std::int64_t least, std::int64_t most, Report& report);

using NameRule = std::string (*)(std::string_view);
// Name, namespace, labels, annotations.
void check_metadata(const catalog::ObjectMeta& meta, const Path& object, NameRule name_rule, bool namespaced,
                    Report& report);
void check_labels(const catalog::StringMap& labels, const Path& path, Report& report);

// The address, or nothing after a report.
std::optional<net::IpAddress> check_ip(const Path& path, std::string_view text, Report& report);
// An address that endpoints and externalIPs may have (S-09): no link-local, unspecified, loopback. A loopback
// endpoint is refused by the API server; here it is only warned of, because without a cluster the pods of a
// laptop's demo are processes of that laptop.
enum class Loopback : unsigned char { refused, warned };
void check_endpoint_ip(const Path& path, std::string_view text, Loopback loopback, Report& report);

}  // namespace hawser::manifest
