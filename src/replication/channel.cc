// SPDX-License-Identifier: Apache-2.0
#include "replication/channel.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "net/socket.h"

namespace hawser::replication {

namespace {

constexpr std::string_view label = "hawser replication 1\n";
constexpr std::string_view identity = "hawser";
constexpr std::size_t shortest_secret = 32, largest_file = 4'096;
constexpr std::array<unsigned char, 2> aes_128_gcm_sha256{0x13, 0x01};
constexpr std::size_t most_a_turn = 256 * 1024;  // bytes

net::Error error(std::string text, int code = 0) {
    net::Error out;
    out.code = code;
    out.message = std::move(text);
    return out;
}

struct SessionFree {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

// ---- a BIO that never raises SIGPIPE ----

int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int write_socket(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t done = ::send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(done);
}

int read_socket(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t done = ::recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    return static_cast<int>(done);
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* socket_method() {
    static const BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hawser socket");
        BIO_meth_set_write(made, write_socket);
        BIO_meth_set_read(made, read_socket);
        BIO_meth_set_ctrl(made, control);
        return made;
    }();
    return method;
}

}  // namespace

// ---- the key ----

struct Key::Contexts {
    std::array<unsigned char, 32> secret{};
    SSL_CTX* client = nullptr;
    SSL_CTX* server = nullptr;
    ~Contexts() {
        SSL_CTX_free(client);
        SSL_CTX_free(server);
        OPENSSL_cleanse(secret.data(), secret.size());
    }
    [[nodiscard]] SSL_SESSION* session(SSL* ssl) const {
        std::unique_ptr<SSL_SESSION, SessionFree> made(SSL_SESSION_new());
        const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256.data());
        if (!made || cipher == nullptr || SSL_SESSION_set1_master_key(made.get(), secret.data(), secret.size()) != 1 ||
            SSL_SESSION_set_cipher(made.get(), cipher) != 1 ||
            SSL_SESSION_set_protocol_version(made.get(), TLS1_3_VERSION) != 1)
            return nullptr;
        return made.release();
    }
    static const Contexts& of(SSL* ssl) {
        return *static_cast<const Contexts*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    }
    static int use(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* size, SSL_SESSION** session) {
        *session = of(ssl).session(ssl);
        *id = reinterpret_cast<const unsigned char*>(identity.data());
        *size = identity.size();
        return *session != nullptr ? 1 : 0;
    }
    static int find(SSL* ssl, const unsigned char* id, std::size_t size, SSL_SESSION** session) {
        *session = nullptr;
        if (size == identity.size() && std::memcmp(id, identity.data(), size) == 0) *session = of(ssl).session(ssl);
        return 1;
    }
    SSL_CTX* make(bool is_server) {
        SSL_CTX* const made = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
        if (made == nullptr) return nullptr;
        SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION);
        SSL_CTX_set_max_proto_version(made, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set_options(made, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(made, 0);
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
        // No certificate is good.
        SSL_CTX_set_verify(made, is_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_app_data(made, this);
        if (is_server)
            SSL_CTX_set_psk_find_session_callback(made, find);
        else
            SSL_CTX_set_psk_use_session_callback(made, use);
        return made;
    }
};

Key::~Key() = default;
Key::Key(Key&&) noexcept = default;
Key& Key::operator=(Key&&) noexcept = default;

Key Key::from_text(std::string_view secret) {
    Key key;
    key.contexts_ = std::make_unique<Contexts>();
    std::string both(label);
    both += secret;
    unsigned size = 0;
    EVP_Digest(both.data(), both.size(), key.contexts_->secret.data(), &size, EVP_sha256(), nullptr);
    OPENSSL_cleanse(both.data(), both.size());
    key.contexts_->client = key.contexts_->make(false);
    key.contexts_->server = key.contexts_->make(true);
    return key;
}

net::Result<Key> Key::read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return net::system_error("open " + file, errno);
    std::array<char, largest_file + 1> text{};
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return net::system_error("read " + file, errno);
    std::string_view secret(text.data(), static_cast<std::size_t>(in.gcount()));
    const bool too_large = secret.size() > largest_file;
    constexpr std::string_view space = " \t\r\n";
    const auto first = secret.find_first_not_of(space);
    secret = first == std::string_view::npos ? std::string_view() : secret.substr(first);
    secret = secret.substr(0, secret.find_last_not_of(space) + 1);
    net::Result<Key> out = error("");
    if (too_large)
        out = error(file + " is larger than 4 KiB: a key is at least 32 characters, as `openssl rand -hex 32` prints");
    else if (secret.size() < shortest_secret)
        out = error(file + " has " + std::to_string(secret.size()) +
                    " characters: a key has at least 32, as `openssl rand -hex 32` prints");
    else
        out = from_text(secret);
    OPENSSL_cleanse(text.data(), text.size());
    return out;
}

// ---- the channel ----

void Channel::SslFree::operator()(::ssl_st* ssl) const { SSL_free(ssl); }

Channel::Channel(net::Loop& loop, net::Fd fd, const net::SocketAddress& peer, bool initiator, Limits limits, Owner& owner)
    : loop_(loop), fd_(std::move(fd)), peer_(peer), initiator_(initiator), limits_(limits), owner_(owner) {}

Channel::~Channel() { close(); }

void Channel::start(ssl_ctx_st* context) {
    net::set_no_delay(fd_.get());
    ssl_.reset(SSL_new(context));
    BIO* const bio = BIO_new(socket_method());
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd_.get())));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    initiator_ ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
    last_heard_ = loop_.now();
    loop_.timers().set(*this, loop_.now() + limits_.handshake);
    if (auto watched = loop_.watch(fd_.get(), *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP); !watched)
        fail_soon(watched.error());
}

