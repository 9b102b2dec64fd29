// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/command.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "catalog/nearest_name.h"
#include "sources/keepalived/values.h"

namespace hawser::keepalived {

namespace {

using Index = std::unordered_multimap<std::string_view, const Command*>;

const Index& index() {
    static const Index all = [] {
        Index out;
        for (const auto group : all_commands())
            for (const Command& command : group) out.emplace(command.name, &command);
        return out;
    }();
    return all;
}

const Command* find(std::string_view name, std::uint32_t kind) {
    const auto [first, last] = index().equal_range(name);
    for (auto at = first; at != last; ++at)
        if ((at->second->where & kind) != 0) return at->second;
    return nullptr;
}

// The blocks where a keyword may stand, in words.
std::string places_of(std::string_view name) {
    static constexpr std::pair<std::uint32_t, std::string_view> names[] = {
        {where::top, "outside of all blocks"},       {where::global, "in global_defs"},
        {where::script, "in vrrp_script"},           {where::file, "in track_file"},
        {where::process, "in vrrp_track_process"},   {where::group, "in vrrp_sync_group"},
        {where::instance, "in vrrp_instance"},       {where::garp_group, "in garp_group"},
        {where::authentication, "in authentication"}};
    std::uint32_t places = 0;
    const auto [first, last] = index().equal_range(name);
    for (auto at = first; at != last; ++at) places |= at->second->where;
    std::string out;
    for (const auto& [bit, text] : names)
        if ((places & bit) != 0) out += (out.empty() ? "" : " or ") + std::string(text);
    return out;
}

void report_unknown(Reading& reading, const Word& word, std::uint32_t kind) {
    const std::string shown = "\"" + word.text + "\"";
    if (word.text.starts_with("include"))
        return reading.error(word.position,
                             shown + " has to begin a line, without a condition or a parameter");
    const std::string places = places_of(word.text);
    if (!places.empty()) return reading.error(word.position, shown + " cannot stand here, but " + places);
    std::vector<std::string_view> known;
    for (const auto group : all_commands())
        for (const Command& command : group)
            if ((command.where & kind) != 0) known.push_back(command.name);
    const std::string_view similar = catalog::nearest_name(word.text, known);
    const std::string hint = similar.empty() ? "" : "; did you mean \"" + std::string(similar) + "\"?";
    reading.error(word.position, "unknown keyword " + shown + hint);
}

// How many of the words are parameters: a word that is optional is none if it is a keyword here.
std::size_t count_parameters(const Command& command, std::span<const Word> words, std::uint32_t kind) {
    std::size_t n = std::min<std::size_t>(command.least, words.size() - 1);
    if (command.most == Command::any) return words.size() - 1;
    while (n < command.most && n + 1 < words.size() &&
           (words[n + 1].quoted || find(words[n + 1].text, kind) == nullptr))
        ++n;
    return n;
}

struct BlockReader {
    Reading& reading;
    const Scope& scope;
    std::unordered_set<const Command*> seen;

    void read(const Statement& statement) {
        std::span<const Word> left = statement.words;
        while (!left.empty()) {
            const Command* command = find(left[0].text, scope.kind);
            if (command == nullptr) return report_unknown(reading, left[0], scope.kind);
            const std::size_t used = 1 + count_parameters(*command, left, scope.kind);
            std::span<const Word> behind = left.subspan(used);
            if (!behind.empty()) behind = split(left[0], behind);
            const bool last = behind.empty();
            call(*command, left.first(used), last && statement.has_block ? &statement.children : nullptr,
                 statement.open);
            left = behind;
        }
    }

    // Words behind the last parameter: a statement of its own, or nothing.
    std::span<const Word> split(const Word& keyword, std::span<const Word> behind) {
        const Word& next = behind[0];
        if (find(next.text, scope.kind) == nullptr) {
            reading.warning(next.position, "\"" + next.text + "\" is one parameter too many for \"" +
                                               keyword.text + "\"; it is ignored, as keepalived does");
            return {};
        }
        reading.warning(next.position, "\"" + next.text + "\" stands behind \"" + keyword.text +
                                           "\" on one line: it is read as a statement of its own, keepalived "
                                           "ignores it");
        return behind;
    }

    void call(const Command& command, std::span<const Word> words, const std::vector<Statement>* children,
              const catalog::Position& open) {
        const std::string shown = "\"" + words[0].text + "\"";
        if (words.size() - 1 < command.least)
            return reading.error(words[0].position,
                                 shown + " needs a parameter: " + std::string(command.expects));
        if (command.block && children == nullptr)
            return reading.error(words[0].position, shown + " has no block in { }");
        if (!command.block && children != nullptr && command.most != Command::any)
            return reading.error(open, shown + " has no block");
        if (!seen.insert(&command).second && command.repeat == Repeat::last_counts)
            reading.warning(words[0].position,
                            shown + " is given twice; the last one counts, as in keepalived");
        command.handler(reading, {command, words, children, scope});
    }
};

}  // namespace

std::span<const std::span<const Command>> all_commands() {
    static const std::span<const Command> groups[] = {
        global_commands(),   instance_commands(), announcing_commands(), address_commands(), route_commands(),
        tracking_commands(), notify_commands(),   noted_commands(),      refused_commands(),
    };
    return groups;
}

void Reading::invalid(const Call& call, std::size_t i) {
    error(call.position(i), "\"" + call.text(i) + "\" is not valid for \"" + call.name() + "\": expected " +
                                std::string(call.command.expects));
}

void read_block(Reading& reading, const std::vector<Statement>& statements, const Scope& scope) {
    BlockReader reader{reading, scope, {}};
    for (const Statement& statement : statements) {
        if (reading.stopped()) return;
        reader.read(statement);
    }
}

std::vector<std::span<const Word>> items_of(Reading& reading, const Call& call) {
    std::vector<std::span<const Word>> out;
    for (const Statement& statement : *call.block) {
        if (statement.has_block) {
            reading.error(statement.open, "\"" + call.name() + "\" has no blocks inside");
        } else {
            out.emplace_back(statement.words);
        }
    }
    return out;
}

}  // namespace hawser::keepalived
