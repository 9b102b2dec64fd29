// SPDX-License-Identifier: Apache-2.0
#include "replication/message.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>
#include <utility>

#include "splice/bpf/layout.h"

namespace hawser::replication {

namespace {

enum Kind : std::uint8_t {
    kind_hello = 1,
    kind_owns = 2,
    kind_snapshot_begin = 3,
    kind_snapshot_end = 4,
    kind_applied = 5,
    kind_carried = 6,
    kind_gone = 7
};
constexpr std::size_t longest_text = splice::layout::name_size - 1, longest_node_name = 255,
                      most_vips = 1'000;
constexpr std::int64_t longest_idle = 10LL * 366 * 86'400;  // seconds
enum CarriedBit : std::uint8_t { bit_l4 = 1, bit_timestamps = 2, bit_blank_sack = 4 };

// ---- writing ----

class Writer {
  public:
    explicit Writer(Bytes& onto) : out_(onto) {}
    template <class Integer>
    void number(Integer value) {
        using Unsigned = std::make_unsigned_t<Integer>;
        for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8)
            out_.push_back(static_cast<std::uint8_t>(static_cast<Unsigned>(value) >> shift));
    }
    void text(std::string_view value, std::size_t longest) {
        value = value.substr(0, longest);
        number(static_cast<std::uint16_t>(value.size()));
        out_.insert(out_.end(), value.begin(), value.end());
    }
    void address(const net::IpAddress& ip) { out_.insert(out_.end(), ip.bytes().begin(), ip.bytes().end()); }
    void address(const net::SocketAddress& a) {
        address(a.ip);
        number(a.port);
    }
    void flow(const splice::CarriedFlow& f) {
        for (const std::uint32_t delta :
             {f.sequence_delta, f.acknowledgment_delta, f.tsval_delta, f.tsecr_delta})
            number(delta);
        number(f.window_scale);
        number(f.window_shift);
        number(f.largest_segment);
        number(f.sequence_end);
        number(f.sequence_base);
        for (const std::uint32_t seen : {f.acknowledged, f.window, f.tsval}) number(seen);
    }

  private:
    Bytes& out_;
};

void write(Writer& w, const Hello& m) {
    w.number(m.version);
    w.number(m.node);
    w.number(m.part);
    w.number(m.parts);
    w.text(m.name, longest_node_name);
}
void write(Writer& w, const Owns& m) {
    const std::size_t count = std::min(m.vips.size(), most_vips);
    w.number(static_cast<std::uint16_t>(count));
    for (std::size_t i = 0; i < count; ++i) w.address(m.vips[i]);
}
void write(Writer&, const SnapshotBegin&) {}
void write(Writer&, const SnapshotEnd&) {}
void write(Writer& w, const Applied& m) { w.number(m.count); }
void write(Writer& w, const splice::Carried& m) {
    w.number(m.identity.origin);
    w.number(m.identity.id);
    w.number(m.protocol);
    w.number(static_cast<std::uint8_t>((m.l4 ? bit_l4 : 0) | (m.timestamps ? bit_timestamps : 0) |
                                       (m.blank_sack ? bit_blank_sack : 0)));
    for (const auto* a : {&m.client, &m.frontend, &m.towards_endpoint, &m.endpoint}) w.address(*a);
    w.flow(m.from_client);
    w.flow(m.from_endpoint);
    w.number(static_cast<std::int64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(m.started.time_since_epoch()).count()));
    w.number(static_cast<std::uint32_t>(std::clamp<std::int64_t>(m.idle.count(), 0, longest_idle)));
    w.address(m.told_client);
    w.number(m.bytes_in);
    w.number(m.bytes_out);
    w.number(m.frames_in);
    w.number(m.frames_out);
    for (const auto* text : {&m.route, &m.service, &m.endpoint_name, &m.kind}) w.text(*text, longest_text);
}
void write(Writer& w, const splice::Gone& m) {
    w.number(m.identity.origin);
    w.number(m.identity.id);
    w.number(m.protocol);
    w.address(m.client);
    w.address(m.frontend);
}

template <class M>
constexpr Kind kind_of() {
    if constexpr (std::is_same_v<M, Hello>) return kind_hello;
    if constexpr (std::is_same_v<M, Owns>) return kind_owns;
    if constexpr (std::is_same_v<M, SnapshotBegin>) return kind_snapshot_begin;
    if constexpr (std::is_same_v<M, SnapshotEnd>) return kind_snapshot_end;
    if constexpr (std::is_same_v<M, Applied>) return kind_applied;
    if constexpr (std::is_same_v<M, splice::Carried>) return kind_carried;
    if constexpr (std::is_same_v<M, splice::Gone>) return kind_gone;
}

// ---- reading ----

