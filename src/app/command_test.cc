// SPDX-License-Identifier: Apache-2.0
#include "app/command.h"

#include <gtest/gtest.h>

namespace hawser::app {
namespace {

std::variant<Command, int> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "hawser");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

template <class T>
T parsed(std::vector<const char*> arguments) {
    auto result = parse(std::move(arguments));
    return std::get<T>(std::get<Command>(result));
}

TEST(CommandLine, bad_usage_ends_with_two) {
    const std::vector<std::vector<const char*>> table{
        {},
        {"fly"},
        {"run"},
        {"check"},
        {"run", "--nginx"},
        {"run", "-f", "x", "--bogus"},
        {"run", "-f", "x", "--workers", "0"},
        {"run", "-f", "x", "--workers", "two"},
        {"run", "-f", "x", "--admin", "7070"},
        {"run", "-f", "x", "--http", "example.com:80"},
        {"run", "-f", "x", "--service-cidr", "10.0.0.0/33"},
        {"run", "-f", "x", "--service-cidr", "10.0.0.0/8,11.0.0.0/8"},
        {"run", "-f", "x", "--service-node-port-range", "32767-30000"},
        {"run", "-f", "x", "--log-format", "xml"},
        {"run", "-f", "x", "--log-level", "loud"},
        {"run", "-f", "x", "--drain-timeout", "-1"},
        {"get"},
        {"get", "nodes"},
        {"get", "svc", "-o", "table"},
        {"kill"},
        {"kill", "tunnel"},
        {"kill", "process", "1"},
    };
    for (const auto& arguments : table) {
        const auto result = parse(arguments);
        std::string line;
        for (const char* argument : arguments) line += std::string(" ") + argument;
        ASSERT_TRUE(std::holds_alternative<int>(result)) << line;
        EXPECT_EQ(std::get<int>(result), exit_code::bad_usage) << line;
    }
}

TEST(CommandLine, help_and_version_end_with_zero) {
    for (const char* flag : {"--help", "--version"}) EXPECT_EQ(std::get<int>(parse({flag})), 0);
    EXPECT_EQ(std::get<int>(parse({"run", "--help"})), 0);
    EXPECT_TRUE(std::holds_alternative<VersionCommand>(std::get<Command>(parse({"version"}))));
}

TEST(CommandLine, run_takes_every_input_several_times) {
    const auto run = parsed<RunCommand>({"run", "-f", "a.yaml", "-f", "b", "--nginx", "x.conf", "--nginx",
                                         "y.conf", "--http", ":8080", "--http", "[::1]:80", "--pod-cidr",
                                         "10.1.0.0/16,10.2.0.0/16"});
    EXPECT_EQ(run.configuration.manifests, (std::vector<std::string>{"a.yaml", "b"}));
    EXPECT_EQ(run.configuration.nginx, (std::vector<std::string>{"x.conf", "y.conf"}));
    ASSERT_EQ(run.configuration.http.size(), 2U);
    EXPECT_EQ(run.configuration.http[0].text(), "0.0.0.0:8080");
    EXPECT_EQ(run.configuration.http[1].text(), "[::1]:80");
    EXPECT_EQ(run.configuration.pod_cidrs.size(), 2U);
    ASSERT_TRUE(run.admin);
    EXPECT_EQ(run.admin->text(), "127.0.0.1:7070");
    EXPECT_TRUE(run.watch);
}

TEST(CommandLine, run_reads_its_limits_and_its_log) {
    const auto run = parsed<RunCommand>({"run",
                                         "-f",
                                         "a",
                                         "--admin",
                                         "off",
                                         "--workers",
                                         "3",
                                         "--max-connections",
                                         "10",
                                         "--max-handshakes-per-second",
                                         "2.5",
                                         "--drain-timeout",
                                         "1.5",
                                         "--no-watch",
                                         "--log-format",
                                         "json",
                                         "--log-level",
                                         "debug",
                                         "--service-node-port-range",
                                         "31000-31010"});
    EXPECT_FALSE(run.admin);
    EXPECT_EQ(run.workers, 3U);
    EXPECT_EQ(run.limits.max_connections, 10U);
    EXPECT_DOUBLE_EQ(run.limits.max_handshakes_per_second, 2.5);
    EXPECT_EQ(run.drain_timeout, std::chrono::milliseconds(1500));
    EXPECT_FALSE(run.watch);
    EXPECT_TRUE(run.log_json);
    EXPECT_EQ(run.log_level, gateway::LogLevel::debug);
    EXPECT_EQ(run.configuration.node_port_min, 31000);
    EXPECT_EQ(run.configuration.node_port_max, 31010);
}

TEST(CommandLine, get_takes_kubectls_ways_to_name_a_thing) {
    const auto by_name = parsed<GetCommand>({"get", "svc", "im-service", "-o", "wide", "-n", "chat"});
    EXPECT_EQ(by_name.resource, Resource::services);
    EXPECT_EQ(by_name.name, "im-service");
    EXPECT_EQ(by_name.namespace_, "chat");
    EXPECT_EQ(by_name.output, Output::wide);
    const auto with_slash = parsed<GetCommand>({"get", "svc/im-service", "-A"});
    EXPECT_EQ(with_slash.name, "im-service");
    EXPECT_TRUE(with_slash.all_namespaces);
    EXPECT_EQ(parsed<GetCommand>({"get", "tunnels", "--admin", "localhost:9"}).admin.text(), "127.0.0.1:9");
}

TEST(CommandLine, kill_takes_several_tunnels) {
    EXPECT_EQ(parsed<KillCommand>({"kill", "tunnel", "1", "2"}).ids, (std::vector<std::string>{"1", "2"}));
}

}  // namespace
}  // namespace hawser::app
