// SPDX-License-Identifier: Apache-2.0
#include "catalog/ingress.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "catalog/ingress_settings.h"

namespace hawser::catalog {
namespace {

using http::Location;
using http::LocationMatch;
using http::VirtualServer;

constexpr const char* default_class_annotation = "ingressclass.kubernetes.io/is-default-class";
constexpr const char* legacy_class_annotation = "kubernetes.io/ingress.class";

// Which Ingress objects are ours, by class.
class ClassRules {
  public:
    ClassRules(const Objects& objects, const BuildOptions& options)
        : ours_{options.ingress_class}, any_class_(!objects.ingress_classes.empty()) {
        const IngressClass* standard = nullptr;
        for (const auto& c : objects.ingress_classes) {
            if (c.object.spec.controller == ingress_controller) ours_.insert(c.object.metadata.name);
            const auto mark = c.object.metadata.annotations.find(default_class_annotation);
            if (mark == c.object.metadata.annotations.end() || mark->second != "true") continue;
            // Of two default classes the newest counts, then the first by name: what admission does.
            if (standard == nullptr ||
                std::pair(standard->metadata.creationTimestamp, c.object.metadata.name) <
                    std::pair(c.object.metadata.creationTimestamp, standard->metadata.name))
                standard = &c.object;
        }
        if (standard != nullptr) default_ = standard->metadata.name;
    }

    [[nodiscard]] bool is_ours(const Ingress& ingress) const {
        const auto legacy = ingress.metadata.annotations.find(legacy_class_annotation);
        if (legacy != ingress.metadata.annotations.end()) return ours_.contains(legacy->second);
        if (ingress.spec.ingressClassName) return ours_.contains(*ingress.spec.ingressClassName);
        // Without a class and without any IngressClass there is nobody else who could mean to serve it.
        return any_class_ ? ours_.contains(default_) : true;
    }