// Takes fields off the front. After the first that is wrong, all are zero and `wrong` says why, such that it
// can stand behind "a Carried".
class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

    template <class Integer>
    Integer number() {
        using Unsigned = std::make_unsigned_t<Integer>;
        const auto bytes = take(sizeof(Integer));
        std::uint64_t value = 0;
        for (const std::uint8_t byte : bytes) value = value << 8 | byte;
        return static_cast<Integer>(static_cast<Unsigned>(value));
    }
    std::string text(const char* name, std::size_t longest) {
        const auto size = number<std::uint16_t>();
        check(size <= longest, name, [&] { return std::to_string(size) + " bytes long"; });
        const auto bytes = take(failed() ? 0 : size);
        return {bytes.begin(), bytes.end()};
    }
    // One that a packet can come from and go to.
    net::IpAddress ip(const char* name) {
        const auto address = any_ip();
        check(!address.is_unspecified() && !address.is_multicast() && !address.is_loopback(), name,
              [&] { return address.text(); });
        return address;
    }
    net::SocketAddress address(const char* name) {
        const auto a = ip(name);
        const auto port = number<std::uint16_t>();
        const net::SocketAddress out{a, port};
        check(port != 0, name, [&] { return out.text(); });
        return out;
    }
    // As somebody wrote it into a header: anything.
    net::SocketAddress any_address() {
        const auto a = any_ip();
        return {a, number<std::uint16_t>()};
    }
    splice::CarriedFlow flow() {
        splice::CarriedFlow f;
        for (std::uint32_t* delta :
             {&f.sequence_delta, &f.acknowledgment_delta, &f.tsval_delta, &f.tsecr_delta})
            *delta = number<std::uint32_t>();
        f.window_scale = number<std::uint8_t>();
        f.window_shift = number<std::int8_t>();
        check_number(f.window_scale <= 14, "window scale", f.window_scale);
        check_number(f.window_shift >= -14 && f.window_shift <= 14, "window shift", f.window_shift);
        f.largest_segment = number<std::uint32_t>();
        f.sequence_end = number<std::uint64_t>();
        f.sequence_base = number<std::uint64_t>();
        for (std::uint32_t* seen : {&f.acknowledged, &f.window, &f.tsval}) *seen = number<std::uint32_t>();
        return f;
    }

    // "whose NAME is VALUE"
    template <class Value>
    void check(bool good, const char* name, Value value) {
        if (!good && !failed()) wrong_ = std::string("whose ") + name + " is " + value();
    }
    void check_number(bool good, const char* name, std::int64_t value) {
        check(good, name, [&] { return std::to_string(value); });
    }
    void check(bool good, const char* what) {
        if (!good && !failed()) wrong_ = what;
    }
    [[nodiscard]] bool failed() const { return !wrong_.empty(); }
    void ignore_rest() { rest_ = {}; }
    // After the last field.
    [[nodiscard]] std::string wrong() const {
        if (failed() || rest_.empty()) return wrong_;
        return "that goes on for " + std::to_string(rest_.size()) + " bytes after its end";
    }

  private:
    net::IpAddress any_ip() {
        std::array<std::uint8_t, 16> out{};
        const auto bytes = take(out.size());
        std::copy(bytes.begin(), bytes.end(), out.begin());
        return net::IpAddress::v6(out);
    }
    std::span<const std::uint8_t> take(std::size_t size) {
        check(size <= rest_.size(), "that ends too early");
        if (failed()) return {};
        const auto out = rest_.first(size);
        rest_ = rest_.subspan(size);
        return out;
    }
    std::span<const std::uint8_t> rest_;
    std::string wrong_;
};

Hello read_hello(Reader& r) {
    Hello m;
    m.version = r.number<std::uint16_t>();
    if (r.failed()) return m;
    if (m.version != protocol_version) {
        r.ignore_rest();  // only that one is known
        return m;
    }
    m.node = r.number<std::uint64_t>();
    r.check_number(m.node != 0, "node", 0);
    m.part = r.number<std::uint8_t>();
    m.parts = r.number<std::uint8_t>();
    r.check(m.parts <= 16 && m.part < m.parts, "part of the ports",
            [&] { return std::to_string(m.part) + " of " + std::to_string(m.parts); });
    m.name = r.text("name", longest_node_name);
    return m;
}

Owns read_owns(Reader& r) {
    Owns m;
    const auto count = r.number<std::uint16_t>();
    r.check_number(count <= most_vips, "number of VIPs", count);
    for (std::size_t i = 0; i < count && !r.failed(); ++i) m.vips.push_back(r.ip("VIP"));
    return m;
}

splice::Identity read_identity(Reader& r) {
    splice::Identity out;
    out.origin = r.number<std::uint64_t>();
    r.check_number(out.origin != 0, "origin", 0);
    out.id = r.number<std::uint64_t>();
    return out;
}

std::uint8_t read_protocol(Reader& r) {
    const auto protocol = r.number<std::uint8_t>();
    r.check_number(protocol == IPPROTO_TCP || protocol == IPPROTO_UDP, "protocol", protocol);
    return protocol;
}

