// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <iostream>
#include <variant>

#include "app/check.h"
#include "app/command.h"
#include "app/get.h"
#include "app/run.h"

namespace {

using namespace hawser::app;

struct Dispatch {
    int operator()(const RunCommand& command) const { return run(command, std::cout, std::cerr); }
    int operator()(const CheckCommand& command) const { return check(command, std::cout, std::cerr); }
    int operator()(const GetCommand& command) const { return get(command, std::cout, std::cerr); }
    int operator()(const KillCommand& command) const { return kill(command, std::cout, std::cerr); }
    int operator()(const ReloadCommand& command) const { return reload(command, std::cout, std::cerr); }
    int operator()(const SpliceRemoveCommand& command) const { return remove_splice(command, std::cout, std::cerr); }
    int operator()(const VersionCommand&) const {
        std::cout << "hawser " << version() << "\n";
        return exit_code::good;
    }
};

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto parsed = parse_command_line(argc, argv);
    if (const auto* code = std::get_if<int>(&parsed)) return *code;
    return std::visit(Dispatch{}, std::get<Command>(parsed));
}
