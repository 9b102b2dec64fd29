// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <unordered_map>

#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Listener;
using catalog::http::ServerName;
using catalog::http::VirtualServer;
using ServerPointer = std::shared_ptr<const VirtualServer>;

namespace {
struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using ByName = std::unordered_map<std::string, ServerPointer, StringHash, std::equal_to<>>;

const ServerPointer* look_up(const ByName& names, std::string_view key) {
    const auto at = names.find(key);
    return at == names.end() ? nullptr : &at->second;
}
}  // namespace

struct ServerIndex::Impl {
    ServerPointer fallback;
    ByName exact, leading, trailing;  // leading: ".example.com"; trailing: "mail."
    std::vector<std::pair<const ServerName*, ServerPointer>> regexes;

    void add(const ServerPointer& server, const ServerName& name) {
        switch (name.kind) {
            case ServerName::Kind::exact:
                exact.emplace(name.text, server);
                break;
            case ServerName::Kind::leading_wildcard:
                leading.emplace(name.text, server);
                if (name.also_bare) exact.emplace(name.text.substr(1), server);
                break;
            case ServerName::Kind::trailing_wildcard:
                trailing.emplace(name.text, server);
                break;
            case ServerName::Kind::regex:
                regexes.emplace_back(&name, server);
        }
    }

    [[nodiscard]] const ServerPointer* find_name(std::string_view host) const {
        if (const auto* found = look_up(exact, host)) return found;
        if (!leading.empty()) {
            for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
                 dot = host.find('.', dot + 1)) {
                if (const auto* found = look_up(leading, host.substr(dot))) return found;
            }
        }
        if (trailing.empty() || host.empty()) return nullptr;
        for (std::size_t dot = host.rfind('.', host.size() - 1); dot != std::string_view::npos && dot > 0;
             dot = host.rfind('.', dot - 1)) {
            if (const auto* found = look_up(trailing, host.substr(0, dot + 1))) return found;
        }
        return nullptr;
    }
};

ServerIndex::ServerIndex(const Listener& listener) : impl_(std::make_unique<Impl>()) {
    if (!listener.servers.empty()) impl_->fallback = listener.servers.at(listener.default_server);
    // In the order of the file: of two servers with one name nginx keeps the first.
    for (const auto& server : listener.servers) {
        for (const ServerName& name : server->names) impl_->add(server, name);
    }
}

ServerIndex::~ServerIndex() = default;
ServerIndex::ServerIndex(ServerIndex&&) noexcept = default;
ServerIndex& ServerIndex::operator=(ServerIndex&&) noexcept = default;

std::shared_ptr<const VirtualServer> ServerIndex::find(std::string_view host, Exchange& exchange) const {
    std::array<char, 256> buffer;
    if (host.ends_with('.')) host.remove_suffix(1);
    // A name that is longer than DNS allows is nobody's name.
    if (host.size() > buffer.size()) return impl_->fallback;
    for (std::size_t i = 0; i < host.size(); ++i) {
        buffer[i] = host[i] >= 'A' && host[i] <= 'Z' ? static_cast<char>(host[i] | 0x20) : host[i];
    }
    const std::string_view name(buffer.data(), host.size());
    if (const auto* found = impl_->find_name(name)) return *found;
    for (const auto& [server_name, server] : impl_->regexes) {
        if (!server_name->regex->match(name, nullptr)) continue;
        exchange.server = server;  // named groups are variables of this server
        match_and_keep(*server_name->regex, server_name->named, name, exchange);
        return server;
    }
    return impl_->fallback;
}

const std::shared_ptr<const VirtualServer>& ServerIndex::default_server() const { return impl_->fallback; }

}  // namespace hawser::gateway
