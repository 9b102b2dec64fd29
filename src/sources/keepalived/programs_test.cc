// SPDX-License-Identifier: Apache-2.0
// As whom scripts run, and which do not.

#include <gmock/gmock.h>

#include "sources/keepalived/testing_host.h"

namespace hawser::keepalived {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Line 2 is the script's.
std::string tracked(const std::string& script, const std::string& more = "", const std::string& global = "") {
    return "vrrp_script s {\n" + script + "\n" + more + "\n}\nglobal_defs {\n" + global + "\n}\n" +
           instance("track_script { s }");
}

TEST(Programs, run_as_the_user_that_is_named_nearest) {
    Machine machine;
    const auto user_of = [&](const std::string& more, const std::string& global) {
        const Result r = read(tracked("script /bin/true", more, global), machine);
        if (r.loaded.plan.routers.empty()) return r.errors().at(0);
        const auto& command = r.loaded.plan.routers[0].tracking.scripts.at(0).what->command;
        return std::to_string(command.user) + ":" + std::to_string(command.group);
    };
    EXPECT_EQ(user_of("", ""), "0:0");
    EXPECT_EQ(user_of("", "script_user ops"), "1000:1000");
    EXPECT_EQ(user_of("", "script_user ops staff"), "1000:50");
    EXPECT_EQ(user_of("user other", "script_user ops"), "1001:1001");
    machine.users["keepalived_script"] = {77, 78};
    EXPECT_EQ(user_of("", ""), "77:78");
    EXPECT_EQ(user_of("user root", ""), "0:0");
    EXPECT_EQ(user_of("user nobody", ""), "f:3:6: error: there is no user \"nobody\"");
    EXPECT_EQ(user_of("user ops nogroup", ""), "f:3:10: error: there is no group \"nogroup\"");
    EXPECT_EQ(user_of("", "script_user nobody"), "f:6:13: error: there is no user \"nobody\"");
}

TEST(Programs, are_looked_for_in_the_path) {
    const Result r = read(tracked("script \"killall -0 x\""));
    EXPECT_EQ(r.loaded.plan.routers.at(0).tracking.scripts.at(0).what->command.arguments[0],
              "/usr/bin/killall");
}

TEST(Programs, that_are_tracked_and_cannot_run_are_errors) {
    const auto error = [](const std::string& script, const std::string& user) {
        const Result r = read(tracked(script, user));
        return r.errors().size() == 1 ? r.errors()[0] : r.diagnostics.text();
    };
    const std::string end = ": what tracks it would never leave the fault state";
    EXPECT_EQ(error("script /no/such", ""), "f:2:8: error: \"/no/such\" does not exist" + end);
    EXPECT_EQ(error("script such", ""), "f:2:8: error: \"such\" is not found in /usr/bin:/bin" + end);
    EXPECT_EQ(error("script ./such", ""), "f:2:8: error: \"./such\" is not an absolute path" + end);
    const std::string cannot = "cannot be executed by the user that it runs as" + end;
    EXPECT_EQ(error("script /etc/keepalived/plain", ""), "f:2:8: error: \"/etc/keepalived/plain\" " + cannot);
    EXPECT_EQ(error("script /etc", ""), "f:2:8: error: \"/etc\" " + cannot);
    EXPECT_EQ(error("script /etc/keepalived/private.sh", "user ops"),
              "f:2:8: error: \"/etc/keepalived/private.sh\" " + cannot);
    EXPECT_EQ(error("script /home/ops/check.sh", "user other"),
              "f:2:8: error: \"/home/ops/check.sh\" " + cannot);
    EXPECT_EQ(error("script /home/ops/check.sh", "user ops"), "");
}

TEST(Programs, that_are_told_and_cannot_run_are_left_out_with_a_warning) {
    const Result r =
        read(instance("notify_master /no/such\nnotify \"/bin/true a 'b c'\" ops staff\nnotify_deleted"));
    EXPECT_THAT(r.errors(), ElementsAre());
    EXPECT_THAT(r.warnings(), ElementsAre("f:5:15: warning: \"/no/such\" does not exist; it is not run"));
    const auto& notify = r.loaded.plan.routers.at(0).notify;
    EXPECT_TRUE(notify.master.empty());
    EXPECT_THAT(notify.any.arguments, ElementsAre("/bin/true", "a", "b c"));
    EXPECT_EQ(notify.any.user, 1000U);
    EXPECT_EQ(notify.any.group, 50U);
}

TEST(Programs, of_root_that_others_can_write_are_errors_under_script_security) {
    Machine machine;
    machine.links["/etc/keepalived/link.sh"] = "/home/ops/check.sh";
    for (const auto& [script, part] : {std::pair{"/tmp/check.sh", "/tmp"},
                                       {"/etc/keepalived/group.sh", "/etc/keepalived/group.sh"},
                                       {"/home/ops/check.sh", "/home/ops"},
                                       {"/etc/keepalived/link.sh", "/home/ops"}}) {
        const std::string text = std::string("\"") + script + "\" runs as root, but others can write " + part;
        const std::string line = std::string("script ") + script;
        EXPECT_THAT(read(tracked(line, "user root", "enable_script_security"), machine).errors(),
                    ElementsAre("f:2:8: error: " + text + " (enable_script_security)"));
        const Result without = read(tracked(line, "user root"), machine);
        EXPECT_THAT(without.errors(), ElementsAre());
        EXPECT_THAT(without.warnings(), ElementsAre("f:2:8: warning: " + text));
    }
    EXPECT_EQ(
        read(tracked("script /home/ops/check.sh", "user ops", "enable_script_security")).diagnostics.text(),
        "");
    EXPECT_EQ(read(tracked("script /bin/true", "user root", "enable_script_security")).diagnostics.text(),
              "");
}

TEST(Programs, that_belong_to_keepalived_and_nginx_are_warned_of) {
    Machine machine;
    EXPECT_THAT(
        read(tracked("script \"killall -0 nginx\""), machine).warnings(),
        ElementsAre(
            "f:2:8: warning: \"killall\" looks for nginx, which hawser replaces: without nginx it fails. "
            "Hawser gives its addresses up by itself when it cannot serve"));
    EXPECT_THAT(read(tracked("script /etc/keepalived/check.sh"), machine).warnings(), ElementsAre());
    machine.contents["/etc/keepalived/check.sh"] =
        "#!/bin/bash\nif [ $(ps -C nginx --no-header | wc -l) -eq 0 ]; then\n  systemctl stop "
        "keepalived\nfi\n";
    EXPECT_THAT(
        read(tracked("script /etc/keepalived/check.sh"), machine).warnings(),
        ElementsAre(HasSubstr("stops keepalived, which does not run here"), HasSubstr("looks for nginx")));
}

TEST(Programs, that_nothing_uses_are_not_looked_at) {
    const Result r = read("vrrp_script s {\nscript /no/such\n}\n" + instance(""));
    EXPECT_THAT(r.errors(), ElementsAre());
    EXPECT_THAT(r.notes(), ElementsAre("f:1:1: note: vrrp_script \"s\" is not used; it does not run"));
}

TEST(Programs, of_two_users_are_one_script) {
    const Result r =
        read("vrrp_script s {\nscript /bin/true\n}\n" + instance("track_script { s }") +
             "vrrp_instance B {\ninterface eth1\nvirtual_router_id 2\nvirtual_ipaddress { 10.0.1.1/24 }\n"
             "track_script { s }\n}");
    const auto& routers = r.loaded.plan.routers;
    EXPECT_EQ(routers.at(0).tracking.scripts.at(0).what, routers.at(1).tracking.scripts.at(0).what);
}

}  // namespace
}  // namespace hawser::keepalived
