// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/servers.h"

#include <algorithm>
#include <set>

#include "sources/nginx/merge.h"
#include "sources/nginx/settings.h"
#include "sources/nginx/upstreams.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

bool always_returns(const http::Script& script) {
    return std::any_of(script.begin(), script.end(), [](const http::Instruction& i) {
        return std::holds_alternative<http::Return>(i.what);
    });
}

bool has_rewrite(const http::Script& script) {
    return std::any_of(script.begin(), script.end(), [](const http::Instruction& i) {
        return std::holds_alternative<http::Rewrite>(i.what);
    });
}

// The `root` in force for the locations of a level, if one was given: it is inherited, and a location that
// nobody else answers would serve files from it.
const FileUse* find_root(const LocationConf& level, const FileUse* outer) {
    const auto root = std::find_if(level.files.begin(), level.files.end(),
                                   [](const FileUse& f) { return f.directive == "root"; });
    return root != level.files.end() ? &*root : outer;
}

class ServerBuilder {
  public:
    ServerBuilder(Reading& reading, Upstreams& upstreams, std::set<std::string>& route_ids)
        : reading_(reading), upstreams_(upstreams), route_ids_(route_ids) {}

    // Merges and compiles; conf is changed on the way.
    std::shared_ptr<http::VirtualServer> build(ServerConf& conf, const ServerConf& defaults) {
        inherit(conf, defaults);
        auto out = std::make_shared<http::VirtualServer>();
        out->name = conf.name_texts.front();
        if (out->name.starts_with(".")) out->name.erase(0, 1);
        out->names = std::move(conf.names);
        out->position = conf.position;
        set_header_limits(conf, *out);
        out->groups = upstreams_.blocks();
        route_prefix_ = "nginx:" + out->name + ":" + std::to_string(conf.listens.front().address.port);
        returns_ = always_returns(conf.location.script);
        const FileUse* root = find_root(conf.location, find_root(defaults.location, nullptr));
        judge_server_files(conf, root);
        out->settings = make_settings(reading_, conf.location);
        for (const auto& location : conf.location.nested)
            out->locations.push_back(build_location(*location, conf.location, root));
        out->script = std::move(conf.location.script);
        return out;
    }

  private:
    static void set_header_limits(const ServerConf& conf, http::VirtualServer& out) {
        const auto clamp = [](std::uint64_t v) {
            return static_cast<std::uint32_t>(std::min<std::uint64_t>(v, UINT32_MAX));
        };
        out.client_header_timeout = conf.client_header_timeout.value_or(out.client_header_timeout);
        if (conf.client_header_buffer_size)
            out.client_header_buffer_size = clamp(*conf.client_header_buffer_size);
        if (conf.large_header_buffers) {
            out.large_header_buffers = clamp(conf.large_header_buffers->count);
            out.large_header_buffer_size = clamp(conf.large_header_buffers->size);
        }
        out.ignore_invalid_headers = conf.ignore_invalid_headers.value_or(true);
        out.underscores_in_headers = conf.underscores_in_headers.value_or(false);
        out.merge_slashes = conf.merge_slashes.value_or(true);
    }

    void note_file_use(const FileUse& use) {
        reading_.diagnostics.note(use.position, "\"" + use.directive + "\" has no effect: no file is served");
    }

    // Requests that no location takes would be answered from root's files.
    void judge_server_files(const ServerConf& conf, const FileUse* root) {
        const auto& locations = conf.location.nested;
        const bool catches_all = std::any_of(locations.begin(), locations.end(), [](const auto& l) {
            return l->name == "/" && l->match.kind != http::LocationMatch::Kind::exact &&
                   l->match.kind != http::LocationMatch::Kind::regex;
        });
        for (const FileUse& use : conf.location.files) note_file_use(use);
        if (returns_ || catches_all) return;
        if (root != nullptr)
            reading_.error(root->position,
                           "\"root\" is not supported: hawser serves no files, and the server at " +
                               conf.position.text() + " has no location \"/\" that answers instead");
        else if (locations.empty())
            reading_.diagnostics.warning(conf.position,
                                         "the server has neither a location nor a return: it answers 404");
    }

    void judge_location(const LocationConf& conf, const FileUse* root) {
        const bool answers = returns_ || conf.pass || always_returns(conf.script);
        if (answers) {
            for (const FileUse& use : conf.files) note_file_use(use);
            return;
        }
        for (const FileUse& use : conf.files)
            reading_.error(use.position,
                           "\"" + use.directive + "\" is not supported: hawser serves no files");
        if (!conf.files.empty()) return;
        const std::string what = "the location \"" + conf.name + "\" has neither proxy_pass nor return";
        if (root != nullptr) {
            reading_.error(conf.position, what + ", and hawser serves no files from the \"root\" at " +
                                              root->position.text());
        } else if (!conf.internal && !has_rewrite(conf.script)) {
            reading_.diagnostics.warning(conf.position,
                                         what + ": it answers 404, for hawser serves no files");
        }
    }

    std::string route_id(const LocationConf& conf) {
        using Kind = http::LocationMatch::Kind;
        const Kind kind = conf.match.kind;
        std::string id = route_prefix_;
        if (kind == Kind::exact) id += "= ";
        if (kind == Kind::regex) id += conf.match.regex && conf.match.regex->ignores_case() ? "~* " : "~ ";
        id += conf.name;
        // Two servers of one name and port on two addresses: told apart by their order.
        std::string unique = id;
        for (unsigned n = 2; !route_ids_.insert(unique).second; ++n) unique = id + "#" + std::to_string(n);
        return unique;
    }

