// SPDX-License-Identifier: Apache-2.0
// VRRP adverts and the frames that claim addresses: any bytes from the LAN.
#include <cstdlib>

#include "vip/advert.h"
#include "vip/announcement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hawser;
    const std::span<const std::uint8_t> bytes(data, size);
    vip::claim_of(bytes);
    static const auto v4 = *net::IpAddress::parse("192.168.0.1"), v6 = *net::IpAddress::parse("fe80::1");
    static const auto group4 = *net::IpAddress::parse("224.0.0.18"), group6 = *net::IpAddress::parse("ff02::12");
    for (const bool is_v6 : {false, true}) {
        const auto& source = is_v6 ? v6 : v4;
        const auto& group = is_v6 ? group6 : group4;
        const auto decoded = vip::decode(bytes, {source, group, 255});
        const auto* received = std::get_if<vip::Received>(&decoded);
        if (received == nullptr) continue;
        // What was taken is said again in the same words, but for what is ignored.
        const auto again = vip::decode(vip::encode(received->advert, source, group, received->coverage), {source, group, 255});
        const auto* repeated = std::get_if<vip::Received>(&again);
        if (repeated == nullptr || !(repeated->advert == received->advert)) std::abort();
    }
    return 0;
}
