// SPDX-License-Identifier: Apache-2.0
#include "vip/advert.h"

#include <algorithm>

namespace hawser::vip {

namespace {

constexpr std::size_t header_size = 8;
constexpr std::size_t checksum_offset = 6;
constexpr std::uint8_t type_advertisement = 1;
constexpr std::uint8_t simple_password = 1;
constexpr std::int64_t centisecond = 10;  // ms

std::size_t address_size(bool v6) { return v6 ? 16 : 4; }

std::uint16_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

void append(Bytes& bytes, const net::IpAddress& ip) {
    const auto& all = ip.bytes();
    bytes.insert(bytes.end(), ip.is_v6() ? all.begin() : all.begin() + 12, all.end());
}

net::IpAddress address_at(std::span<const std::uint8_t> bytes, bool v6) {
    if (!v6)
        return net::IpAddress::v4(static_cast<std::uint32_t>(get16(bytes, 0)) << 16 | get16(bytes, 2));
    std::array<std::uint8_t, 16> all;
    std::copy_n(bytes.begin(), all.size(), all.begin());
    return net::IpAddress::v6(all);
}

// RFC 1071, not folded.
std::uint64_t sum(std::span<const std::uint8_t> bytes) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) total += get16(bytes, i);
    if (bytes.size() % 2 != 0) total += static_cast<std::uint64_t>(bytes.back()) << 8;
    return total;
}

std::uint64_t sum_of_pseudo_header(const net::IpAddress& source, const net::IpAddress& destination,
                                   std::size_t size) {
    Bytes bytes;
    append(bytes, source);
    append(bytes, destination);
    return sum(bytes) + ip_protocol + size;
}

std::uint16_t fold(std::uint64_t total) {
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return static_cast<std::uint16_t>(~total);
}

}  // namespace

std::array<std::uint8_t, password_size> password_of(std::string_view text) {
    std::array<std::uint8_t, password_size> out{};
    std::copy_n(text.begin(), std::min(text.size(), out.size()), out.begin());
    return out;
}

std::string_view to_string(Discarded why) {
    switch (why) {
        case Discarded::ttl:
            return "ttl";
        case Discarded::version:
            return "version";
        case Discarded::type:
            return "type";
        case Discarded::length:
            return "length";
        case Discarded::checksum:
            return "checksum";
        case Discarded::no_addresses:
            return "no_addresses";
        case Discarded::interval:
            return "interval";
        case Discarded::authentication:
            return "authentication";
        case Discarded::sender:
            return "sender";
        case Discarded::count:
            break;
    }
    return "?";
}

Bytes encode(const Advert& advert, const net::IpAddress& source, const net::IpAddress& destination,
             Coverage coverage) {
    const std::size_t count = std::min(advert.addresses.size(), most_addresses);
    Bytes out(header_size);
    out[0] = static_cast<std::uint8_t>(advert.version << 4 | type_advertisement);
    out[1] = advert.id;
    out[2] = advert.priority;
    out[3] = static_cast<std::uint8_t>(count);
    if (advert.version == 2) {
        out[4] = advert.has_password ? simple_password : 0;
        out[5] = static_cast<std::uint8_t>(advert.interval.count() / 1'000);
    } else {
        put16(out, 4, static_cast<unsigned>(advert.interval.count() / centisecond) & 0xfff);  // V-07: Reserve is 0
    }
    for (std::size_t i = 0; i < count; ++i) append(out, advert.addresses[i]);
    if (advert.version == 2) out.insert(out.end(), advert.password.begin(), advert.password.end());
    const bool with_pseudo_header =
        source.is_v6() || (advert.version == 3 && coverage == Coverage::pseudo_header_too);
    const std::uint64_t pseudo = with_pseudo_header ? sum_of_pseudo_header(source, destination, out.size()) : 0;
    put16(out, checksum_offset, fold(sum(out) + pseudo));
    return out;
}

std::variant<Received, Discarded> decode(std::span<const std::uint8_t> message, const Envelope& envelope) {
    if (envelope.ttl < envelope.min_ttl || envelope.ttl > envelope.max_ttl) return Discarded::ttl;
    if (message.size() < header_size) return Discarded::length;
    const bool v6 = envelope.source.is_v6();
    Received out;
    Advert& advert = out.advert;
    advert.version = message[0] >> 4;
    if (advert.version != 3 && (advert.version != 2 || v6)) return Discarded::version;
    if ((message[0] & 0xf) != type_advertisement) return Discarded::type;
    advert.id = message[1];
    advert.priority = message[2];
    const std::size_t count = message[3];
    if (count == 0) return Discarded::no_addresses;
    const std::size_t size = header_size + count * address_size(v6);
    const bool has_data = advert.version == 2 && message.size() == size + password_size;
    // RFC 3768 has the authentication data always; some senders leave them out when there is nothing in them.
    const bool may_lack_data = advert.version == 3 || message[4] == 0;
    if (!has_data && !(may_lack_data && message.size() == size)) return Discarded::length;

    const std::uint64_t own = sum(message);
    const std::uint64_t pseudo = sum_of_pseudo_header(envelope.source, envelope.destination, message.size());
    if (!v6 && fold(own) == 0)
        out.coverage = Coverage::message;
    else if (advert.version == 3 && fold(own + pseudo) == 0)
        out.coverage = Coverage::pseudo_header_too;
    else
        return Discarded::checksum;

    for (std::size_t at = header_size; at < size; at += address_size(v6))
        advert.addresses.push_back(address_at(message.subspan(at), v6));
    if (advert.version == 3) {
        advert.interval = std::chrono::milliseconds((get16(message, 4) & 0xfff) * centisecond);
    } else {
        if (message[4] > simple_password) return Discarded::authentication;
        advert.has_password = message[4] == simple_password;
        advert.interval = std::chrono::seconds(message[5]);
        if (has_data)
            std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(size), password_size, advert.password.begin());
    }
    if (advert.interval.count() == 0) return Discarded::interval;
    return out;
}

}  // namespace hawser::vip
