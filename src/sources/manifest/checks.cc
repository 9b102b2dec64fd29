// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/checks.h"

#include <algorithm>
#include <cctype>

#include "sources/manifest/names.h"

namespace hawser::manifest {

void refuse(const Path& path, std::string_view value, const std::string& wrong, Report& report) {
    if (!wrong.empty()) report.error(path, "\"" + std::string(value) + "\": " + wrong);
}

void require(const Path& path, bool there, Report& report) {
    if (!there) report.error(path, "is required");
}

void one_of(const Path& path, std::string_view value, std::initializer_list<std::string_view> allowed,
            Report& report) {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
    std::string list;
    for (const std::string_view a : allowed) list += (list.empty() ? "" : ", ") + std::string(a);
    report.error(path, "\"" + std::string(value) + "\" is not one of " + list);
}

void in_range(const Path& path, std::int64_t value, std::int64_t least, std::int64_t most, Report& report) {
    if (value >= least && value <= most) return;
    report.error(path,
                 std::to_string(value) + " is not in " + std::to_string(least) + "-" + std::to_string(most));
}

void check_labels(const catalog::StringMap& labels, const Path& path, Report& report) {
    for (const auto& [key, value] : labels) {
        const Path at = Path::keyed(path, key, path.value() != nullptr ? path.value()->find(key) : nullptr);
        refuse(at, key, check_qualified_name(key), report);
        refuse(at, value, check_label_value(value), report);
    }
}

void check_metadata(const catalog::ObjectMeta& meta, const Path& object, NameRule name_rule, bool namespaced,
                    Report& report) {
    const Path path(object, "metadata");
    const Path name(path, "name"), space(path, "namespace"), annotations(path, "annotations");
    if (meta.name.empty())
        report.error(name, Path(path, "generateName").present()
                               ? "is required: hawser makes up no names as generateName asks"
                               : "is required");
    else
        refuse(name, meta.name, name_rule(meta.name), report);
    if (namespaced)
        refuse(space, meta.namespace_, check_dns_label(meta.namespace_), report);
    else if (space.present())
        report.error(space, "this kind is in no namespace");
    check_labels(meta.labels, Path(path, "labels"), report);
    std::size_t size = 0;
    for (const auto& [key, value] : meta.annotations) {
        size += key.size() + value.size();
        const Value* at = annotations.value() != nullptr ? annotations.value()->find(key) : nullptr;
        std::string lower = key;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        refuse(Path::keyed(annotations, key, at), key, check_qualified_name(lower), report);
    }
    if (size > 256 * 1024) report.error(annotations, "more than 262144 bytes in all");
}

std::optional<net::IpAddress> check_ip(const Path& path, std::string_view text, Report& report) {
    const auto ip = net::IpAddress::parse(text);
    if (!ip)
        report.error(path, "\"" + std::string(text) + "\" is not an IP address (10.9.8.7 or 2001:db8::1)");
    return ip;
}

void check_endpoint_ip(const Path& path, std::string_view text, Loopback loopback, Report& report) {
    const auto ip = check_ip(path, text, report);
    if (!ip) return;
    const std::string shown = "\"" + std::string(text) + "\"";
    if (ip->is_unspecified()) report.error(path, shown + " may not be the unspecified address");
    if (ip->is_loopback() && loopback == Loopback::refused)
        report.error(path, shown + " may not be in the loopback range (127.0.0.0/8, ::1)");
    if (ip->is_loopback() && loopback == Loopback::warned)
        report.warning(path, shown + " is a loopback address: a cluster would refuse it");
    const bool link_local_multicast = ip->is_v4() ? (ip->v4_host_order() >> 8) == 0xE00000
                                                  : ip->bytes()[0] == 0xFF && (ip->bytes()[1] & 0xF) == 2;
    if (ip->is_link_local())
        report.error(path, shown + " may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (link_local_multicast)
        report.error(path, shown + " may not be in the link-local multicast range (224.0.0.0/24, ff02::/16)");
}

}  // namespace hawser::manifest