    std::shared_ptr<const http::Location> build_location(LocationConf& conf, const LocationConf& outer,
                                                         const FileUse* outer_root) {
        inherit(conf, outer);
        add_default_redirect(conf);
        const FileUse* root = find_root(conf, outer_root);
        judge_location(conf, outer_root);
        auto out = std::make_shared<http::Location>();
        out->route_id = route_id(conf);
        out->position = conf.position;
        out->settings = make_settings(reading_, conf);
        out->internal = conf.internal;
        if (conf.pass) {
            out->proxy = make_proxy(reading_, upstreams_, conf);
            out->auto_redirect =
                conf.match.kind != http::LocationMatch::Kind::regex && conf.name.ends_with("/");
            if (conf.pass->dynamic && reading_.http.uses_resolver)
                reading_.diagnostics.warning(conf.pass->position,
                                             "host names that come out of variables are not resolved at run "
                                             "time; upstream names and addresses are");
        }
        for (const auto& location : conf.nested) out->nested.push_back(build_location(*location, conf, root));
        out->match = std::move(conf.match);
        out->script = std::move(conf.script);
        return out;
    }

    Reading& reading_;
    Upstreams& upstreams_;
    std::set<std::string>& route_ids_;
    std::string route_prefix_;
    bool returns_ = false;  // the server's own script answers everything
};

// ---- listeners

class ListenerBuilder {
  public:
    explicit ListenerBuilder(Reading& reading) : reading_(reading) {}

    void add(const ServerConf& conf, const std::shared_ptr<const http::VirtualServer>& server) {
        for (const ListenConf& listen : conf.listens) add_one(listen, server);
    }

    std::vector<http::Listener> finish() {
        std::vector<http::Listener> out;
        for (auto& [address, entry] : entries_) {
            if (entry.listener.servers.size() > 1) check_names(entry);
            out.push_back(std::move(entry.listener));
        }
        return out;
    }

  private:
    struct Entry {
        http::Listener listener;
        bool has_options = false, has_default = false;
    };

    void add_one(const ListenConf& listen, const std::shared_ptr<const http::VirtualServer>& server) {
        const std::string text = listen.address.text();
        const auto [at, is_new] = entries_.try_emplace(listen.address);
        Entry& entry = at->second;
        http::Listener& listener = entry.listener;
        if (is_new) {
            listener.address = listen.address;
            listener.source = "nginx";
            listener.position = listen.position;
        }
        if (!listener.servers.empty() && listener.servers.back() == server)
            return reading_.error(listen.position, "a duplicate listen " + text);
        listener.servers.push_back(server);
        if (listen.options.any_set) {
            if (entry.has_options)
                return reading_.error(listen.position, "duplicate listen options for " + text);
            entry.has_options = true;
            listener.backlog = listen.options.backlog;
            listener.ipv6_only = listen.options.ipv6_only;
            listener.position = listen.position;
        }
        if (listen.options.default_server) {
            if (entry.has_default)
                return reading_.error(listen.position, "a duplicate default server for " + text);
            entry.has_default = true;
            listener.default_server = listener.servers.size() - 1;
        }
    }

    // Names that an earlier server of this address has already: nginx ignores them, with this warning.
    void check_names(const Entry& entry) {
        std::set<std::string> exact, leading, trailing;
        using Kind = http::ServerName::Kind;
        for (const auto& server : entry.listener.servers) {
            for (const http::ServerName& name : server->names) {
                bool fresh = true;
                if (name.kind == Kind::exact) fresh = exact.insert(name.text).second;
                if (name.kind == Kind::trailing_wildcard) fresh = trailing.insert(name.text).second;
                if (name.kind == Kind::leading_wildcard) {
                    if (name.also_bare) fresh = exact.insert(name.text.substr(1)).second;
                    fresh = fresh && leading.insert(name.text).second;
                }
                if (fresh) continue;
                std::string text = name.text;
                if (name.kind == Kind::leading_wildcard && !name.also_bare) text.insert(0, 1, '*');
                if (name.kind == Kind::trailing_wildcard) text += '*';
                reading_.diagnostics.warning(server->position, "conflicting server name \"" + text +
                                                                   "\" on " + entry.listener.address.text() +
                                                                   ", ignored");
            }
        }
    }

    Reading& reading_;
    std::map<net::SocketAddress, Entry> entries_;
};

}  // namespace

std::vector<http::Listener> build_listeners(Reading& reading) {
    Upstreams upstreams(reading);
    std::set<std::string> route_ids;
    ListenerBuilder listeners(reading);
    std::vector<std::shared_ptr<http::VirtualServer>> servers;
    for (const auto& conf : reading.http.servers) {
        ServerBuilder builder(reading, upstreams, route_ids);
        servers.push_back(builder.build(*conf, reading.http.defaults));
        listeners.add(*conf, servers.back());
    }
    // Only now every variable has been seen.
    const auto variables = reading.variables.finish();
    for (const auto& server : servers) server->variables = variables;
    std::vector<http::Listener> out = listeners.finish();
    if (reading.diagnostics.has_errors()) out.clear();
    return out;
}

}  // namespace hawser::nginx
