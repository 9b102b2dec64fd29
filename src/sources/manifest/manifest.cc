// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/manifest.h"

#include "sources/manifest/decode.h"
#include "sources/manifest/tolerated.h"

namespace hawser::manifest {
namespace {

using catalog::Position;

Position position_of(const Value& value, const std::string& file) { return {file, value.line, value.column}; }

std::string_view group_of(std::string_view api_version) {
    const std::size_t slash = api_version.find('/');
    return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

struct KindRule {
    std::string_view kind;
    std::string_view api_version;
    std::string_view old_group;  // where the kind lived before: an error of its own, not another kind
};
constexpr KindRule kinds[] = {
    {"Service", "v1", ""},
    {"Endpoints", "v1", ""},
    {"Pod", "v1", ""},
    {"Node", "v1", ""},
    {"Secret", "v1", ""},
    {"ConfigMap", "v1", ""},
    {"EndpointSlice", "discovery.k8s.io/v1", ""},
    {"Ingress", "networking.k8s.io/v1", "extensions"},
    {"IngressClass", "networking.k8s.io/v1", ""},
    {"VIP", "hawser.io/v1alpha1", ""},
};

const KindRule* find_kind(std::string_view kind, std::string_view api_version) {
    for (const KindRule& rule : kinds) {
        const std::string_view group = group_of(api_version);
        if (rule.kind == kind &&
            (group == group_of(rule.api_version) || (!rule.old_group.empty() && group == rule.old_group)))
            return &rule;
    }
    return nullptr;
}

// The text of a required field of the document's top, or "" after a report.
std::string required_text(const Value& document, const char* field, const std::string& file, Report& report) {
    const Path root(document), path(root, field);
    std::string out;
    if (!path.present()) {
        report.error_at(position_of(document, file), field, "is required");
        return out;
    }
    decode(*path.value(), path, out, report);
    return out;
}

}  // namespace

template <class T>
void ObjectReader::read_kind(const Value& document, const std::string& file, std::string_view kind,
                             std::vector<catalog::Sourced<T>>& into) {
    const std::size_t before = diagnostics_.errors();
    Report report(file, diagnostics_);
    report.secret = kind == "Secret";
    const Path root(document);
    T object;
    decode(document, root, object, report);
    if (object.metadata.namespace_.empty()) object.metadata.namespace_ = "default";
    // Only what could be decoded is judged: a wrong type would be reported a second time as a missing value.
    if (diagnostics_.errors() == before) validate(object, root, options_, report);
    if (object.metadata.name.empty()) return;
    const Position where = position_of(document, file);
    const bool namespaced = kind != "Node" && kind != "IngressClass" && kind != "VIP";
    const std::string key =
        std::string(kind) + " " + (namespaced ? object.metadata.key() : object.metadata.name);
    const auto [first, fresh] = seen_.emplace(key, where);
    if (!fresh)
        diagnostics_.error(where, key + " is given twice: first at " + first->second.text());
    else if (diagnostics_.errors() == before)
        into.push_back({std::move(object), where});
}

void ObjectReader::read_object(const Value& document, const std::string& file, const std::string& api_version,
                               const std::string& kind) {
    const KindRule* rule = find_kind(kind, api_version);
    if (rule == nullptr) {
        Unread& unread = unread_[(group_of(api_version).empty() ? "" : api_version + " ") + kind];
        if (unread.count++ == 0) unread.first = position_of(document, file);
        return;
    }
    if (api_version != rule->api_version) {
        Report report(file, diagnostics_);
        const Path root(document);
        report.error(Path(root, "apiVersion"), "\"" + api_version + "\" is not served for " + kind +
                                                   "; it is \"" + std::string(rule->api_version) + "\"");
        return;
    }
    if (kind == "Service") return read_kind(document, file, kind, objects_.services);
    if (kind == "EndpointSlice") return read_kind(document, file, kind, objects_.slices);
    if (kind == "Endpoints") return read_kind(document, file, kind, objects_.endpoints);
    if (kind == "Pod") return read_kind(document, file, kind, objects_.pods);
    if (kind == "Node") return read_kind(document, file, kind, objects_.nodes);
    if (kind == "Secret") return read_kind(document, file, kind, objects_.secrets);
    if (kind == "Ingress") return read_kind(document, file, kind, objects_.ingresses);
    if (kind == "IngressClass") return read_kind(document, file, kind, objects_.ingress_classes);
    if (kind == "VIP") return read_kind(document, file, kind, objects_.vips);
    // ConfigMap: stands in the same files, tells hawser nothing.
}

void ObjectReader::read_list(const Value& document, const std::string& file, const std::string& item_kind,
                             const std::string& api_version) {
    Report report(file, diagnostics_);
    const Path root(document), items(root, "items");
    if (!items.present()) return;
    if (items.value()->kind != Value::Kind::list) return report_type(items, *items.value(), "a list", report);
    for (const ValuePtr& item : items.value()->items) {
        // The items of a ServiceList say nothing of their kind.
        if (!item_kind.empty() && item->kind == Value::Kind::map && item->find("kind") == nullptr)
            read_object(*item, file, api_version, item_kind);
        else
            read(*item, file);
    }
}

void ObjectReader::read(const Value& document, const std::string& file) {
    if (document.is_null()) return;
    Report report(file, diagnostics_);
    if (document.kind != Value::Kind::map)
        return report.error_at(position_of(document, file), "",
                               "a document must be a mapping with apiVersion and "
                               "kind, not " +
                                   document.shown());
    const std::string api_version = required_text(document, "apiVersion", file, report);
    const std::string kind = required_text(document, "kind", file, report);
    if (api_version.empty() || kind.empty()) return;
    if (kind == "List" && api_version == "v1") return read_list(document, file, "", "");
    if (kind.ends_with("List") && find_kind(kind.substr(0, kind.size() - 4), api_version) != nullptr)
        return read_list(document, file, kind.substr(0, kind.size() - 4), api_version);
    read_object(document, file, api_version, kind);
}

void ObjectReader::read_text(const std::string& text, const std::string& file, const ParseLimits& limits) {
    const auto documents = file.ends_with(".json") ? parse_json(text, file, limits, diagnostics_)
                                                   : parse_yaml(text, file, limits, diagnostics_);
    for (const ValuePtr& document : documents) read(*document, file);
}

void ObjectReader::finish() {
    for (const auto& [kind, unread] : unread_)
        diagnostics_.warning(unread.first,
                             "hawser does not read " + kind + " (" + std::to_string(unread.count) +
                                 (unread.count == 1 ? " object" : " objects") + " passed over)");
    unread_.clear();
}

}  // namespace hawser::manifest
