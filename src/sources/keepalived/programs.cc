// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/programs.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

namespace hawser::keepalived {

namespace {

bool has_right(const Host::Status& status, const Host::User& user, std::uint32_t bit) {
    if (user.id == 0) return bit != 1 || S_ISDIR(status.mode) || (status.mode & 0111U) != 0;
    if (status.user == user.id) return (status.mode & (bit << 6U)) != 0;
    if (status.group == user.group) return (status.mode & (bit << 3U)) != 0;
    return (status.mode & bit) != 0;
}

bool others_can_write(const Host::Status& status) {
    return (status.user != 0 && (status.mode & 0200U) != 0) ||
           (status.group != 0 && (status.mode & 0020U) != 0) || (status.mode & 0002U) != 0;
}

// "/a/b/c" -> "/", "/a", "/a/b".
std::vector<std::string> directories_of(const std::string& path) {
    std::vector<std::string> out{"/"};
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
        out.push_back(path.substr(0, at));
    return out;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

bool stops_keepalived(std::string_view text) {
    constexpr std::array<std::string_view, 9> ways{
        "systemctl stop keepalived", "service keepalived stop", "init.d/keepalived stop",
        "killall keepalived",        "killall -9 keepalived",   "killall -15 keepalived",
        "pkill keepalived",          "pkill -9 keepalived",     "kill $(pidof keepalived)"};
    return std::any_of(ways.begin(), ways.end(), [&](std::string_view way) { return contains(text, way); });
}

bool watches_nginx(std::string_view text) {
    constexpr std::array<std::string_view, 7> ways{"killall -0", "pidof",  "pgrep", "is-active",
                                                   "ps -C",      "ps -ef", "ps aux"};
    return contains(text, "nginx") &&
           std::any_of(ways.begin(), ways.end(), [&](std::string_view way) { return contains(text, way); });
}

}  // namespace

std::optional<Host::User> Programs::user_of(const std::optional<RunAs>& own) {
    const std::optional<RunAs>& as = own ? own : global_.script_user;
    if (!as) {
        const auto standard = host_.user("keepalived_script");
        return standard ? *standard : Host::User{0, 0};
    }
    auto user = host_.user(as->user.text);
    if (!user) {
        diagnostics_.error(as->user.position, "there is no user \"" + as->user.text + "\"");
        return std::nullopt;
    }
    if (!as->group) return user;
    const auto group = host_.group(as->group->text);
    if (!group) {
        diagnostics_.error(as->group->position, "there is no group \"" + as->group->text + "\"");
        return std::nullopt;
    }
    user->group = *group;
    return user;
}

bool Programs::may_execute(const std::string& path, const Host::User& user, std::string& trouble) const {
    const auto status = host_.status(path);
    if (!status) {
        trouble = "does not exist";
        return false;
    }
    trouble = "cannot be executed by the user that it runs as";
    if (!S_ISREG(status->mode) || !has_right(*status, user, 1)) return false;
    for (const std::string& directory : directories_of(path)) {
        const auto above = host_.status(directory);
        if (!above || !has_right(*above, user, 1)) return false;
    }
    return true;
}

std::optional<std::string> Programs::find(const std::string& name, const Host::User& user,
                                          std::string& trouble) const {
    if (name.find('/') != std::string::npos) {
        trouble = "is not an absolute path";
        if (name.front() != '/' || !may_execute(name, user, trouble)) return std::nullopt;
        return name;
    }
    trouble = "is not found in " + host_.search_path;
    for (std::size_t from = 0; from <= host_.search_path.size();) {
        const std::size_t end = std::min(host_.search_path.find(':', from), host_.search_path.size());
        const std::string path = host_.search_path.substr(from, end - from) + "/" + name;
        from = end + 1;
        std::string why;
        if (path.front() != '/') continue;
        if (may_execute(path, user, why)) return path;
    }
    return std::nullopt;
}

std::string Programs::insecure_part(const std::string& path) const {
    // A link can be replaced where it stands, what it leads to where that stands.
    std::vector<std::string> parts = directories_of(path);
    const auto real = host_.real_path(path);
    if (real) {
        parts.push_back(*real);
        for (std::string& directory : directories_of(*real)) parts.push_back(std::move(directory));
    }
    for (const std::string& part : parts) {
        const auto status = host_.status(part);
        if (status && others_can_write(*status)) return part;
    }
    return {};
}

void Programs::warn_of_mistakes(const CommandConf& conf, const std::string& path) {
    std::string text;
    for (const std::string& argument : conf.arguments) text += argument + " ";
    const std::string contents = host_.contents(path);
    if (contents.starts_with("#!")) text += contents;
    if (stops_keepalived(text))
        diagnostics_.warning(conf.position,
                             "\"" + conf.arguments[0] +
                                 "\" stops keepalived, which does not run here: it has no effect on "
                                 "hawser; a script that fails is enough");
    if (watches_nginx(text))
        diagnostics_.warning(conf.position,
                             "\"" + conf.arguments[0] +
                                 "\" looks for nginx, which hawser replaces: without nginx it fails. "
                                 "Hawser gives its addresses up by itself when it cannot serve");
}

std::optional<vip::Command> Programs::resolve(const CommandConf& conf, const std::optional<RunAs>& as,
                                              Use use) {
    const auto user = user_of(as);
    if (!user) return std::nullopt;
    std::string trouble;
    const auto path = find(conf.arguments[0], *user, trouble);
    const std::string shown = "\"" + conf.arguments[0] + "\" ";
    if (!path) {
        const bool tracked = use == Use::tracked;
        diagnostics_.add(
            tracked ? catalog::Severity::error : catalog::Severity::warning, conf.position,
            shown + trouble +
                (tracked ? ": what tracks it would never leave the fault state" : "; it is not run"));
        return std::nullopt;
    }
    const std::string insecure = user->id == 0 ? insecure_part(*path) : "";
    if (!insecure.empty()) {
        const std::string message = shown + "runs as root, but others can write " + insecure;
        if (global_.script_security) {
            diagnostics_.error(conf.position, message + " (enable_script_security)");
            return std::nullopt;
        }
        diagnostics_.warning(conf.position, message);
    }
    warn_of_mistakes(conf, *path);
    vip::Command out;
    out.arguments = conf.arguments;
    out.arguments[0] = *path;
    out.user = user->id;
    out.group = user->group;
    return out;
}

}  // namespace hawser::keepalived