  private:
    std::set<std::string> ours_;
    std::string default_;
    bool any_class_;
};

enum class PathType : std::uint8_t { exact, prefix, implementation };

struct PathPlan {
    const Sourced<Ingress>* ingress = nullptr;
    const IngressSettings* settings = nullptr;
    PathType type = PathType::prefix;
    std::string path;  // a prefix without its last '/', but "/"
    IngressBackend backend;
};

struct HostPlan {
    std::vector<PathPlan> paths;  // older Ingress first
    std::vector<std::string> aliases;
    std::string app_root;
    Position position;
    std::vector<std::pair<const Sourced<Ingress>*, const IngressSettings*>> members;
};

std::string escape_regex(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (std::string_view("\\^$.[]|()?*+{}").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

class IngressCompiler {
  public:
    IngressCompiler(const Objects& objects, const std::vector<ServiceModel>& services,
                    const NodeIdentity& node, GroupShelf& shelf, Diagnostics& diagnostics)
        : objects_(objects), node_(node), shelf_(shelf), diagnostics_(diagnostics) {
        for (const ServiceModel& s : services) services_.emplace(s.object->metadata.key(), &s);
    }

    std::vector<std::shared_ptr<const VirtualServer>> compile(const BuildOptions& options) {
        const ClassRules classes(objects_, options);
        std::vector<const Sourced<Ingress>*> ours;
        for (const auto& i : objects_.ingresses) {
            if (classes.is_ours(i.object))
                ours.push_back(&i);
            else
                diagnostics_.note(i.position, "Ingress " + i.object.metadata.key() + " is of another class");
        }
        if (ours.empty()) return {};
        if (options.ingress_listen.empty()) {
            diagnostics_.warning(ours.front()->position,
                                 "Ingress rules are not served: no address is given to serve them at");
            return {};
        }
        std::sort(ours.begin(), ours.end(), [](const auto* a, const auto* b) {
            const auto age = [](const Ingress& i) {
                return std::tie(i.metadata.creationTimestamp, i.metadata.namespace_, i.metadata.name);
            };
            return age(a->object) < age(b->object);
        });
        hosts_[""].position = ours.front()->position;  // answers 404 to hosts that no rule names
        for (const auto* ingress : ours) plan(*ingress);
        add_default_backends();
        std::vector<std::shared_ptr<const VirtualServer>> out;
        for (auto& [host, plan] : hosts_) out.push_back(make_server(host, plan));
        return out;
    }

  private:
    void warn(const Sourced<Ingress>& ingress, const std::string& what) {
        diagnostics_.warning(ingress.position, "Ingress " + ingress.object.metadata.key() + ": " + what);
    }

    // ---- which path of which host goes where
    void plan(const Sourced<Ingress>& ingress) {
        const IngressSpec& spec = ingress.object.spec;
        const IngressSettings& settings = *settings_.emplace_back(
            std::make_unique<IngressSettings>(read_annotations(ingress, templates_, diagnostics_)));
        if (!spec.tls.empty())
            warn(ingress, "spec.tls: TLS is not served yet; the rules are served over HTTP");
        for (const IngressRule& rule : spec.rules) {
            HostPlan& host = join_host(lower(rule.host), ingress, settings);
            if (!rule.http) continue;
            for (const HTTPIngressPath& path : rule.http->paths)
                add_path(host, rule.host, path, ingress, settings);
        }
        if (spec.rules.empty()) join_host("", ingress, settings);
    }

    HostPlan& join_host(const std::string& name, const Sourced<Ingress>& ingress,
                        const IngressSettings& settings) {
        HostPlan& host = hosts_[name];
        if (host.members.empty()) host.position = ingress.position;
        if (host.members.empty() || host.members.back().first != &ingress)
            host.members.emplace_back(&ingress, &settings);
        if (host.app_root.empty()) host.app_root = settings.app_root;
        for (const std::string& alias : settings.aliases)
            if (!name.empty() && aliases_.insert(alias).second) host.aliases.push_back(alias);
        return host;
    }

    void add_path(HostPlan& host, const std::string& name, const HTTPIngressPath& from,
                  const Sourced<Ingress>& ingress, const IngressSettings& settings) {
        PathPlan plan;
        plan.ingress = &ingress;
        plan.settings = &settings;
        plan.type = from.pathType == "Exact"    ? PathType::exact
                    : from.pathType == "Prefix" ? PathType::prefix
                                                : PathType::implementation;
        plan.path = from.path.empty() ? "/" : from.path;
        if (plan.type == PathType::prefix)
            while (plan.path.size() > 1 && plan.path.back() == '/') plan.path.pop_back();
        plan.backend = from.backend;
        const auto same = std::find_if(host.paths.begin(), host.paths.end(), [&](const PathPlan& p) {
            return p.type == plan.type && p.path == plan.path;
        });
        if (same == host.paths.end())
            host.paths.push_back(std::move(plan));
        else
            warn(ingress, "the path " + name + from.path + " is taken by Ingress " +
                              same->ingress->object.metadata.key() + " at " + same->ingress->position.text());
    }

    // What no path of a host matches goes to the default backend of an Ingress with this host, else to that
    // of an Ingress without rules.
    void add_default_backends() {
        const Sourced<Ingress>* general = nullptr;
        const IngressSettings* general_settings = nullptr;
        for (const auto& [ingress, settings] : hosts_[""].members) {
            if (general != nullptr || !ingress->object.spec.defaultBackend ||
                !ingress->object.spec.rules.empty())
                continue;
            general = ingress;
            general_settings = settings;
        }
        for (auto& [name, host] : hosts_) {
            const bool whole = std::any_of(host.paths.begin(), host.paths.end(), [](const PathPlan& p) {
                return p.path == "/" && p.type != PathType::exact && !p.settings->use_regex;
            });
            if (whole) continue;
            const Sourced<Ingress>* chosen = general;
            const IngressSettings* settings = general_settings;
            for (const auto& [ingress, own] : host.members) {
                if (!ingress->object.spec.defaultBackend || ingress->object.spec.rules.empty()) continue;
                chosen = ingress;
                settings = own;
                break;
            }
            if (chosen != nullptr)
                host.paths.push_back(
                    {chosen, settings, PathType::prefix, "/", *chosen->object.spec.defaultBackend});
        }
    }

    // ---- a host's server and locations
    std::shared_ptr<const VirtualServer> make_server(const std::string& host, const HostPlan& plan) {
        auto out = std::make_shared<VirtualServer>();
        out->name = host;
        out->position = plan.position;
        out->variables = templates_.table();
        out->settings = default_settings_;
        if (!host.empty()) out->names.push_back(make_name(host));
        for (const std::string& alias : plan.aliases)
            if (!hosts_.contains(alias)) out->names.push_back(make_name(alias));
        if (!plan.app_root.empty()) out->script.push_back(redirect_to_root(plan));
        const bool regex = std::any_of(plan.paths.begin(), plan.paths.end(), [](const PathPlan& p) {
            return p.settings->use_regex || p.settings->rewrite_target;
        });
        out->locations = regex ? make_regex_locations(host, plan) : make_plain_locations(host, plan);
        return out;
    }

    static http::ServerName make_name(const std::string& host) {
        http::ServerName name;
        name.text = host;
        if (!host.starts_with("*.")) return name;
        // An Ingress wildcard stands for exactly one label, nginx's for any number of them: so it is a regex.
        name.kind = http::ServerName::Kind::regex;
        name.text = "^[^.]+" + escape_regex(host.substr(1)) + "$";
        auto regex = Regex::compile(name.text, true);
        if (regex) name.regex = *regex;
        return name;
    }

    http::Instruction redirect_to_root(const HostPlan& plan) {
        auto then = std::make_shared<http::Script>();
        then->push_back({plan.position,
                         http::Return{302, templates_.parse_known("$scheme://$http_host" + plan.app_root)}});
        http::If condition;
        condition.condition.test = http::Condition::Test::equals;
        condition.condition.variable = *templates_.variable("uri");
        condition.condition.operand = http::Template::from_literal("/");
        condition.then = std::move(then);
        return {plan.position, std::move(condition)};
    }

    using Locations = std::vector<std::shared_ptr<const Location>>;

    Locations make_plain_locations(const std::string& host, const HostPlan& plan) {
        // Exact paths first: the location `= /foo` of a Prefix gives way to that of an Exact.
        Locations out;
        std::set<std::pair<LocationMatch::Kind, std::string>> taken;
        const auto place = [&](const Location& location, LocationMatch::Kind kind, const std::string& text) {
            if (!taken.emplace(kind, text).second) return;
            auto copy = std::make_shared<Location>(location);
            copy->match.kind = kind;
            copy->match.text = text;
            out.push_back(std::move(copy));
        };
        using Kind = LocationMatch::Kind;
        for (const PathPlan& path : plan.paths)
            if (path.type == PathType::exact) place(make_location(host, path), Kind::exact, path.path);
        for (const PathPlan& path : plan.paths) {
            if (path.type == PathType::exact) continue;
            const Location location = make_location(host, path);
            if (path.type == PathType::implementation || path.path == "/") {
                place(location, Kind::prefix, path.path);
            } else {
                // Element by element: /foo matches /foo and /foo/bar, never /foobar.
                place(location, Kind::exact, path.path);
                place(location, Kind::prefix, path.path + "/");
            }
        }
        return out;
    }

    // As ingress-nginx: one path with a regex makes all paths of its host regexes (without case, the longest
    // first), because nginx would ask regexes before plain prefixes.
    Locations make_regex_locations(const std::string& host, const HostPlan& plan) {
        std::vector<const PathPlan*> order;
        for (const PathPlan& path : plan.paths) order.push_back(&path);
        std::stable_sort(order.begin(), order.end(), [](const PathPlan* a, const PathPlan* b) {
            return a->path.size() > b->path.size() ||
                   (a->path.size() == b->path.size() && a->type == PathType::exact &&
                    b->type != PathType::exact);
        });
        Locations out;
        for (const PathPlan* path : order) {
            Location location = make_location(host, *path);
            const bool own_regex = path->settings->use_regex || path->settings->rewrite_target;
            std::string pattern = "^" + (own_regex ? path->path : escape_regex(path->path));
            if (path->type == PathType::exact) pattern += "$";
            if (path->type == PathType::prefix && !own_regex && path->path != "/") pattern += "(?:/|$)";
            auto regex = Regex::compile(pattern, true);
            if (!regex) {
                warn(*path->ingress, "the path " + path->path + " is no regex: " + regex.error().text());
                continue;
            }
            location.match.kind = LocationMatch::Kind::regex;
            location.match.text = pattern;
            location.match.regex = *regex;
            out.push_back(std::make_shared<const Location>(std::move(location)));
        }
        return out;
    }

    Location make_location(const std::string& host, const PathPlan& path) {
        Location out;
        out.route_id = "ingress:" + path.ingress->object.metadata.key() + ":" + host + path.path;
        out.position = path.ingress->position;
        out.settings = path.settings->settings;
        const auto answer = [&](http::Return what) { out.script.push_back({out.position, std::move(what)}); };
        if (path.settings->redirect) {
            answer(*path.settings->redirect);
            return out;
        }
        out.proxy = make_proxy(path);
        // As ingress-nginx: no such service, no such port, no endpoint: 503.
        if (!out.proxy || out.proxy->group->endpoints.empty()) answer({503, {}});
        if (out.proxy && path.settings->rewrite_target) add_rewrite(path, out);
        return out;
    }

    void add_rewrite(const PathPlan& path, Location& out) {
        auto regex = Regex::compile("(?i)" + path.path, false);
        if (!regex) return;  // reported with the location's own pattern
        http::Rewrite rewrite;
        rewrite.regex = *regex;
        rewrite.replacement = *path.settings->rewrite_target;
        rewrite.flag = http::Rewrite::Flag::break_;
        out.script.push_back({out.position, std::move(rewrite)});
    }

    // ---- backends
    std::optional<http::Proxy> make_proxy(const PathPlan& path) {
        if (!path.backend.service) {
            warn(*path.ingress, "the path " + path.path + ": a resource backend is not supported: 503");
            return std::nullopt;
        }
        const IngressServiceBackend& backend = *path.backend.service;
        const std::string key = path.ingress->object.metadata.namespace_ + "/" + backend.name;
        const std::string port_text =
            backend.port.name.empty() ? std::to_string(backend.port.number) : backend.port.name;
        const auto found = services_.find(key);
        if (found == services_.end()) {
            warn(*path.ingress, "the path " + path.path + ": Service " + key + " does not exist: 503");
            return std::nullopt;
        }
        const ServiceModel& model = *found->second;
        const ServicePort* port = find_port(*model.object, backend.port);
        if (port == nullptr || model.object->spec.type == "ExternalName") {
            warn(*path.ingress,
                 "the path " + path.path + ": Service " + key +
                     (port == nullptr ? " has no TCP port " + port_text : " is an ExternalName") + ": 503");
            return std::nullopt;
        }
        const std::string protocol = port->appProtocol.value_or("");
        if (protocol == "https" || protocol == "kubernetes.io/wss" ||
            protocol == "kubernetes.io/h2c")  // S-21
            warn(*path.ingress,
                 "the path " + path.path + ": appProtocol " + protocol + " is not supported; HTTP is spoken");
        http::Proxy out = path.settings->proxy;
        out.group = make_group(model, *port, path);
        out.host_header = model.object->metadata.namespace_ + "-" + backend.name + "-" + port_text;
        return out;
    }

    static const ServicePort* find_port(const Service& service, const ServiceBackendPort& wanted) {
        for (const ServicePort& port : service.spec.ports)
            if (port.protocol == "TCP" &&
                (wanted.name.empty() ? port.port == wanted.number : port.name == wanted.name))
                return &port;
        return nullptr;
    }

    std::shared_ptr<const EndpointGroup> make_group(const ServiceModel& model, const ServicePort& port,
                                                    const PathPlan& path) {
        std::vector<bool> families = families_of(*model.object);
        if (families.empty()) families = {true, false};  // headless: whatever its endpoints have
        const Balancing& balancing = balancing_once(model);
        std::shared_ptr<const EndpointGroup> group;
        for (const bool v4 : families) {
            auto candidate = make_groups(model, port, v4, balancing, node_, shelf_).cluster;
            if (!group || (group->endpoints.empty() && !candidate->endpoints.empty()))
                group = std::move(candidate);
        }
        if (!path.settings->hash_key && !path.settings->round_robin) return group;
        EndpointGroup variant = *group;
        variant.id += "@ingress:" + path.ingress->object.metadata.key();
        variant.balancing = {};
        if (path.settings->hash_key) {
            variant.balancing.scheduler = Scheduler::hash_consistent;
            variant.balancing.hash_key = *path.settings->hash_key;
        }
        return shelf_.put(std::move(variant));
    }

    // A headless service's balancing is not decided elsewhere; the warnings of the others were given already.
    const Balancing& balancing_once(const ServiceModel& model) {
        const auto found = balancings_.find(&model);
        if (found != balancings_.end()) return found->second;
        Diagnostics unused;
        return balancings_[&model] = balancing_of(model, is_served(*model.object) ? unused : diagnostics_);
    }

    const Objects& objects_;
    const NodeIdentity& node_;
    GroupShelf& shelf_;
    Diagnostics& diagnostics_;
    TemplateMaker templates_;
    std::shared_ptr<const http::Settings> default_settings_ = default_ingress_settings(templates_);
    std::map<std::string, const ServiceModel*> services_;
    std::map<const ServiceModel*, Balancing> balancings_;
    std::vector<std::unique_ptr<IngressSettings>> settings_;
    std::map<std::string, HostPlan> hosts_;  // "" first: the server for all other hosts
    std::set<std::string> aliases_;
};

}  // namespace

std::vector<std::shared_ptr<const VirtualServer>> compile_ingress(const Objects& objects,
                                                                  const BuildOptions& options,
                                                                  const std::vector<ServiceModel>& services,
                                                                  const NodeIdentity& node, GroupShelf& shelf,
                                                                  Diagnostics& diagnostics) {
    return IngressCompiler(objects, services, node, shelf, diagnostics).compile(options);
}

}  // namespace hawser::catalog
