// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of this folder share: a machine that is made up, and reading on it.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sources/keepalived/load.h"
#include "sources/keepalived/plan_text.h"

namespace hawser::keepalived {

// Users root, ops and other; programs that root owns, and some that are spoiled.
struct Machine {
    std::map<std::string, Host::User> users{{"root", {0, 0}}, {"ops", {1000, 1000}}, {"other", {1001, 1001}}};
    std::map<std::string, std::uint32_t> groups{{"root", 0}, {"staff", 50}};
    std::map<std::string, Host::Status> files;
    std::map<std::string, std::string> links, contents;

    Machine() {
        for (const char* directory : {"/", "/bin", "/usr", "/usr/bin", "/etc", "/etc/keepalived", "/home"})
            files[directory] = {S_IFDIR | 0755U, 0, 0};
        files["/home/ops"] = {S_IFDIR | 0700U, 1000, 1000};
        files["/tmp"] = {S_IFDIR | 0777U, 0, 0};
        for (const char* program :
             {"/bin/true", "/usr/bin/killall", "/etc/keepalived/check.sh", "/etc/keepalived/master.sh",
              "/etc/keepalived/notify.sh", "/home/ops/check.sh", "/tmp/check.sh"})
            files[program] = {S_IFREG | 0755U, 0, 0};
        files["/etc/keepalived/plain"] = {S_IFREG | 0644U, 0, 0};
        files["/etc/keepalived/private.sh"] = {S_IFREG | 0700U, 0, 0};
        files["/etc/keepalived/group.sh"] = {S_IFREG | 0775U, 0, 50};
    }

    [[nodiscard]] LoadOptions options() const {
        LoadOptions out;
        out.config_id = "main";
        out.host.user = [this](const std::string& name) { return find(users, name); };
        out.host.group = [this](const std::string& name) { return find(groups, name); };
        out.host.status = [this](const std::string& path) { return find(files, real(path)); };
        out.host.real_path = [this](const std::string& path) {
            return files.contains(real(path)) ? std::optional(real(path)) : std::nullopt;
        };
        out.host.contents = [this](const std::string& path) {
            return find(contents, real(path)).value_or("");
        };
        out.host.search_path = "/usr/bin:/bin";
        return out;
    }

  private:
    template <class Value>
    static std::optional<Value> find(const std::map<std::string, Value>& map, const std::string& key) {
        const auto at = map.find(key);
        return at == map.end() ? std::nullopt : std::optional(at->second);
    }
    [[nodiscard]] std::string real(const std::string& path) const {
        const auto at = links.find(path);
        return at == links.end() ? path : at->second;
    }
};

struct Result {
    Loaded loaded;
    catalog::Diagnostics diagnostics;

    [[nodiscard]] std::vector<std::string> texts(catalog::Severity severity) const {
        std::vector<std::string> out;
        for (const auto& d : diagnostics.all())
            if (d.severity == severity) out.push_back(d.text());
        return out;
    }
    [[nodiscard]] std::vector<std::string> errors() const { return texts(catalog::Severity::error); }
    [[nodiscard]] std::vector<std::string> warnings() const { return texts(catalog::Severity::warning); }
    [[nodiscard]] std::vector<std::string> notes() const { return texts(catalog::Severity::note); }
    [[nodiscard]] std::string plan() const { return plan_text(loaded.plan); }
};

inline Result read(const std::string& text, const Machine& machine = {}) {
    Result out;
    out.loaded = load_text(text, "f", machine.options(), out.diagnostics);
    return out;
}

// Lines of an instance whose first lines are 1 to 4; the text begins on line 5.
inline std::string instance(const std::string& text, const std::string& more = "") {
    return "vrrp_instance A {\n    interface eth0\n    virtual_router_id 51\n    virtual_ipaddress { "
           "10.0.0.1/24 }\n" +
           text + "\n}\n" + more;
}

}  // namespace hawser::keepalived
