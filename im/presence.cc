// SPDX-License-Identifier: Apache-2.0
#include "im/presence.h"

#include <boost/json.hpp>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

constexpr std::size_t most_replicas = 256;

std::string text_of(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

}  // namespace

Presence::Presence(std::string pod, std::string instance)
    : pod_(std::move(pod)), instance_(std::move(instance)) {}

void Presence::arrived(const std::string& user, TimePoint) {
    auto& local = local_[user];
    if (local.sessions++ == 0) changed_ = changed_any_ = true;
}

void Presence::left(const std::string& user, TimePoint now) {
    const auto found = local_.find(user);
    if (found == local_.end() || found->second.sessions == 0) return;
    if (--found->second.sessions == 0) found->second.gone = now;
}

void Presence::heard(const std::string& text, TimePoint now) {
    boost::system::error_code failed;
    const auto value = json::parse(text, failed);
    if (failed || !value.is_object()) return;
    const auto& object = value.as_object();
    const auto instance = text_of(object, "instance");
    if (instance.empty() || instance == instance_) return;
    if (object.contains("hello")) changed_ = true;  // it wants our list
    const auto* users = object.if_contains("users");
    if (users == nullptr || !users->is_array()) return;
    if (!replicas_.contains(instance) && replicas_.size() >= most_replicas) return;
    auto& replica = replicas_[instance];
    replica.pod = text_of(object, "pod");
    replica.heard = now;
    std::set<std::string> names;
    for (const auto& user : users->as_array())
        if (user.is_string() && valid_name(user.as_string())) names.emplace(user.as_string());
    if (names != replica.users) {
        replica.users = std::move(names);
        changed_any_ = true;
    }
    if (object.contains("farewell")) replicas_.erase(instance);
}

Signal Presence::list(const std::string& kind) const {
    json::array users;
    for (const auto& [name, local] : local_) users.emplace_back(name);
    json::object object{{"instance", instance_}, {"pod", pod_}, {"users", std::move(users)}};
    if (!kind.empty()) object[kind] = true;
    return Signal{"presence", json::serialize(object)};
}

std::optional<Signal> Presence::tell(TimePoint now) {
    expire(now);
    const auto since = now - told_;
    if (told_ != TimePoint{} && !ask_ && since < heartbeat && (!changed_ || since < pace()))
        return std::nullopt;
    auto signal = list(ask_ ? "hello" : "");
    ask_ = changed_ = false;
    told_ = now;
    return signal;
}

Signal Presence::farewell() const {
    const json::object object{
        {"instance", instance_}, {"pod", pod_}, {"users", json::array{}}, {"farewell", true}};
    return Signal{"presence", json::serialize(object)};
}

void Presence::expire(TimePoint now) {
    for (auto local = local_.begin(); local != local_.end();) {
        if (local->second.sessions == 0 && now - local->second.gone >= grace) {
            local = local_.erase(local);
            changed_ = changed_any_ = true;
        } else {
            ++local;
        }
    }
    for (auto replica = replicas_.begin(); replica != replicas_.end();) {
        if (now - replica->second.heard >= lifetime) {
            replica = replicas_.erase(replica);
            changed_any_ = true;
        } else {
            ++replica;
        }
    }
}

std::map<std::string, std::string> Presence::present() const {
    std::map<std::string, std::string> out;
    for (const auto& [name, local] : local_) out.emplace(name, pod_);
    for (const auto& [instance, replica] : replicas_)
        for (const auto& name : replica.users) out.emplace(name, replica.pod);
    return out;
}

std::optional<Presence::Changes> Presence::changes(TimePoint now) {
    expire(now);
    if (!changed_any_ || now - gathered_ < pace()) return std::nullopt;
    changed_any_ = false;
    gathered_ = now;
    auto current = present();
    Changes out;
    for (const auto& [name, pod] : current) {
        const auto known = shown_.find(name);
        if (known == shown_.end() || known->second != pod) out.online.push_back(User{name, pod});
    }
    for (const auto& [name, pod] : shown_)
        if (!current.contains(name)) out.offline.push_back(name);
    shown_ = std::move(current);
    out.count = shown_.size();
    if (out.online.empty() && out.offline.empty()) return std::nullopt;
    return out;
}

std::vector<User> Presence::users(std::size_t limit) const {
    std::vector<User> out;
    for (const auto& [name, pod] : shown_) {
        if (out.size() == limit) break;
        out.push_back(User{name, pod});
    }
    return out;
}

}  // namespace hawser::im
