// SPDX-License-Identifier: Apache-2.0
#include "net/rtnetlink.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <vector>

namespace hawser::net {
namespace {

using Datagram = std::vector<char>;

template <class T>
void put(Datagram& to, const T& value) {
    const auto at = to.size();
    to.resize(at + NLMSG_ALIGN(sizeof value));
    std::memcpy(to.data() + at, &value, sizeof value);
}

// What the kernel says of an address; `type` of the attribute that has it.
Datagram message(const char* ip, std::uint32_t interface = 2, std::uint16_t what = RTM_NEWADDR, std::uint16_t type = 0) {
    const auto address = *IpAddress::parse(ip);
    const std::size_t skip = address.is_v4() ? 12 : 0, size = 16 - skip;
    Datagram body;
    body.reserve(256);
    ifaddrmsg about{};
    about.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
    about.ifa_index = interface;
    put(body, about);
    // Another attribute first.
    put(body, rtattr{RTA_LENGTH(4), IFA_FLAGS});
    put(body, std::uint32_t{0x80});
    if (type == 0) type = address.is_v4() ? IFA_LOCAL : IFA_ADDRESS;
    put(body, rtattr{static_cast<std::uint16_t>(RTA_LENGTH(size)), type});
    body.insert(body.end(), address.bytes().begin() + static_cast<std::ptrdiff_t>(skip), address.bytes().end());
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(body.size()));
    header.nlmsg_type = what;
    Datagram out;
    out.reserve(256);
    put(out, header);
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

Datagram joined(const Datagram& a, const Datagram& b) {
    Datagram out;
    out.reserve(512);
    out.insert(out.end(), a.begin(), a.end());
    out.insert(out.end(), b.begin(), b.end());
    return out;
}

bool refreshes(const Datagram& datagram) {
    return only_refreshes(datagram, [](std::uint32_t interface, const IpAddress& ip) {
        return interface == 2 && (ip.text() == "192.168.0.150" || ip.text() == "fd00::150");
    });
}

TEST(RtnetlinkTest, AnAddressThatIsThereAgainIsARefresh) {
    EXPECT_TRUE(refreshes(message("192.168.0.150")));
    EXPECT_TRUE(refreshes(message("fd00::150")));
    EXPECT_TRUE(refreshes(joined(message("192.168.0.150"), message("fd00::150"))));
}

TEST(RtnetlinkTest, EverythingElseIsNews) {
    EXPECT_FALSE(refreshes(message("192.168.0.151")));
    EXPECT_FALSE(refreshes(message("192.168.0.150", 3))) << "it moved";
    EXPECT_FALSE(refreshes(message("192.168.0.150", 2, RTM_DELADDR)));
    EXPECT_FALSE(refreshes(message("192.168.0.150", 2, RTM_NEWLINK)));
    EXPECT_FALSE(refreshes(message("192.168.0.150", 2, RTM_NEWADDR, IFA_ADDRESS))) << "the other end of a line";
    EXPECT_FALSE(refreshes(joined(message("192.168.0.150"), message("fd00::151"))));
}

TEST(RtnetlinkTest, BrokenMessagesAreNews) {
    const Datagram whole = message("192.168.0.150");
    for (std::size_t size = sizeof(nlmsghdr); size < whole.size(); ++size)
        EXPECT_FALSE(refreshes(Datagram(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        Datagram changed = whole;
        changed[at] = static_cast<char>(0xff);
        refreshes(changed);  // under the sanitizers: nothing beyond it is read
    }
}

}  // namespace
}  // namespace hawser::net