std::unique_ptr<Channel> Channel::connect(net::Loop& loop, const Key& key, const net::SocketAddress& to, Limits limits,
                                          Owner& owner) {
    auto fd = net::start_connect(to);
    std::unique_ptr<Channel> out(
        new Channel(loop, fd ? std::move(*fd) : net::Fd(), to, true, limits, owner));
    out->connecting_ = true;
    if (out->fd_.valid())
        out->start(key.contexts_->client);
    else
        out->fail_soon(fd.error());
    return out;
}

std::unique_ptr<Channel> Channel::accept(net::Loop& loop, const Key& key, net::Fd connection, Limits limits,
                                         Owner& owner) {
    const auto peer = net::peer_address(connection.get());
    std::unique_ptr<Channel> out(new Channel(loop, std::move(connection), peer, false, limits, owner));
    out->start(key.contexts_->server);
    return out;
}

void Channel::close() {
    cancel();
    closed_ = true;
    open_ = false;
    if (!fd_.valid()) return;
    loop_.unwatch(fd_.get(), *this);
    ssl_.reset();
    fd_.reset();
}

// Not while a caller of this channel is still at work with it.
void Channel::fail_soon(net::Error failure) {
    failure_ = std::move(failure);
    loop_.timers().set(*this, loop_.now());
}

void Channel::fail(const net::Error& failure) {
    if (closed_) return;
    close();
    owner_.on_closed(*this, failure);  // it may be gone after this
}

net::Error Channel::reason(int code) const {
    const int system = errno;
    const unsigned long queued = ERR_get_error();
    ERR_clear_error();
    if (!open_ && queued != 0) {
        const int why = ERR_GET_REASON(queued);
        if (why == SSL_R_BINDER_DOES_NOT_VERIFY || why == SSL_R_TLSV1_ALERT_DECRYPT_ERROR ||
            why == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER || why == SSL_R_BAD_PSK)
            return error("the other node has another key");
        std::array<char, 256> text{};
        ERR_error_string_n(queued, text.data(), text.size());
        return error(std::string("the handshake failed: ") + text.data());
    }
    if (code == SSL_ERROR_ZERO_RETURN || (queued == 0 && system == 0)) return error("closed by the other node");
    if (queued != 0) {
        std::array<char, 256> text{};
        ERR_error_string_n(queued, text.data(), text.size());
        return ERR_GET_REASON(queued) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? error("closed by the other node")
                                                                            : error(text.data());
    }
    return net::system_error("connection to " + peer_.text(), system);
}

