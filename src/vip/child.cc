// SPDX-License-Identifier: Apache-2.0
#include "vip/child.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace hawser::vip {

namespace {

// The groups that the user is in, so that they need not be asked for between vfork and exec.
std::vector<gid_t> groups_of(uid_t user, gid_t group) {
    std::array<char, 4096> buffer;
    passwd entry{};
    passwd* found = nullptr;
    std::vector<gid_t> groups{group};
    if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return groups;
    int count = 64;
    groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(entry.pw_name, group, groups.data(), &count) < 0) count = 1;
    groups.resize(static_cast<std::size_t>(count));
    groups.front() = group;
    return groups;
}

struct Plan {
    std::vector<char*> arguments;
    std::array<char*, 2> environment;
    std::vector<gid_t> groups;
    uid_t user;
    gid_t group;
    bool changes_user;
};

// Behind vfork: shares our memory, so nothing but system calls. glibc's setuid() would change all our threads.
[[noreturn]] void become(const Plan& plan) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &usual, nullptr);
    ::setpgid(0, 0);
    if (plan.changes_user && (::syscall(SYS_setgroups, plan.groups.size(), plan.groups.data()) != 0 ||
                              ::syscall(SYS_setresgid, plan.group, plan.group, plan.group) != 0 ||
                              ::syscall(SYS_setresuid, plan.user, plan.user, plan.user) != 0))
        ::_exit(126);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
    ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);  // also what we were given, and did not open ourselves
    ::execve(plan.arguments[0], plan.arguments.data(), plan.environment.data());
    ::_exit(errno == ENOENT ? 127 : 126);
}

}  // namespace

Child::Child(net::Loop& loop, pid_t pid, net::Fd fd, Ended ended)
    : loop_(loop), pid_(pid), fd_(std::move(fd)), ended_(std::move(ended)) {}

net::Result<std::unique_ptr<Child>> Child::start(net::Loop& loop, const catalog::vip::Command& command,
                                                 const std::vector<std::string>& more, Ended ended) {
    Plan plan;
    for (const auto* list : {&command.arguments, &more})
        for (const auto& argument : *list) plan.arguments.push_back(const_cast<char*>(argument.c_str()));
    plan.arguments.push_back(nullptr);
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    plan.environment = {path, nullptr};
    plan.user = command.user;
    plan.group = command.group;
    plan.changes_user = command.user != ::geteuid() || command.group != ::getegid();
    plan.groups = groups_of(command.user, command.group);

    const pid_t pid = ::vfork();
    if (pid == 0) become(plan);
    if (pid < 0) return net::system_error("start " + command.arguments.front(), errno);
    net::Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd.valid()) {
        const int error = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return net::system_error("watch " + command.arguments.front(), error);
    }
    std::unique_ptr<Child> out(new Child(loop, pid, std::move(fd), std::move(ended)));
    if (auto watched = loop.watch(out->fd_.get(), *out, EPOLLIN, net::Loop::Trigger::level); !watched)
        return watched.error();
    return out;
}

Child::~Child() {
    if (!fd_.valid()) return;
    loop_.unwatch(fd_.get(), *this);
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const { ::kill(-pid_, number); }

void Child::on_events(std::uint32_t) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    loop_.unwatch(fd_.get(), *this);
    fd_.reset();
    const Ended ended = std::move(ended_);
    ended(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
}

}  // namespace hawser::vip
