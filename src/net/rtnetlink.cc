// SPDX-License-Identifier: Apache-2.0
#include "net/rtnetlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace hawser::net {

Result<Fd> watch_rtnetlink(std::uint32_t groups) {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.valid()) return system_error("rtnetlink socket", errno);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return system_error("rtnetlink bind", errno);
    return fd;
}

}  // namespace hawser::net