splice::Carried read_carried(Reader& r) {
    splice::Carried m;
    m.identity = read_identity(r);
    m.protocol = read_protocol(r);
    const auto bits = r.number<std::uint8_t>();
    r.check(bits <= (bit_l4 | bit_timestamps | bit_blank_sack), "byte of flags",
            [&] { return std::to_string(bits); });
    m.l4 = (bits & bit_l4) != 0;
    m.timestamps = (bits & bit_timestamps) != 0;
    m.blank_sack = (bits & bit_blank_sack) != 0;
    r.check(m.l4 || m.protocol == IPPROTO_TCP, "of UDP that is not the kernel's");
    m.client = r.address("client");
    m.frontend = r.address("frontend");
    m.towards_endpoint = r.address("address towards the endpoint");
    m.endpoint = r.address("endpoint");
    for (const auto* a : {&m.frontend, &m.towards_endpoint, &m.endpoint})
        r.check(a->ip.is_v4() == m.client.ip.is_v4(), "whose addresses are of both families");
    r.check(m.frontend.ip == m.towards_endpoint.ip, "whose address towards the endpoint is not the VIP");
    m.from_client = r.flow();
    m.from_endpoint = r.flow();
    m.started =
        std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(r.number<std::int64_t>())));
    const auto idle = r.number<std::uint32_t>();
    r.check(idle <= longest_idle, "idle timeout", [&] { return std::to_string(idle) + " seconds"; });
    m.idle = std::chrono::seconds(idle);
    m.told_client = r.any_address();
    m.bytes_in = r.number<std::uint64_t>();
    m.bytes_out = r.number<std::uint64_t>();
    m.frames_in = r.number<std::uint32_t>();
    m.frames_out = r.number<std::uint32_t>();
    m.route = r.text("route", longest_text);
    m.service = r.text("service", longest_text);
    m.endpoint_name = r.text("endpoint's name", longest_text);
    m.kind = r.text("kind", longest_text);
    return m;
}

splice::Gone read_gone(Reader& r) {
    splice::Gone m;
    m.identity = read_identity(r);
    m.protocol = read_protocol(r);
    m.client = r.address("client");
    m.frontend = r.address("frontend");
    r.check(m.client.ip.is_v4() == m.frontend.ip.is_v4(), "whose addresses are of both families");
    return m;
}

net::Error error(std::string text) {
    net::Error out;
    out.message = std::move(text);
    return out;
}

net::Result<Message> read(std::uint8_t kind, Reader& r) {
    const auto done = [&r](const char* name, auto message) -> net::Result<Message> {
        if (const std::string wrong = r.wrong(); !wrong.empty())
            return error(std::string(name) + " " + wrong);
        return Message(std::move(message));
    };
    switch (kind) {
        case kind_hello:
            return done("a Hello", read_hello(r));
        case kind_owns:
            return done("an Owns", read_owns(r));
        case kind_snapshot_begin:
            return done("a SnapshotBegin", SnapshotBegin{});
        case kind_snapshot_end:
            return done("a SnapshotEnd", SnapshotEnd{});
        case kind_applied:
            return done("an Applied", Applied{r.number<std::uint64_t>()});
        case kind_carried:
            return done("a Carried", read_carried(r));
        case kind_gone:
            return done("a Gone", read_gone(r));
        default:
            return error("a message of the unknown kind " + std::to_string(kind));
    }
}

}  // namespace

void encode(const Message& message, Bytes& onto) {
    const std::size_t start = onto.size();
    Writer writer(onto);
    writer.number(std::uint32_t{0});
    std::visit(
        [&](const auto& m) {
            writer.number(static_cast<std::uint8_t>(kind_of<std::decay_t<decltype(m)>>()));
            write(writer, m);
        },
        message);
    const auto size = static_cast<std::uint32_t>(onto.size() - start - 4);
    for (std::size_t i = 0; i < 4; ++i) onto[start + i] = static_cast<std::uint8_t>(size >> (24 - 8 * i));
}

void Decoder::feed(std::span<const std::uint8_t> bytes) {
    if (taken_ > 0) {
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken_));
        taken_ = 0;
    }
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
}

net::Result<std::optional<Message>> Decoder::next() {
    const std::span<const std::uint8_t> rest = std::span(waiting_).subspan(taken_);
    if (rest.size() < 4) return std::optional<Message>();
    const std::size_t size = Reader(rest.first(4)).number<std::uint32_t>();
    if (size == 0 || size > largest_message) return error("a message of " + std::to_string(size) + " bytes");
    if (rest.size() < 4 + size) return std::optional<Message>();
    Reader reader(rest.subspan(5, size - 1));
    auto message = read(rest[4], reader);
    if (!message) return message.error();  // and again, should somebody ask
    taken_ += 4 + size;
    return std::optional<Message>(std::move(*message));
}

}  // namespace hawser::replication
