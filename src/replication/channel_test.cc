// SPDX-License-Identifier: Apache-2.0
#include "replication/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <fstream>
#include <functional>

#include "net/listen.h"
#include "net/socket.h"

namespace hawser::replication {
namespace {

using std::chrono::milliseconds;

const std::string secret(64, 's');
const Channel::Limits patient{std::chrono::seconds(20), std::chrono::seconds(20)};

// Turns the loops until `done` or ten seconds have passed.
template <class Done>
bool run_until(std::vector<net::Loop*> loops, Done done) {
    const auto deadline = net::Clock::now() + std::chrono::seconds(10);
    while (!done()) {
        if (net::Clock::now() >= deadline) return false;
        for (net::Loop* const loop : loops) loop->turn(milliseconds(loops.size() == 1 ? 10 : 0));
    }
    return true;
}

struct Listener {
    net::Fd fd;
    net::SocketAddress address;
    Listener() {
        auto opened = net::open_listeners(*net::SocketAddress::parse("127.0.0.1:0"), 1, {});
        EXPECT_TRUE(opened);
        fd = std::move(opened->front());
        address = net::local_address(fd.get());
    }
    [[nodiscard]] net::Fd accept() const {
        pollfd waiting{fd.get(), POLLIN, 0};
        EXPECT_EQ(::poll(&waiting, 1, 5'000), 1);
        return net::Fd(::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    }
};

// One side, and what it was told.
struct End final : Channel::Owner {
    std::unique_ptr<Channel> channel;
    int opened = 0, drained = 0;
    std::vector<Message> heard;
    std::vector<std::string> closed;
    std::function<void()> when_open, when_message, when_drained, when_closed;

    void on_open(Channel& c) override {
        EXPECT_EQ(&c, channel.get());
        EXPECT_TRUE(c.is_open());
        ++opened;
        if (when_open) when_open();
    }
    void on_message(Channel&, Message message) override {
        heard.push_back(std::move(message));
        if (when_message) when_message();
    }
    void on_drained(Channel& c) override {
        EXPECT_LE(c.queued(), Channel::low_water);
        ++drained;
        if (when_drained) when_drained();
    }
    void on_closed(Channel& c, const net::Error& failure) override {
        EXPECT_FALSE(c.is_open());
        closed.push_back(failure.text());
        if (when_closed) when_closed();
    }
    [[nodiscard]] std::string why() const { return closed.empty() ? "" : closed.front(); }
};

bool says(const End& end, const char* what) {
    EXPECT_EQ(end.closed.size(), 1u) << "it is told once";
    EXPECT_NE(end.why().find(what), std::string::npos) << end.why();
    return end.why().find(what) != std::string::npos;
}

Message numbered(std::uint64_t number) { return Applied{number}; }

// About 1.2 KB.
splice::Carried large(std::uint64_t number) {
    splice::Carried c;
    c.identity = {1, number};
    c.protocol = IPPROTO_TCP;
    c.client = *net::SocketAddress::parse("192.168.0.10:40000");
    c.frontend = *net::SocketAddress::parse("192.168.0.150:443");
    c.towards_endpoint = *net::SocketAddress::parse("192.168.0.150:51000");
    c.endpoint = *net::SocketAddress::parse("10.244.2.2:9080");
    c.route = c.service = c.endpoint_name = c.kind = std::string(247, 'x');
    return c;
}

// A TLS program that is not ours, over one socket.
class Stranger {
  public:
    enum class Has { nothing, key, certificate };
    Stranger(net::Fd fd, bool server, Has has, int version = TLS1_3_VERSION) : fd_(std::move(fd)) {
        context_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
        SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
        SSL_CTX_set_max_proto_version(context_, version);
        SSL_CTX_set_app_data(context_, this);
        if (has == Has::key) SSL_CTX_set_psk_use_session_callback(context_, use_key);
        if (has == Has::certificate) use_certificate();
        // It would take less than we give.
        SSL_CTX_set_options(context_, SSL_OP_ALLOW_NO_DHE_KEX);
        ssl_ = SSL_new(context_);
        SSL_set_fd(ssl_, fd_.get());
        server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
    }
    ~Stranger() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
        ERR_clear_error();
    }
    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;

    // True: done. It may be asked until then.
    bool shake_hands() {
        ERR_clear_error();
        return SSL_do_handshake(ssl_) == 1;
    }
    void write(const Bytes& bytes) {
        std::size_t done = 0;
        EXPECT_EQ(SSL_write_ex(ssl_, bytes.data(), bytes.size(), &done), 1);
    }
    int read(Bytes& into) { return SSL_read(ssl_, into.data(), static_cast<int>(into.size())); }
    void say_goodbye() { SSL_shutdown(ssl_); }
    void close() { fd_.reset(); }
    void reset() {
        net::set_reset_on_close(fd_.get());
        fd_.reset();
    }
    [[nodiscard]] SSL* ssl() const { return ssl_; }

  private:
    // As docs/replication.md and channel.h say, not as channel.cc does.
    static int use_key(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* size,
                       SSL_SESSION** session) {
        const std::string both = "hawser replication 1\n" + secret;
        std::array<unsigned char, 32> key{};
        EVP_Digest(both.data(), both.size(), key.data(), nullptr, EVP_sha256(), nullptr);
        const std::array<unsigned char, 2> cipher{0x13, 0x01};
        *session = SSL_SESSION_new();
        SSL_SESSION_set1_master_key(*session, key.data(), key.size());
        SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, cipher.data()));
        SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
        *id = reinterpret_cast<const unsigned char*>("hawser");
        *size = 6;
        return 1;
    }
    void use_certificate() {
        EVP_PKEY* const key = EVP_EC_gen("P-256");
        X509* const certificate = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 3'600);
        X509_set_pubkey(certificate, key);
        X509_NAME* const name = X509_get_subject_name(certificate);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("hawser"),
                                   -1, -1, 0);
        X509_set_issuer_name(certificate, name);
        EXPECT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
        EXPECT_EQ(SSL_CTX_use_certificate(context_, certificate), 1);
        EXPECT_EQ(SSL_CTX_use_PrivateKey(context_, key), 1);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }
    net::Fd fd_;
    SSL_CTX* context_ = nullptr;
    SSL* ssl_ = nullptr;
};

class ChannelTest : public ::testing::Test {
  protected:
    Listener listener_;
    Key key_ = Key::from_text(secret);
    net::Loop loop_, other_loop_;
    End a_, b_;  // the initiator, the other

