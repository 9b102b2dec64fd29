// SPDX-License-Identifier: Apache-2.0
#include "vip/trackers.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <fstream>
#include <optional>

#include "vip/child.h"

namespace hawser::vip {

namespace vip = catalog::vip;

namespace {

constexpr int most_added = 253;  // keepalived.conf(5)
constexpr net::Duration file_period{500}, process_period{500};

net::Duration to_loop(vip::microseconds duration) {
    return std::max(net::Duration{1}, std::chrono::ceil<net::Duration>(duration));
}

std::optional<std::string> read_start(const std::string& path, std::size_t most) {
    const net::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) return std::nullopt;
    std::string out(most, '\0');
    const ssize_t size = ::read(fd.get(), out.data(), out.size());
    if (size < 0) return std::nullopt;
    out.resize(static_cast<std::size_t>(size));
    return out;
}

}  // namespace

void count_condition(Verdict& verdict, const std::string& what, bool good, int weight, bool reverse) {
    if (weight == 0) {
        if (good == reverse) verdict.faults.push_back(what + (reverse ? " is good" : " is bad"));
        return;
    }
    if (good != (weight > 0)) return;
    verdict.added += reverse ? -weight : weight;
}

void count_number(Verdict& verdict, const std::string& what, std::int64_t number, int weight, bool reverse) {
    if (weight == 0) {
        if ((number != 0) != reverse) verdict.faults.push_back(what + " says " + std::to_string(number));
        return;
    }
    // Products far beyond any priority must not wrap around.
    number = std::clamp<std::int64_t>(number, -1'000'000, 1'000'000);
    const std::int64_t product = number * weight * (reverse ? -1 : 1);
    if (product < -most_added)
        verdict.faults.push_back(what + " says " + std::to_string(number));
    else
        verdict.added += static_cast<int>(std::min<std::int64_t>(product, most_added));
}

// ---- scripts ----

class Trackers::ScriptRun : private net::Timer {
  public:
    ScriptRun(Trackers& owner, std::shared_ptr<const vip::Script> script)
        : owner_(owner), script_(std::move(script)), good_(!script_->starts_bad) {
        owner_.loop_.timers().set(*this, owner_.loop_.now());
    }
    [[nodiscard]] const vip::Script& what() const { return *script_; }
    [[nodiscard]] bool good() const { return good_; }

