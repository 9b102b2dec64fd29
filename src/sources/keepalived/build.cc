// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/build.h"

#include <algorithm>
#include <map>
#include <set>

#include "catalog/nearest_name.h"
#include "sources/keepalived/programs.h"
#include "sources/keepalived/values.h"

namespace hawser::keepalived {

namespace {

// What can be tracked, by name. A script is looked at when it is first used.
struct Trackables {
    std::map<std::string, std::pair<const ScriptConf*, std::shared_ptr<const vip::Script>>> scripts;
    std::map<std::string, std::pair<const FileConf*, std::shared_ptr<const vip::File>>> files;
    std::map<std::string, std::pair<const ProcessConf*, std::shared_ptr<const vip::Process>>> processes;
    std::set<std::string> used_scripts;
};

struct PlanBuilder {
    Reading& reading;
    Programs programs;
    Trackables all;
    std::map<std::string, const GroupConf*> group_of;  // by instance
    bool has_owner = false;                            // of the group that is built: priority 255
    vip::Plan out;

    explicit PlanBuilder(Reading& r) : reading(r), programs(r.conf.global, r.options.host, r.diagnostics) {}

    void build() {
        out.settings = reading.conf.global.settings;
        for (const auto& script : reading.conf.scripts) all.scripts[script->name] = {script.get(), nullptr};
        for (const auto& file : reading.conf.files)
            all.files[file->file.name] = {file.get(), std::make_shared<const vip::File>(file->file)};
        for (const auto& process : reading.conf.processes)
            all.processes[process->process.name] = {process.get(),
                                                    std::make_shared<const vip::Process>(process->process)};
        for (const auto& group : reading.conf.groups) check_members(*group);
        for (const auto& instance : reading.conf.instances) {
            if (reading.stopped()) return;
            vip::VirtualRouter router = build_router(reading, *instance);
            router.tracking = tracking(instance->tracking, &router);
            router.notify = notify(instance->notify);
            out.routers.push_back(std::move(router));
        }
        for (const auto& group : reading.conf.groups) build_group(*group);
        check_instances_together(reading, out.routers);
        for (const auto& script : reading.conf.scripts)
            if (!all.used_scripts.contains(script->name))
                reading.note(script->position,
                             "vrrp_script \"" + script->name + "\" is not used; it does not run");
    }

    // ---- groups

    void check_members(const GroupConf& group) {
        const std::string shown = "vrrp_sync_group \"" + group.name + "\"";
        if (group.members.empty()) reading.error(group.position, shown + " has no \"group\" with instances");
        if (group.members.size() == 1) reading.warning(group.position, shown + " has only one instance");
        for (const Word& member : group.members) {
            const auto& instances = reading.conf.instances;
            if (std::none_of(instances.begin(), instances.end(),
                             [&](const auto& i) { return i->router.name == member.text; }))
                reading.error(member.position, "there is no vrrp_instance \"" + member.text + "\"");
            const auto [at, is_new] = group_of.emplace(member.text, &group);
            if (!is_new)
                reading.error(member.position, "vrrp_instance \"" + member.text +
                                                   "\" is in vrrp_sync_group \"" + at->second->name +
                                                   "\" already");
        }
    }

    void build_group(const GroupConf& group) {
        vip::SyncGroup target;
        target.name = group.name;
        target.position = group.position;
        for (const Word& member : group.members) target.members.push_back(member.text);
        target.keep_weights = group.keep_weights;
        has_owner =
            std::any_of(out.routers.begin(), out.routers.end(), [&](const vip::VirtualRouter& router) {
                const auto at = group_of.find(router.name);
                return router.priority == 255 && at != group_of.end() && at->second == &group;
            });
        target.tracking = tracking(group.tracking, nullptr);
        target.notify = notify(group.notify);
        out.groups.push_back(std::move(target));
    }

    // ---- tracking

    // The weight that counts for this router (or group, if there is none); nothing: the thing is not tracked.
    std::optional<std::int32_t> weight_of(const TrackConf& track, std::int32_t weight,
                                          const vip::VirtualRouter* router) {
        if (weight == 0 || (router == nullptr && !has_owner)) return weight;
        if (router == nullptr) {
            reading.warning(track.name.position,
                            "the weight of \"" + track.name.text +
                                "\" counts as 0: an instance of the group has priority 255");
            return 0;
        }
        const std::string shown = "the weight of \"" + track.name.text + "\"";
        if (router->priority == 255) {
            reading.warning(track.name.position,
                            "\"" + track.name.text + "\" is not tracked: priority 255 cannot change");
            return std::nullopt;
        }
        const auto group = group_of.find(router->name);
        if (group != group_of.end() && !group->second->keep_weights) {
            reading.warning(track.name.position, shown + " counts as 0: vrrp_instance \"" + router->name +
                                                     "\" is in "
                                                     "vrrp_sync_group \"" +
                                                     group->second->name +
                                                     "\" (see "
                                                     "sync_group_tracking_weight)");
            return 0;
        }
        return weight;
    }

    // Not for files: their weight is multiplied.
    void warn_of_limits(const TrackConf& track, std::int32_t weight, const vip::VirtualRouter* router) {
        if (router == nullptr || router->priority == 255 || weight == 0) return;
        const std::int32_t sum = router->priority + weight;
        if (sum >= 1 && sum <= 254) return;
        reading.warning(track.name.position,
                        "the weight " + std::to_string(weight) + " of \"" + track.name.text +
                            "\" leads from priority " + std::to_string(router->priority) +
                            " out of 1 to 254: the priority stays at " + (sum < 1 ? "1" : "254"));
    }