// True: it is done. False: it waits, or has failed and told so.
bool Channel::shake_hands() {
    if (connecting_) {
        int failed = 0;
        socklen_t size = sizeof failed;
        ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &failed, &size);
        if (failed != 0) {
            fail(net::system_error("connect to " + peer_.text(), failed));
            return false;
        }
    }
    ERR_clear_error();
    errno = 0;
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) {
        connecting_ = false;
        if (SSL_session_reused(ssl_.get()) != 1) {
            fail(error("the other node has not proved that it has the key"));
            return false;
        }
        open_ = true;
        loop_.timers().set(*this, loop_.now() + limits_.silence);
        owner_.on_open(*this);
        return !closed_;
    }
    const int code = SSL_get_error(ssl_.get(), done);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return false;
    if (connecting_ && errno == ENOTCONN) return false;
    fail(reason(code));
    return false;
}

void Channel::on_events(std::uint32_t) {
    if (closed_) return;
    if (!open_ && !shake_hands()) return;
    if (!flush()) return;
    read();
}

void Channel::read() {
    std::size_t got = 0;
    while (!closed_ && got < most_a_turn) {
        // Its scratch is everybody's within one call; messages are made of a copy.
        ERR_clear_error();
        errno = 0;
        const int size = SSL_read(ssl_.get(), loop_.scratch(), 16 * 1024);
        if (size <= 0) {
            const int code = SSL_get_error(ssl_.get(), size);
            if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return;
            return fail(reason(code));
        }
        got += static_cast<std::size_t>(size);
        last_heard_ = loop_.now();
        decoder_.feed({reinterpret_cast<const std::uint8_t*>(loop_.scratch()), static_cast<std::size_t>(size)});
        while (!closed_) {
            auto message = decoder_.next();
            if (!message) return fail(message.error());
            if (!*message) break;
            owner_.on_message(*this, std::move(**message));
        }
    }
    if (!closed_) loop_.again(*this);
}

void Channel::send(const Message& message) {
    if (closed_) return;
    encode(message, out_);
    if (flushes_soon_) return;
    flushes_soon_ = true;
    loop_.again(*this);  // with all that this turn has to say
}

std::size_t Channel::queued() const { return out_.size() - written_; }

// False: it has failed, and told so.
bool Channel::flush() {
    flushes_soon_ = false;
    const bool was_full = queued() > low_water;
    while (written_ < out_.size()) {
        ERR_clear_error();
        errno = 0;
        const int size = SSL_write(ssl_.get(), out_.data() + written_,
                                   static_cast<int>(std::min<std::size_t>(out_.size() - written_, 16 * 1024)));
        if (size <= 0) {
            const int code = SSL_get_error(ssl_.get(), size);
            if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) break;
            fail(reason(code));
            return false;
        }
        written_ += static_cast<std::size_t>(size);
    }
    if (written_ == out_.size()) {
        out_.clear();
        written_ = 0;
    } else if (written_ > out_.size() / 2) {
        out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(written_));
        written_ = 0;
    }
    if (was_full && queued() <= low_water) owner_.on_drained(*this);
    return !closed_;
}

void Channel::on_timer() {
    if (failure_) return fail(*std::exchange(failure_, std::nullopt));
    if (!open_) return fail(error("the handshake took too long"));
    const auto due = last_heard_ + limits_.silence;
    if (loop_.now() >= due) return fail(error("nothing was heard of the other node for too long"));
    loop_.timers().set(*this, due);
}

}  // namespace hawser::replication
