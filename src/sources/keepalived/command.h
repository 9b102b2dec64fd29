// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of keywords: where each may stand, how many parameters it takes and who reads it.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sources/keepalived/conf.h"
#include "sources/keepalived/load.h"
#include "sources/keepalived/syntax.h"

namespace hawser::keepalived {

// The kinds of blocks; a set of bits.
namespace where {
inline constexpr std::uint32_t top = 1, global = 2, script = 4, file = 8, process = 16, group = 32,
                               instance = 64, garp_group = 128, authentication = 256;
}

// Where reading stands: the block's kind, and the one of the others that belongs to it.
struct Scope {
    std::uint32_t kind = where::top;
    GlobalConf* global = nullptr;
    ScriptConf* script = nullptr;
    FileConf* file = nullptr;
    ProcessConf* process = nullptr;
    GroupConf* group = nullptr;
    InstanceConf* instance = nullptr;
    GarpGroupConf* garp_group = nullptr;

    [[nodiscard]] TrackingConf& tracking() const {
        return instance != nullptr ? instance->tracking : group->tracking;
    }
    [[nodiscard]] NotifyConf& notify() const {
        return instance != nullptr ? instance->notify : group->notify;
    }
};

struct Command;

// A keyword with its parameters.
struct Call {
    const Command& command;
    std::span<const Word> words;                    // [0] is the keyword
    const std::vector<Statement>* block = nullptr;  // never absent where the command has a block
    const Scope& scope;

    [[nodiscard]] const std::string& name() const { return words.front().text; }
    [[nodiscard]] std::size_t count() const { return words.size() - 1; }
    [[nodiscard]] const std::string& text(std::size_t i) const { return words[i].text; }  // 1 is the first
    [[nodiscard]] const catalog::Position& position(std::size_t i = 0) const { return words[i].position; }
};

// What all handlers of one load share.
struct Reading {
    const LoadOptions& options;
    catalog::Diagnostics& diagnostics;
    Conf conf;

    void error(const catalog::Position& at, std::string message) {
        diagnostics.error(at, std::move(message));
    }
    void warning(const catalog::Position& at, std::string message) {
        diagnostics.warning(at, std::move(message));
    }
    void note(const catalog::Position& at, std::string message) { diagnostics.note(at, std::move(message)); }
    // "TEXT" is not valid for "KEYWORD": expected EXPECTS.
    void invalid(const Call& call, std::size_t i);
    [[nodiscard]] bool stopped() const { return diagnostics.errors() > options.bounds.errors; }
};

using Handler = void (*)(Reading& reading, const Call& call);

enum class Repeat : std::uint8_t { last_counts, adds };

struct Command {
    static constexpr std::uint8_t any = 255;

    std::string_view name;
    std::uint32_t where = 0;
    Handler handler = nullptr;
    std::string_view expects;  // what its parameter is, for messages; or why it is noted or refused
    std::uint8_t least = 0, most = 0;
    bool block = false;
    Repeat repeat = Repeat::last_counts;
};

// Rows of the table.
constexpr Command one(std::string_view name, std::uint32_t where, Handler handler, std::string_view expects) {
    return {name, where, handler, expects, 1, 1, false, Repeat::last_counts};
}
constexpr Command words(std::string_view name, std::uint32_t where, Handler handler, std::string_view expects,
                        std::uint8_t least, std::uint8_t most) {
    return {name, where, handler, expects, least, most, false, Repeat::last_counts};
}
constexpr Command block(std::string_view name, std::uint32_t where, Handler handler, std::string_view expects,
                        std::uint8_t parameters) {
    return {name, where, handler, expects, parameters, parameters, true, Repeat::adds};
}

std::span<const Command> global_commands();
std::span<const Command> instance_commands();
std::span<const Command> announcing_commands();  // garp_*, garp_group
std::span<const Command> address_commands();     // virtual_ipaddress*, unicast_peer
std::span<const Command> route_commands();
std::span<const Command> tracking_commands();  // vrrp_script, track_*, vrrp_track_process
std::span<const Command> notify_commands();    // notify*, vrrp_sync_group
std::span<const Command> noted_commands();
std::span<const Command> refused_commands();
std::span<const std::span<const Command>> all_commands();

// Reads the statements of one block whose words are keywords.
void read_block(Reading& reading, const std::vector<Statement>& statements, const Scope& scope);

// The words of a block without keywords, one item a line; a block inside is an error.
std::vector<std::span<const Word>> items_of(Reading& reading, const Call& call);

}  // namespace hawser::keepalived
