// SPDX-License-Identifier: Apache-2.0
// virtual_ipaddress, virtual_ipaddress_excluded, unicast_peer.

#include <unordered_map>

#include "sources/keepalived/word_reader.h"

namespace hawser::keepalived {

namespace {

struct AddressReader : WordReader {
    AddressConf out;

    bool read() {
        const auto prefix = parse_prefix(words[0].text);
        if (!prefix) {
            wrong(0, "is not an address: expected IP or IP/LENGTH, one on each line");
            return false;
        }
        vip::Address& address = out.address;
        address.ip = prefix->ip;
        address.position = words[0].position;
        out.has_length = prefix->length.has_value();
        address.prefix_length = prefix->length.value_or(prefix->ip.is_v4() ? 32 : 128);
        if (prefix->ip.is_unspecified() || prefix->ip.is_multicast())
            wrong(0, "cannot be the address of a host");
        while (at < words.size()) option(words[at].text);
        return ok;
    }

  private:
    void option(const std::string& name) {
        using Flag = bool vip::Address::*;
        static const std::unordered_map<std::string_view, Flag> flags{
            {"home", &vip::Address::home},
            {"-nodad", &vip::Address::no_duplicate_detection},
            {"mngtmpaddr", &vip::Address::manage_temporary},
            {"noprefixroute", &vip::Address::no_prefix_route},
            {"autojoin", &vip::Address::autojoin},
        };
        if (const auto flag = flags.find(name); flag != flags.end()) {
            out.address.*(flag->second) = true;
            ++at;
        } else if (name == "no_track") {
            reading.note(words[at++].position, "\"no_track\" has no effect: an address that is removed comes back");
        } else if (name == "dev") {
            read_interface();
        } else if (name == "label") {
            read_label();
        } else if (name == "scope") {
            read_scope();
        } else if (name == "peer") {
            read_peer();
        } else if (name == "brd" || name == "broadcast") {
            read_broadcast();
        } else if (name == "preferred_lft") {
            if (const Word* word = parameter("seconds or forever"))
                reading.note(word->position, "\"preferred_lft\" has no effect");
        } else if (name == "use_vmac" || name == "track_group") {
            wrong(at++, "is not supported for an address");
        } else {
            const bool address = parse_prefix(name).has_value();
            wrong(at++, address ? "stands behind an address: each needs a line of its own"
                                : "is not an option of an address");
        }
    }

    void read_interface() {
        const Word* word = parameter("an interface");
        if (word == nullptr) return;
        if (!is_interface_name(word->text)) return invalid("an interface");
        out.address.interface = word->text;
    }
    void read_label() {
        const Word* word = parameter("a label");
        if (word == nullptr) return;
        if (word->text.empty() || word->text.size() > 15) return invalid("at most 15 characters");
        if (out.address.ip.is_v6())
            return reading.warning(word->position,
                                   "IPv6 addresses have no label; it is ignored, as keepalived does");
        out.address.label = word->text;
    }
    void read_scope() {
        const Word* word = parameter("global, site, link, host or nowhere");
        if (word == nullptr) return;
        const auto scope = parse_scope(word->text);
        if (!scope) return invalid("global, site, link, host, nowhere or a number");
        out.address.scope = *scope;
    }
    void read_peer() {
        const Word* word = parameter("an address");
        if (word == nullptr) return;
        const auto peer = net::IpAddress::parse(word->text);
        if (!peer || peer->is_v4() != out.address.ip.is_v4())
            return invalid("an address of the same family, without a length");
        if (out.has_length)
            reading.warning(words[0].position,
                            "the length of an address with a peer is ignored, as keepalived does");
        out.has_length = true;
        out.address.peer = *peer;
        out.address.prefix_length = peer->is_v4() ? 32 : 128;
    }
    void read_broadcast() {
        const Word* word = parameter("an address, + or -");
        if (word == nullptr) return;
        const net::IpAddress& ip = out.address.ip;
        if (ip.is_v6()) return wrong(at - 2, "is not an option of an IPv6 address");
        const unsigned length = out.address.prefix_length;
        const std::uint32_t host = length == 32 ? 0 : 0xffffffffU >> length;
        const auto broadcast = net::IpAddress::parse(word->text);
        if (word->text == "+") {
            out.address.broadcast = net::IpAddress::v4(ip.v4_host_order() | host);
        } else if (word->text == "-") {
            out.address.broadcast = net::IpAddress::v4(ip.v4_host_order() & ~host);
        } else if (broadcast && broadcast->is_v4()) {
            out.address.broadcast = *broadcast;
        } else {
            invalid("an IPv4 address, + or -");
        }
    }
};

template <std::vector<AddressConf> InstanceConf::*Member>
void read_addresses(Reading& reading, const Call& call) {
    for (const auto& item : items_of(reading, call)) {
        AddressReader reader{{reading, item, 1}, {}};
        if (reader.read()) (call.scope.instance->*Member).push_back(std::move(reader.out));
    }
}

void read_ttl(Reading& reading, std::span<const Word> item, std::size_t at, std::uint8_t& into) {
    if (at + 1 == item.size())
        return reading.error(item[at].position,
                             "\"" + item[at].text + "\" needs a parameter: a number from 0 to 255");
    const auto value = parse_integer(item[at + 1].text, 0, 255);
    if (!value)
        return reading.error(item[at + 1].position, "\"" + item[at + 1].text + "\" is not valid for \"" +
                                                        item[at].text +
                                                        "\": expected a number from 0 to 255");
    into = static_cast<std::uint8_t>(*value);
}

void read_peers(Reading& reading, const Call& call) {
    InstanceConf& instance = *call.scope.instance;
    if (!instance.unicast_at) instance.unicast_at = call.position();
    for (const auto& item : items_of(reading, call)) {
        const auto ip = net::IpAddress::parse(item[0].text);
        if (!ip || ip->is_multicast() || ip->is_unspecified()) {
            reading.error(item[0].position, "\"" + item[0].text + "\" is not the address of a peer");
            continue;
        }
        UnicastPeerConf peer{{*ip, 0, 255}, item[0].position};
        for (std::size_t at = 1; at < item.size(); at += 2) {
            if (item[at].text == "min_ttl" || item[at].text == "max_ttl") {
                read_ttl(reading, item, at,
                         item[at].text == "min_ttl" ? peer.peer.min_ttl : peer.peer.max_ttl);
            } else {
                reading.error(item[at].position, "\"" + item[at].text + "\" is not an option of a peer");
                break;
            }
        }
        instance.peers.push_back(std::move(peer));
    }
}

using I = InstanceConf;

constexpr Command commands[] = {
    block("virtual_ipaddress", where::instance, read_addresses<&I::addresses>, "", 0),
    block("virtual_ipaddress_excluded", where::instance, read_addresses<&I::excluded>, "", 0),
    block("unicast_peer", where::instance, read_peers, "", 0),
};

}  // namespace

std::span<const Command> address_commands() { return commands; }

}  // namespace hawser::keepalived