  private:
    void on_timer() override {
        if (child_) {  // it takes longer than `timeout`: bad, and no second one beside it
            if (!given_up_) count(false);
            given_up_ = true;
            child_->signal(asked_to_stop_ ? SIGKILL : SIGTERM);
            asked_to_stop_ = true;
            owner_.loop_.timers().set(*this, owner_.loop_.now() + net::Duration{1'000});
            return;
        }
        given_up_ = asked_to_stop_ = false;
        began_ = owner_.loop_.now();
        auto started = Child::start(owner_.loop_, script_->command, {}, [this](int status) { ended(status); });
        if (!started) {
            owner_.log_(Severity::warning, "vip: script " + script_->name + ": " + started.error().text());
            count(false);
            owner_.loop_.timers().set(*this, began_ + to_loop(script_->interval));
            return;
        }
        child_ = std::move(*started);
        const auto patience = script_->timeout.count() > 0 ? script_->timeout : script_->interval;
        owner_.loop_.timers().set(*this, began_ + to_loop(patience));
    }

    void ended(int status) {
        const auto finished = std::move(child_);
        if (!given_up_) count(status == 0);
        const auto next = began_ + to_loop(script_->interval);
        owner_.loop_.timers().set(*this, std::max(next, owner_.loop_.now()));
    }

    // `rise` good ones in a row make it good, `fall` bad ones bad.
    void count(bool success) {
        streak_ = success == last_ ? streak_ + 1 : 1;
        last_ = success;
        if (success == good_ || streak_ < (success ? script_->rise : script_->fall)) return;
        good_ = success;
        owner_.log_(good_ ? Severity::info : Severity::warning,
                    "vip: script " + script_->name + (good_ ? " is good" : " is bad"));
        owner_.changed_();
    }

    Trackers& owner_;
    std::shared_ptr<const vip::Script> script_;
    bool good_;
    bool last_ = true, given_up_ = false, asked_to_stop_ = false;
    unsigned streak_ = 0;
    net::TimePoint began_{};
    std::unique_ptr<Child> child_;
};

// ---- files ----

class Trackers::FileWatch : private net::Timer {
  public:
    FileWatch(Trackers& owner, std::shared_ptr<const vip::File> file) : owner_(owner), file_(std::move(file)) {
        if (file_->initial && (file_->overwrite || ::access(file_->path.c_str(), F_OK) != 0)) {
            std::ofstream out(file_->path, std::ios::trunc);
            out << *file_->initial << "\n";
            if (!out.flush()) owner_.log_(Severity::warning, "vip: cannot write " + file_->path);
        }
        number_ = read();
        owner_.loop_.timers().set(*this, owner_.loop_.now() + file_period);
    }
    [[nodiscard]] const vip::File& what() const { return *file_; }
    [[nodiscard]] std::int64_t number() const { return number_; }

  private:
    // A file that is not there, or has no number, says 0.
    [[nodiscard]] std::int64_t read() const {
        const auto text = read_start(file_->path, 64);
        if (!text) return 0;
        const char* begin = text->data();
        const char* const end = begin + text->size();
        while (begin != end && (*begin == ' ' || *begin == '\t' || *begin == '+')) ++begin;
        std::int64_t value = 0;
        return std::from_chars(begin, end, value).ec == std::errc{} ? value : 0;
    }
    void on_timer() override {
        owner_.loop_.timers().set(*this, owner_.loop_.now() + file_period);
        const std::int64_t now = read();
        if (now == number_) return;
        number_ = now;
        owner_.changed_();
    }

    Trackers& owner_;
    std::shared_ptr<const vip::File> file_;
    std::int64_t number_ = 0;
};

// ---- processes ----

class Trackers::ProcessWatch : private net::Timer {
  public:
    ProcessWatch(Trackers& owner, std::shared_ptr<const vip::Process> process)
        : owner_(owner), process_(std::move(process)), good_(quorum()) {
        owner_.loop_.timers().set(*this, owner_.loop_.now() + process_period);
    }
    [[nodiscard]] const vip::Process& what() const { return *process_; }
    [[nodiscard]] bool good() const { return good_; }

  private:
    [[nodiscard]] bool quorum() const {
        const unsigned running = count();
        return running >= process_->quorum && running <= process_->quorum_max;
    }

    [[nodiscard]] unsigned count() const {
        unsigned found = 0;
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), ::closedir);
        if (!directory) return 0;
        while (const dirent* entry = ::readdir(directory.get())) {
            if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
            if (matches(std::string("/proc/") + entry->d_name)) ++found;
        }
        return found;
    }

    [[nodiscard]] bool matches(const std::string& directory) const {
        using Parameters = vip::Process::Parameters;
        const std::string& name = process_->command.front();
        const bool by_line = process_->full_command || process_->parameters != Parameters::ignored;
        if (!by_line) {
            auto comm = read_start(directory + "/comm", 64);
            if (!comm || comm->empty()) return false;
            if (comm->back() == '\n') comm->pop_back();
            constexpr std::size_t kernel_keeps = 15;  // TASK_COMM_LEN
            return *comm == name.substr(0, kernel_keeps) && !is_zombie(directory);
        }
        const auto line = read_start(directory + "/cmdline", 4096);
        if (!line || line->empty()) return false;  // a kernel thread, or a zombie
        std::vector<std::string> words;
        for (std::size_t at = 0; at < line->size();) {
            const std::size_t end = std::min(line->find('\0', at), line->size());
            words.push_back(line->substr(at, end - at));
            at = end + 1;
        }
        const auto base = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
        if (words[0] != name && base(words[0]) != name) return false;
        return parameters_match(words);
    }