    template <class Tracked, class Target, class Conf>
    void add(std::vector<Tracked>& into, const TrackConf& track, std::shared_ptr<const Target> what,
             const Conf& conf, const vip::VirtualRouter* router) {
        const auto weight = weight_of(track, track.weight.value_or(conf.weight), router);
        if (!weight || !what) return;
        if constexpr (!std::is_same_v<Target, vip::File>) warn_of_limits(track, *weight, router);
        into.push_back({std::move(what), *weight, track.reverse.value_or(conf.reverse)});
    }

    template <class Map>
    auto* find(Map& map, const TrackConf& track, std::string_view kind) {
        const auto found = map.find(track.name.text);
        if (found != map.end()) return &found->second;
        std::vector<std::string_view> names;
        for (const auto& [name, _] : map) names.push_back(name);
        const std::string_view similar = catalog::nearest_name(track.name.text, names);
        reading.error(track.name.position,
                      "there is no " + std::string(kind) + " \"" + track.name.text + "\"" +
                          (similar.empty() ? "" : "; did you mean \"" + std::string(similar) + "\"?"));
        return static_cast<decltype(&found->second)>(nullptr);
    }

    vip::Tracking tracking(const TrackingConf& conf, const vip::VirtualRouter* router) {
        vip::Tracking target;
        for (const TrackConf& track : conf.interfaces) track_interface(track, router, target);
        for (const TrackConf& track : conf.scripts)
            if (auto* script = find(all.scripts, track, "vrrp_script"))
                add(target.scripts, track, script_of(*script), *script->first, router);
        for (const TrackConf& track : conf.files)
            if (auto* file = find(all.files, track, "track_file"))
                add(target.files, track, file->second, *file->first, router);
        for (const TrackConf& track : conf.processes)
            if (auto* process = find(all.processes, track, "vrrp_track_process"))
                add(target.processes, track, process->second, *process->first, router);
        return target;
    }

    void track_interface(const TrackConf& track, const vip::VirtualRouter* router, vip::Tracking& target) {
        if (!is_interface_name(track.name.text))
            return reading.error(track.name.position,
                                 "\"" + track.name.text + "\" cannot be the name of an interface");
        if (router != nullptr && router->interface == track.name.text)
            return reading.warning(track.name.position,
                                   "\"" + track.name.text +
                                       "\" is the instance's own interface, "
                                       "which is tracked anyhow; it is ignored, as keepalived does");
        const auto group = router == nullptr ? group_of.end() : group_of.find(router->name);
        if (group != group_of.end()) {
            const auto& of_group = group->second->tracking.interfaces;
            if (std::any_of(of_group.begin(), of_group.end(),
                            [&](const TrackConf& other) { return other.name.text == track.name.text; }))
                return reading.warning(track.name.position,
                                       "\"" + track.name.text + "\" is tracked by vrrp_sync_group \"" +
                                           group->second->name + "\" too; that one counts");
        }
        const auto weight = weight_of(track, track.weight.value_or(0), router);
        if (!weight) return;
        warn_of_limits(track, *weight, router);
        target.interfaces.push_back({track.name.text, *weight, track.reverse.value_or(false)});
    }

    // ---- programs

    std::shared_ptr<const vip::Script> script_of(
        std::pair<const ScriptConf*, std::shared_ptr<const vip::Script>>& entry) {
        const ScriptConf& conf = *entry.first;
        if (!all.used_scripts.insert(conf.name).second || !conf.command) return entry.second;
        auto command = programs.resolve(*conf.command, conf.as, Programs::Use::tracked);
        if (!command) return nullptr;
        auto script = std::make_shared<vip::Script>();
        script->name = conf.name;
        script->position = conf.position;
        script->command = std::move(*command);
        script->interval = std::chrono::seconds(conf.interval.value_or(1));
        script->timeout = std::chrono::seconds(conf.timeout.value_or(0));
        script->rise = static_cast<unsigned>(conf.rise.value_or(1));
        script->fall = static_cast<unsigned>(conf.fall.value_or(1));
        script->starts_bad = conf.starts_bad;
        entry.second = std::move(script);
        return entry.second;
    }

    vip::Notify notify(const NotifyConf& conf) {
        vip::Notify target;
        const auto resolve = [&](const std::optional<CommandConf>& from, vip::Command& into) {
            if (!from) return;
            if (auto command = programs.resolve(*from, from->as, Programs::Use::told))
                into = std::move(*command);
        };
        resolve(conf.master, target.master);
        resolve(conf.backup, target.backup);
        resolve(conf.fault, target.fault);
        resolve(conf.stop, target.stop);
        resolve(conf.deleted, target.deleted);
        target.says_deleted = conf.says_deleted;
        resolve(conf.any, target.any);
        resolve(conf.lower_priority_heard, target.lower_priority_heard);
        return target;
    }
};

}  // namespace

vip::Plan build_plan(Reading& reading) {
    PlanBuilder builder(reading);
    builder.build();
    return std::move(builder.out);
}

}  // namespace hawser::keepalived