    // `b` on the other loop if that is asked for.
    void connect(Channel::Limits limits = patient, bool apart = false) {
        net::Loop& second = apart ? other_loop_ : loop_;
        a_.channel = Channel::connect(loop_, key_, listener_.address, limits, a_);
        b_.channel = Channel::accept(second, key_, listener_.accept(), patient, b_);
        ASSERT_TRUE(run_until({&loop_, &second}, [&] { return a_.opened + b_.opened == 2; }))
            << a_.why() << b_.why();
        EXPECT_TRUE(a_.channel->is_initiator());
        EXPECT_FALSE(b_.channel->is_initiator());
        EXPECT_EQ(a_.channel->peer(), listener_.address);
        EXPECT_EQ(b_.channel->peer().ip, listener_.address.ip);
    }
    // A stranger who dials `b`.
    std::unique_ptr<Stranger> meet(Stranger::Has has, int version = TLS1_3_VERSION) {
        auto fd = net::start_connect(listener_.address);
        EXPECT_TRUE(fd);
        b_.channel = Channel::accept(loop_, key_, listener_.accept(), patient, b_);
        auto stranger = std::make_unique<Stranger>(std::move(*fd), false, has, version);
        const bool open = run_until({&loop_}, [&] {
            const bool done = stranger->shake_hands();
            return (done && b_.opened == 1) || !b_.closed.empty();
        });
        EXPECT_TRUE(open);
        return stranger;
    }
    bool run(const std::function<bool()>& done) { return run_until({&loop_}, done); }
};

TEST_F(ChannelTest, messages_go_both_ways) {
    connect();
    a_.channel->send(Hello{protocol_version, 1, 0, 2, "a"});
    a_.channel->send(numbered(1));
    b_.channel->send(Hello{protocol_version, 2, 1, 2, "b"});
    b_.channel->send(large(7));
    EXPECT_GT(a_.channel->queued(), 0u) << "they go once a turn";
    ASSERT_TRUE(run([&] { return a_.heard.size() == 2 && b_.heard.size() == 2; }));
    EXPECT_EQ(b_.heard, (std::vector<Message>{Hello{protocol_version, 1, 0, 2, "a"}, numbered(1)}));
    EXPECT_EQ(a_.heard, (std::vector<Message>{Hello{protocol_version, 2, 1, 2, "b"}, large(7)}));
    EXPECT_EQ(a_.channel->queued(), 0u);
    EXPECT_EQ(a_.drained + b_.drained, 0) << "nothing had to wait";
    EXPECT_TRUE(a_.closed.empty() && b_.closed.empty());
}

TEST_F(ChannelTest, what_an_answer_says_goes_out) {
    b_.when_message = [&] { b_.channel->send(numbered(2)); };
    a_.when_open = [&] { a_.channel->send(numbered(1)); };
    connect();
    EXPECT_TRUE(run([&] { return a_.heard == std::vector{numbered(2)}; }));
}

// The other end has to learn why it is turned away.
TEST_F(ChannelTest, what_was_said_at_the_opening_goes_out_before_an_answer_closes_it) {
    a_.when_open = [&] { a_.channel->send(numbered(1)); };
    b_.when_open = [&] { b_.channel->send(numbered(2)); };
    b_.when_message = [&] { b_.channel->close(); };
    connect();
    EXPECT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_EQ(a_.heard, std::vector{numbered(2)});
}

TEST_F(ChannelTest, what_the_other_does_not_read_waits_and_comes_in_order) {
    constexpr std::uint64_t count = 12'000;  // 14 MB: more than the sockets' buffers
    connect(patient, true);
    for (std::uint64_t i = 0; i < count; ++i) a_.channel->send(large(i));
    std::size_t before = 0;
    for (int same = 0; same < 5; same = a_.channel->queued() == before ? same + 1 : 0) {
        before = a_.channel->queued();
        loop_.turn(milliseconds(5));
    }
    EXPECT_GT(a_.channel->queued(), Channel::low_water);
    EXPECT_EQ(a_.drained, 0);
    ASSERT_TRUE(run_until({&loop_, &other_loop_}, [&] { return b_.heard.size() == count; }));
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(std::get<splice::Carried>(b_.heard[i]), large(i));
    EXPECT_EQ(a_.drained, 1);
    EXPECT_EQ(a_.channel->queued(), 0u);
    // Again, with what is said in on_drained().
    a_.when_drained = [&] { a_.channel->send(numbered(99)); };
    for (std::uint64_t i = 0; i < 1'000; ++i) a_.channel->send(large(i));
    ASSERT_TRUE(run_until({&loop_, &other_loop_}, [&] { return b_.heard.size() == count + 1'001; }));
    EXPECT_EQ(a_.drained, 2);
    EXPECT_EQ(b_.heard.back(), numbered(99));
    EXPECT_TRUE(a_.closed.empty() && b_.closed.empty());
}

TEST_F(ChannelTest, one_peer_does_not_keep_the_loop) {
    connect(patient, true);
    for (std::uint64_t i = 0; i < 1'000; ++i) a_.channel->send(numbered(i));
    for (int i = 0; i < 5; ++i) loop_.turn(milliseconds(0));
    std::size_t before = 0;
    while (b_.heard.size() < 1'000) {
        other_loop_.turn(milliseconds(100));
        ASSERT_GT(b_.heard.size(), before) << "no turn without progress";
        // Once for the event, once for what was left.
        ASSERT_LE(b_.heard.size() - before, 128u);
        before = b_.heard.size();
    }
    for (std::uint64_t i = 0; i < 1'000; ++i) EXPECT_EQ(b_.heard[i], numbered(i));
}

TEST_F(ChannelTest, another_key_is_said_in_words_on_both_sides) {
    const Key other = Key::from_text(secret + "!");
    a_.channel = Channel::connect(loop_, key_, listener_.address, patient, a_);
    b_.channel = Channel::accept(loop_, other, listener_.accept(), patient, b_);
    ASSERT_TRUE(run([&] { return !a_.closed.empty() && !b_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "the other node has another key"));
    EXPECT_TRUE(says(b_, "the other node has another key"));
    EXPECT_EQ(a_.opened + b_.opened, 0);
}

TEST_F(ChannelTest, plain_text_is_refused) {
    auto fd = net::start_connect(listener_.address);
    ASSERT_TRUE(fd);
    b_.channel = Channel::accept(loop_, key_, listener_.accept(), patient, b_);
    const std::string_view request = "GET / HTTP/1.1\r\n\r\n";
    ASSERT_EQ(::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_TRUE(says(b_, "the other end does not speak TLS"));

    a_.channel = Channel::connect(loop_, key_, listener_.address, patient, a_);
    const net::Fd server = listener_.accept();
    const std::string_view banner = "220 mail.example.org ESMTP\r\n";
    ASSERT_EQ(::send(server.get(), banner.data(), banner.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(banner.size()));
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "the other end does not speak TLS"));
}

TEST_F(ChannelTest, a_handshake_that_goes_nowhere_ends) {
    const Channel::Limits hasty{milliseconds(30), std::chrono::seconds(20)};
    a_.channel = Channel::connect(loop_, key_, listener_.address, hasty, a_);
    const net::Fd silent = listener_.accept();
    auto fd = net::start_connect(listener_.address);
    ASSERT_TRUE(fd);
    b_.channel = Channel::accept(loop_, key_, listener_.accept(), hasty, b_);
    ASSERT_TRUE(run([&] { return !a_.closed.empty() && !b_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "the handshake took too long"));
    EXPECT_TRUE(says(b_, "the handshake took too long"));
}

TEST_F(ChannelTest, a_peer_that_leaves_during_the_handshake) {
    a_.channel = Channel::connect(loop_, key_, listener_.address, patient, a_);
    {
        // Its FIN, not a reset: what came is read.
        const net::Fd server = listener_.accept();
        loop_.turn(milliseconds(10));
        std::array<char, 4'096> hello{};
        pollfd waiting{server.get(), POLLIN, 0};
        EXPECT_EQ(::poll(&waiting, 1, 5'000), 1);
        EXPECT_GT(::recv(server.get(), hello.data(), hello.size(), 0), 0);
    }
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "closed by the other node"));
}

TEST_F(ChannelTest, silence_ends_it_and_words_do_not) {
    connect({std::chrono::seconds(20), milliseconds(400)}, true);
    const auto until = net::Clock::now() + milliseconds(600);
    while (net::Clock::now() < until) {
        b_.channel->send(numbered(1));
        other_loop_.turn(milliseconds(0));
        loop_.turn(milliseconds(5));
    }
    EXPECT_EQ(a_.why(), "") << "it heard something all the time";
    const auto heard = net::Clock::now();
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "nothing was heard of the other node for too long"));
    EXPECT_GE(net::Clock::now() - heard, milliseconds(300));
}

TEST_F(ChannelTest, a_close_is_told_to_the_other) {
    connect();
    a_.channel->close();
    a_.channel->close();
    a_.channel->send(numbered(1));
    EXPECT_FALSE(a_.channel->is_open());
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_TRUE(says(b_, "closed by the other node"));
    EXPECT_TRUE(a_.closed.empty()) << "who closes knows it";
}

TEST_F(ChannelTest, last_words_are_read) {
    connect();
    for (std::uint64_t i = 0; i < 200; ++i) a_.channel->send(numbered(i));
    ASSERT_TRUE(run([&] { return a_.channel->queued() == 0; }));
    a_.channel->close();
    for (std::uint64_t i = 0; i < 200; ++i) b_.channel->send(numbered(i));  // to nobody
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_EQ(b_.heard.size(), 200u);
}

TEST_F(ChannelTest, a_port_where_nobody_listens) {
    net::SocketAddress nowhere;
    {
        const Listener gone;
        nowhere = gone.address;
    }
    a_.channel = Channel::connect(loop_, key_, nowhere, patient, a_);
    EXPECT_TRUE(a_.closed.empty()) << "in a later turn";
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_TRUE(says(a_, ("connect to " + nowhere.text()).c_str()));
    EXPECT_TRUE(says(a_, "refused"));
}

// The kernel says so before there is a connection.
TEST_F(ChannelTest, a_connect_that_fails_at_once_is_told_later) {
    const auto broadcast = *net::SocketAddress::parse("255.255.255.255:80");
    a_.channel = Channel::connect(loop_, key_, broadcast, patient, a_);
    a_.channel->send(numbered(1));
    EXPECT_TRUE(a_.closed.empty());
    a_.when_closed = [&] { a_.channel.reset(); };
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_TRUE(says(a_, "connect to 255.255.255.255:80"));
    b_.channel = Channel::connect(loop_, key_, broadcast, patient, b_);
    b_.channel.reset();
    loop_.turn(milliseconds(5));
    EXPECT_TRUE(b_.closed.empty());
}

TEST_F(ChannelTest, what_is_agreed_on) {
    const auto stranger = meet(Stranger::Has::key);
    ASSERT_EQ(b_.opened, 1) << b_.why();
    EXPECT_STREQ(SSL_get_version(stranger->ssl()), "TLSv1.3");
    EXPECT_STREQ(SSL_get_cipher_name(stranger->ssl()), "TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(SSL_session_reused(stranger->ssl()), 1);
    EVP_PKEY* theirs = nullptr;
    EXPECT_EQ(SSL_get_peer_tmp_key(stranger->ssl(), &theirs), 1)
        << "Diffie-Hellman, though it would do without";
    EVP_PKEY_free(theirs);
    // No ticket is among what it gets.
    b_.channel->send(numbered(5));
    Bytes got(100);
    int size = 0;
    ASSERT_TRUE(run([&] { return (size = stranger->read(got)) > 0; }));
    got.resize(static_cast<std::size_t>(size));
    Bytes wanted;
    encode(numbered(5), wanted);
    EXPECT_EQ(got, wanted);
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get_session(stranger->ssl())), 0);
}

TEST_F(ChannelTest, a_peer_that_dies_in_the_middle_of_a_message) {
    for (const bool reset : {false, true}) {
        b_.closed.clear();
        b_.heard.clear();
        b_.opened = 0;
        const auto stranger = meet(Stranger::Has::key);
        Bytes bytes;
        encode(numbered(1), bytes);
        encode(large(1), bytes);
        bytes.resize(bytes.size() - 100);
        stranger->write(bytes);
        ASSERT_TRUE(run([&] { return b_.heard.size() == 1; }));
        for (int i = 0; i < 3; ++i) loop_.turn(milliseconds(1));
        if (reset)
            stranger->reset();
        else
            stranger->close();
        ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
        EXPECT_TRUE(says(b_, reset ? "Connection reset by peer" : "closed by the other node"));
        EXPECT_EQ(b_.heard.size(), 1u);
    }
}

TEST_F(ChannelTest, a_goodbye_of_tls) {
    const auto stranger = meet(Stranger::Has::key);
    Bytes bytes;
    encode(numbered(1), bytes);
    stranger->write(bytes);
    stranger->say_goodbye();
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_EQ(b_.why(), "closed by the other node");
    EXPECT_EQ(b_.heard.size(), 1u);
}

TEST_F(ChannelTest, messages_that_are_wrong_end_it) {
    const auto stranger = meet(Stranger::Has::key);
    Bytes bytes;
    encode(numbered(1), bytes);
    bytes.insert(bytes.end(), {0, 0, 0, 1, 99});
    encode(numbered(2), bytes);
    stranger->write(bytes);
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_EQ(b_.why(), "a message of the unknown kind 99");
    EXPECT_EQ(b_.heard, std::vector{numbered(1)});
}

TEST_F(ChannelTest, tls_1_2_is_refused) {
    const auto stranger = meet(Stranger::Has::key, TLS1_2_VERSION);
    EXPECT_TRUE(says(b_, "the handshake failed: unsupported protocol"));
    EXPECT_EQ(b_.opened, 0);
}

TEST_F(ChannelTest, a_client_without_the_key_is_refused) {
    const auto stranger = meet(Stranger::Has::nothing);
    EXPECT_TRUE(says(b_, "the other end offers no key"));
    EXPECT_EQ(b_.opened, 0);
}

TEST_F(ChannelTest, a_certificate_does_not_stand_for_the_key) {
    for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
        End client;
        client.channel = Channel::connect(loop_, key_, listener_.address, patient, client);
        Stranger stranger(listener_.accept(), true, Stranger::Has::certificate, version);
        ASSERT_TRUE(run([&] {
            stranger.shake_hands();
            return !client.closed.empty();
        }));
        EXPECT_EQ(client.opened, 0);
        EXPECT_TRUE(says(client, version == TLS1_3_VERSION ? "shows a certificate instead of having the key"
                                                           : "the handshake failed: "));
    }
}

TEST_F(ChannelTest, random_bytes_during_the_handshake) {
    for (unsigned round = 0; round < 50; ++round) {
        End server;
        auto fd = net::start_connect(listener_.address);
        ASSERT_TRUE(fd);
        server.channel = Channel::accept(loop_, key_, listener_.accept(), patient, server);
        Bytes bytes{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};  // looks like the beginning of a ClientHello
        bytes.resize(205);
        for (std::size_t i = round % 12; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::uint8_t>((i * 37 + round) * 101);
        EXPECT_EQ(::send(fd->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
        ::shutdown(fd->get(), SHUT_WR);
        ASSERT_TRUE(run([&] { return !server.closed.empty(); }));
        EXPECT_EQ(server.opened, 0);
    }
}

// The default action of SIGPIPE ends the process.
TEST_F(ChannelTest, writing_raises_no_signal) {
    const auto before = std::signal(SIGPIPE, SIG_DFL);
    a_.channel = Channel::connect(other_loop_, key_, listener_.address, patient, a_);
    net::Fd accepted = listener_.accept();
    const net::Fd second(::dup(accepted.get()));
    b_.channel = Channel::accept(loop_, key_, std::move(accepted), patient, b_);
    ASSERT_TRUE(run_until({&loop_, &other_loop_}, [&] { return a_.opened + b_.opened == 2; }));
    ::shutdown(second.get(), SHUT_WR);
    b_.channel->send(numbered(1));
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_TRUE(says(b_, "Broken pipe"));
    std::signal(SIGPIPE, before);
}

TEST_F(ChannelTest, the_owner_may_close_it_in_every_call) {
    // In on_open().
    a_.when_open = [&] { a_.channel->close(); };
    a_.channel = Channel::connect(loop_, key_, listener_.address, patient, a_);
    b_.channel = Channel::accept(loop_, key_, listener_.accept(), patient, b_);
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_EQ(a_.opened, 1);
    EXPECT_TRUE(a_.closed.empty());
    // In on_message(), with more behind it.
    a_ = {}, b_ = {};
    connect();
    b_.when_message = [&] { b_.channel->close(); };
    for (std::uint64_t i = 0; i < 100; ++i) a_.channel->send(numbered(i));
    ASSERT_TRUE(run([&] { return !a_.closed.empty(); }));
    EXPECT_EQ(b_.heard.size(), 1u);
    EXPECT_TRUE(b_.closed.empty());
    // In on_drained().
    a_ = {}, b_ = {};
    connect();
    a_.when_drained = [&] { a_.channel->close(); };
    for (std::uint64_t i = 0; i < 1'000; ++i) a_.channel->send(large(i));
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_EQ(a_.drained, 1);
    EXPECT_TRUE(a_.closed.empty());
}

TEST_F(ChannelTest, the_owner_may_destroy_it_when_it_is_closed) {
    // By a timer, by a read, and by a message that is wrong.
    a_.when_closed = [&] { a_.channel.reset(); };
    b_.when_closed = [&] { b_.channel.reset(); };
    connect({std::chrono::seconds(20), milliseconds(20)});
    ASSERT_TRUE(run([&] { return !a_.channel && !b_.channel; }));
    EXPECT_TRUE(says(a_, "nothing was heard"));
    EXPECT_TRUE(says(b_, "closed by the other node"));
    b_.closed.clear();
    b_.opened = 0;
    const auto stranger = meet(Stranger::Has::key);
    stranger->write({0, 0, 0, 0});
    ASSERT_TRUE(run([&] { return !b_.channel; }));
    EXPECT_TRUE(says(b_, "a message of 0 bytes"));
}

TEST_F(ChannelTest, destroying_it_with_work_left_does_no_harm) {
    connect();
    for (std::uint64_t i = 0; i < 100; ++i) a_.channel->send(large(i));
    a_.channel.reset();
    ASSERT_TRUE(run([&] { return !b_.closed.empty(); }));
    EXPECT_TRUE(a_.closed.empty());
}

// ---- the file ----

class KeyTest : public ::testing::Test {
  protected:
    std::string file_ = ::testing::TempDir() + "hawser_key_" + std::to_string(::getpid());
    ~KeyTest() override { ::unlink(file_.c_str()); }
    net::Result<Key> read(const std::string& content) {
        std::ofstream(file_, std::ios::binary) << content;
        return Key::read(file_);
    }
    std::string why(const std::string& content) {
        const auto key = read(content);
        if (key) return "read";
        const std::string text = key.error().text();
        EXPECT_NE(text.find(file_), std::string::npos) << text;
        return text.substr(std::min(text.size(), text.find(file_) + file_.size()));
    }
};

TEST_F(KeyTest, files_that_hold_none) {
    const auto missing = Key::read(file_ + "/no/such");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().text().find(file_), std::string::npos);
    const auto folder = Key::read(::testing::TempDir());
    ASSERT_FALSE(folder);
    EXPECT_NE(folder.error().text().find("directory"), std::string::npos) << folder.error().text();
    const std::string wants = " characters: a key has at least 32, as `openssl rand -hex 32` prints";
    EXPECT_EQ(why(""), " has 0" + wants);
    EXPECT_EQ(why(" \n"), " has 0" + wants);
    EXPECT_EQ(why(std::string(31, 'k') + "\n\n\n"), " has 31" + wants);
    EXPECT_EQ(why("\t" + std::string(32, 'k') + "\r\n"), "read");
    EXPECT_EQ(why(std::string(4'096, 'k')), "read");
    EXPECT_EQ(why(std::string(4'097, 'k')).substr(0, 22), " is larger than 4 KiB:");
    EXPECT_EQ(why(std::string(100'000, '\n')).substr(0, 22), " is larger than 4 KiB:");
}

TEST_F(KeyTest, white_space_around_it_is_no_part_of_it) {
    auto key = read("  " + secret + "\n");
    ASSERT_TRUE(key);
    const Key same = Key::from_text(secret);
    const Key moved = std::move(*key);
    net::Loop loop;
    const Listener listener;
    End a, b;
    a.channel = Channel::connect(loop, moved, listener.address, patient, a);
    b.channel = Channel::accept(loop, same, listener.accept(), patient, b);
    EXPECT_TRUE(run_until({&loop}, [&] { return a.opened + b.opened == 2; })) << a.why() << b.why();
}

}  // namespace
}  // namespace hawser::replication