    [[nodiscard]] bool parameters_match(const std::vector<std::string>& words) const {
        using Parameters = vip::Process::Parameters;
        const auto& wanted = process_->command;
        switch (process_->parameters) {
            case Parameters::ignored:
                return true;
            case Parameters::exact:
                return std::equal(words.begin() + 1, words.end(), wanted.begin() + 1, wanted.end());
            case Parameters::partial:
                return words.size() >= wanted.size() &&
                       std::equal(wanted.begin() + 1, wanted.end(), words.begin() + 1);
            case Parameters::initial:
                return words.size() == wanted.size() &&
                       std::equal(wanted.begin() + 1, wanted.end() - 1, words.begin() + 1) &&
                       words.back().starts_with(wanted.back());
        }
        return false;
    }

    [[nodiscard]] static bool is_zombie(const std::string& directory) {
        const auto stat = read_start(directory + "/stat", 512);
        if (!stat) return true;
        const std::size_t at = stat->rfind(')');
        return at == std::string::npos || at + 2 >= stat->size() || (*stat)[at + 2] == 'Z';
    }

    void on_timer() override {
        owner_.loop_.timers().set(*this, owner_.loop_.now() + process_period);
        const bool now = quorum();
        if (now == good_) {
            changing_since_.reset();
            return;
        }
        if (!changing_since_) changing_since_ = owner_.loop_.now();
        const auto delay = now ? process_->fork_delay : process_->terminate_delay;
        if (owner_.loop_.now() - *changing_since_ < delay) return;
        changing_since_.reset();
        good_ = now;
        owner_.log_(good_ ? Severity::info : Severity::warning,
                    "vip: process " + process_->name + (good_ ? " is good" : " is bad"));
        owner_.changed_();
    }

    Trackers& owner_;
    std::shared_ptr<const vip::Process> process_;
    bool good_;
    std::optional<net::TimePoint> changing_since_;
};

// ---- all of them ----

Trackers::Trackers(net::Loop& loop, const Links& links, std::function<void(Severity, const std::string&)> log,
                   std::function<void()> changed)
    : loop_(loop), links_(links), log_(std::move(log)), changed_(std::move(changed)) {}

Trackers::~Trackers() = default;

template <class Run, class What>
void Trackers::keep(std::map<std::string, std::unique_ptr<Run>>& runs, const std::shared_ptr<const What>& what,
                    std::map<std::string, std::unique_ptr<Run>>& next) {
    auto& place = next[what->name];
    if (place) return;
    const auto old = runs.find(what->name);
    if (old != runs.end() && old->second && old->second->what() == *what)
        place = std::move(old->second);
    else
        place = std::make_unique<Run>(*this, what);
}

void Trackers::configure(const vip::Plan& plan) {
    decltype(scripts_) scripts;
    decltype(files_) files;
    decltype(processes_) processes;
    const auto add = [&](const vip::Tracking& tracking) {
        for (const auto& tracked : tracking.scripts) keep(scripts_, tracked.what, scripts);
        for (const auto& tracked : tracking.files) keep(files_, tracked.what, files);
        for (const auto& tracked : tracking.processes) keep(processes_, tracked.what, processes);
    };
    for (const auto& router : plan.routers) add(router.tracking);
    for (const auto& group : plan.groups) add(group.tracking);
    scripts_ = std::move(scripts);
    files_ = std::move(files);
    processes_ = std::move(processes);
}

Verdict Trackers::judge(const vip::Tracking& tracking, bool ignore_weights) const {
    Verdict out;
    const auto weight = [&](int configured) { return ignore_weights ? 0 : configured; };
    for (const auto& tracked : tracking.interfaces) {
        const Link* const link = links_.find(tracked.interface);
        count_condition(out, "interface " + tracked.interface, link != nullptr && link->up, weight(tracked.weight),
                        tracked.reverse);
    }
    for (const auto& tracked : tracking.scripts)
        count_condition(out, "script " + tracked.what->name, scripts_.at(tracked.what->name)->good(),
                        weight(tracked.weight), tracked.reverse);
    for (const auto& tracked : tracking.files)
        count_number(out, "file " + tracked.what->path, files_.at(tracked.what->name)->number(),
                     weight(tracked.weight), tracked.reverse);
    for (const auto& tracked : tracking.processes)
        count_condition(out, "process " + tracked.what->name, processes_.at(tracked.what->name)->good(),
                        weight(tracked.weight), tracked.reverse);
    out.added = std::clamp(out.added, -most_added, most_added);
    return out;
}

}  // namespace hawser::vip
