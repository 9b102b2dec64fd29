// SPDX-License-Identifier: Apache-2.0
// What can change a priority: vrrp_script, track_file, vrrp_track_process, and their use.

#include <algorithm>

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

namespace {

// "weight N [reverse|noreverse]", the keyword at `at`. Returns the index behind it.
struct Weight {
    std::optional<std::int32_t> weight;
    std::optional<bool> reverse;
};
std::size_t read_weight_words(Reading& reading, std::span<const Word> words, std::size_t at,
                              std::int32_t most, Weight& out) {
    const std::string range = "a number from -" + std::to_string(most) + " to " + std::to_string(most);
    if (at + 1 == words.size()) {
        reading.error(words[at].position, "\"weight\" needs a parameter: " + range);
        return words.size();
    }
    const auto value = parse_integer(words[at + 1].text, -most, most);
    if (value) {
        out.weight = static_cast<std::int32_t>(*value);
    } else {
        reading.error(words[at + 1].position,
                      "\"" + words[at + 1].text + "\" is not valid for \"weight\": expected " + range);
    }
    if (at + 2 == words.size()) return at + 2;
    const std::string& next = words[at + 2].text;
    if (next == "reverse") {
        out.reverse = true;
    } else if (next == "noreverse" || next == "no_reverse") {
        out.reverse = false;
    } else {
        return at + 2;
    }
    return at + 3;
}

template <std::int32_t Most, class Conf>
void set_weight(Reading& reading, const Call& call, Conf& conf) {
    Weight weight;
    const std::size_t end = read_weight_words(reading, call.words, 0, Most, weight);
    if (end < call.words.size())
        reading.error(call.position(end), "\"" + call.text(end) + "\" is not valid here: expected reverse");
    conf.weight = weight.weight.value_or(conf.weight);
    conf.reverse = weight.reverse.value_or(false);
}

template <class Confs, class Name>
void report_twice(Reading& reading, const Call& call, const Confs& confs, Name name) {
    if (std::any_of(confs.begin(), confs.end(),
                    [&](const auto& conf) { return name(*conf) == call.text(1); }))
        reading.error(call.position(1), call.name() + " \"" + call.text(1) + "\" is defined twice");
}

// ---- vrrp_script

void read_script_block(Reading& reading, const Call& call) {
    auto script = std::make_unique<ScriptConf>();
    script->name = call.text(1);
    script->position = call.position();
    report_twice(reading, call, reading.conf.scripts, [](const ScriptConf& s) { return s.name; });
    Scope scope;
    scope.kind = where::script;
    scope.script = script.get();
    const std::size_t before = reading.diagnostics.errors();
    read_block(reading, *call.block, scope);
    if (!script->command && reading.diagnostics.errors() == before)
        reading.error(call.position(), "vrrp_script \"" + script->name + "\" has no \"script\"");
    reading.conf.scripts.push_back(std::move(script));
}

void read_script(Reading& reading, const Call& call) {
    CommandConf command;
    command.arguments = split_command(call.text(1));
    command.position = call.position(1);
    if (command.arguments.empty()) return reading.invalid(call, 1);
    call.scope.script->command = std::move(command);
}

void read_user(Reading&, const Call& call) {
    call.scope.script->as = RunAs{call.words[1], std::nullopt};
    if (call.count() == 2) call.scope.script->as->group = call.words[2];
}

void read_script_weight(Reading& reading, const Call& call) {
    set_weight<253>(reading, call, *call.scope.script);
}

// ---- track_file

void read_file_block(Reading& reading, const Call& call) {
    auto file = std::make_unique<FileConf>();
    file->file.name = call.text(1);
    file->file.position = call.position();
    report_twice(reading, call, reading.conf.files, [](const FileConf& f) { return f.file.name; });
    Scope scope;
    scope.kind = where::file;
    scope.file = file.get();
    const std::size_t before = reading.diagnostics.errors();
    read_block(reading, *call.block, scope);
    if (file->file.path.empty() && reading.diagnostics.errors() == before)
        reading.error(call.position(), "track_file \"" + file->file.name + "\" has no \"file\"");
    reading.conf.files.push_back(std::move(file));
}

void read_file(Reading& reading, const Call& call) {
    if (!call.text(1).starts_with('/')) return reading.invalid(call, 1);
    call.scope.file->file.path = call.text(1);
}

void read_file_weight(Reading& reading, const Call& call) {
    set_weight<254>(reading, call, *call.scope.file);
}

void read_init_file(Reading& reading, const Call& call) {
    vip::File& file = call.scope.file->file;
    file.initial = 0;
    for (std::size_t i = 1; i <= call.count(); ++i) {
        const auto value = parse_integer(call.text(i), INT32_MIN, INT32_MAX);
        if (call.text(i) == "overwrite") {
            file.overwrite = true;
        } else if (value) {
            file.initial = static_cast<std::int32_t>(*value);
        } else {
            reading.invalid(call, i);
        }
    }
}

// ---- vrrp_track_process

void read_process_block(Reading& reading, const Call& call) {
    auto process = std::make_unique<ProcessConf>();
    vip::Process& target = process->process;
    target.name = call.text(1);
    target.position = call.position();
    report_twice(reading, call, reading.conf.processes, [](const ProcessConf& p) { return p.process.name; });
    Scope scope;
    scope.kind = where::process;
    scope.process = process.get();
    const std::size_t before = reading.diagnostics.errors();
    read_block(reading, *call.block, scope);
    if (reading.diagnostics.errors() == before) {
        if (target.command.empty())
            reading.error(call.position(), call.name() + " \"" + target.name + "\" has no \"process\"");
        // Parameters that are written are compared also without param_match.
        if (target.command.size() > 1 && target.parameters == vip::Process::Parameters::ignored)
            target.parameters = vip::Process::Parameters::exact;
        if (target.quorum_max != ~0U && target.quorum_max != 0 && target.quorum_max < target.quorum)
            reading.error(call.position(),
                          call.name() + " \"" + target.name + "\": \"quorum_max\" is less than \"quorum\"");
        if (target.quorum_max == 0) target.quorum = 0;
    }
    reading.conf.processes.push_back(std::move(process));
}

void read_process(Reading&, const Call& call) {
    auto& command = call.scope.process->process.command;
    command.clear();
    for (const Word& word : call.words.subspan(1)) command.push_back(word.text);
}

void read_param_match(Reading& reading, const Call& call) {
    auto& parameters = call.scope.process->process.parameters;
    if (call.count() == 0) {
        parameters = vip::Process::Parameters::exact;
    } else if (call.text(1) == "initial") {
        parameters = vip::Process::Parameters::initial;
    } else if (call.text(1) == "partial") {
        parameters = vip::Process::Parameters::partial;
    } else {
        reading.invalid(call, 1);
    }
}

void read_process_weight(Reading& reading, const Call& call) {
    set_weight<254>(reading, call, *call.scope.process);
}

void read_delay(Reading& reading, const Call& call) {
    set_seconds<&vip::Process::fork_delay, 3600>(reading, call);
    call.scope.process->process.terminate_delay = call.scope.process->process.fork_delay;
}

// ---- track_*

template <std::vector<TrackConf> TrackingConf::*Member, std::int32_t Most>
void read_tracks(Reading& reading, const Call& call) {
    auto& tracks = call.scope.tracking().*Member;
    for (const auto& item : items_of(reading, call)) {
        TrackConf track{item[0], std::nullopt, std::nullopt};
        Weight weight;
        std::size_t at = 1;
        if (at < item.size() && item[at].text == "weight")
            at = read_weight_words(reading, item, at, Most, weight);
        if (at < item.size()) {
            reading.error(item[at].position, "\"" + item[at].text +
                                                 "\" is not valid here: expected weight, or the next "
                                                 "name on a line of its own");
            continue;
        }
        const bool twice = std::any_of(tracks.begin(), tracks.end(), [&](const TrackConf& other) {
            return other.name.text == track.name.text;
        });
        if (twice) {
            reading.error(item[0].position,
                          "\"" + item[0].text + "\" stands twice in \"" + call.name() + "\"");
            continue;
        }
        track.weight = weight.weight;
        track.reverse = weight.reverse;
        tracks.push_back(std::move(track));
    }
}

using S = ScriptConf;
using P = vip::Process;
using T = TrackingConf;
constexpr std::uint32_t script = where::script, file = where::file, process = where::process,
                        users = where::instance | where::group;
constexpr std::int64_t most_seconds = 4294, most = INT32_MAX;
constexpr std::string_view weight = "a number, and reverse",
                           seconds = "a whole number of seconds from 1 to 4294", count = "a number from 1";

constexpr Command commands[] = {
    block("vrrp_script", where::top, read_script_block, "a name", 1),
    one("script", script, read_script, "a program, in quotes if it has arguments"),
    one("interval", script, set_number<&S::interval, 1, most_seconds>, seconds),
    one("timeout", script, set_number<&S::timeout, 1, most_seconds>, seconds),
    words("weight", script, read_script_weight, weight, 1, 2),
    one("rise", script, set_number<&S::rise, 1, most>, count),
    one("fall", script, set_number<&S::fall, 1, most>, count),
    words("user", script, read_user, "a user, and a group if it is not the user's", 1, 2),
    words("init_fail", script, set_flag<&S::starts_bad>, "", 0, 0),

    block("track_file", where::top, read_file_block, "a name", 1),
    block("vrrp_track_file", where::top, read_file_block, "a name", 1),
    one("file", file, read_file, "an absolute path"),
    words("weight", file, read_file_weight, weight, 1, 2),
    words("init_file", file, read_init_file, "a number or overwrite", 0, 2),

    block("vrrp_track_process", where::top, read_process_block, "a name", 1),
    block("track_process", where::top, read_process_block, "a name", 1),
    words("process", process, read_process, "the name of a program", 1, Command::any),
    words("param_match", process, read_param_match, "initial or partial", 0, 1),
    words("weight", process, read_process_weight, weight, 1, 2),
    one("quorum", process, set_number<&P::quorum, 1, 65535>, "a number from 1 to 65535"),
    one("quorum_max", process, set_number<&P::quorum_max, 0, 65535>, "a number from 0 to 65535"),
    one("fork_delay", process, set_seconds<&P::fork_delay, 3600>, "seconds from 0 to 3600"),
    one("terminate_delay", process, set_seconds<&P::terminate_delay, 3600>, "seconds from 0 to 3600"),
    one("delay", process, read_delay, "seconds from 0 to 3600"),
    words("full_command", process, set_flag<&P::full_command>, "", 0, 0),

    block("track_interface", users, read_tracks<&T::interfaces, 253>, "", 0),
    block("track_script", users, read_tracks<&T::scripts, 253>, "", 0),
    block("track_file", users, read_tracks<&T::files, 254>, "", 0),
    block("track_process", users, read_tracks<&T::processes, 254>, "", 0),
    words(
        "dont_track_primary", where::instance,
        [](Reading&, const Call& call) { call.scope.instance->router.track_own_interface = false; }, "", 0,
        0),
};

}  // namespace

std::span<const Command> tracking_commands() { return commands; }

}  // namespace hawser::keepalived
