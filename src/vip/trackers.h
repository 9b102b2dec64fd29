// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/vip.h"
#include "net/loop.h"
#include "vip/links.h"
#include "vip/router.h"

namespace hawser::vip {

// What tracked things come to for one virtual router.
struct Verdict {
    std::vector<std::string> faults;  // in words; none = none
    int added = 0;                    // to the base priority
    bool operator==(const Verdict&) const = default;
};

// keepalived's rules for one thing, good or bad, with its weight: see catalog::vip::Script.
void count_condition(Verdict& verdict, const std::string& what, bool good, int weight, bool reverse);
// And for a number from a file.
void count_number(Verdict& verdict, const std::string& what, std::int64_t number, int weight, bool reverse);

// Runs the scripts, reads the files and looks for the processes that a plan tracks. One loop's thread.
class Trackers {
  public:
    // `changed`: some value has; ask for the verdicts anew.
    Trackers(net::Loop& loop, const Links& links, std::function<void(Severity, const std::string&)> log,
             std::function<void()> changed);
    ~Trackers();

    // Things that were there before, and are the same, keep what is known of them.
    void configure(const catalog::vip::Plan& plan);
    [[nodiscard]] Verdict judge(const catalog::vip::Tracking& tracking, bool ignore_weights) const;

  private:
    class ScriptRun;
    class FileWatch;
    class ProcessWatch;
    template <class Run, class What>
    void keep(std::map<std::string, std::unique_ptr<Run>>& runs, const std::shared_ptr<const What>& what,
              std::map<std::string, std::unique_ptr<Run>>& next);

    net::Loop& loop_;
    const Links& links_;
    std::function<void(Severity, const std::string&)> log_;
    std::function<void()> changed_;
    std::map<std::string, std::unique_ptr<ScriptRun>> scripts_;
    std::map<std::string, std::unique_ptr<FileWatch>> files_;
    std::map<std::string, std::unique_ptr<ProcessWatch>> processes_;
};

}  // namespace hawser::vip
