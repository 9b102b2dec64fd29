// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a configuration asks of the machine: users, groups, and the programs that it names.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace hawser::keepalived {

struct Host {
    struct User {
        std::uint32_t id = 0, group = 0;
    };
    struct Status {
        std::uint32_t mode = 0;  // st_mode
        std::uint32_t user = 0, group = 0;
    };

    std::function<std::optional<User>(const std::string& name)> user;
    std::function<std::optional<std::uint32_t>(const std::string& name)> group;
    // Of what a path leads to, symbolic links followed.
    std::function<std::optional<Status>(const std::string& path)> status;
    // Without symbolic links; nothing if there is no such file.
    std::function<std::optional<std::string>(const std::string& path)> real_path;
    // The beginning of a file, "" if it cannot be read: to look for what a script does.
    std::function<std::string(const std::string& path)> contents;
    std::string search_path;  // $PATH

    // getpwnam(3), stat(2) and so on. They block.
    static Host system();
};

}  // namespace hawser::keepalived
