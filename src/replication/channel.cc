// SPDX-License-Identifier: Apache-2.0
#include "replication/channel.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/socket.h"

namespace hawser::replication {

namespace {

constexpr std::string_view label = "hawser replication 1\n";
constexpr std::string_view identity = "hawser";
constexpr std::size_t shortest_secret = 32, largest_file = 4'096;
constexpr std::array<unsigned char, 2> aes_128_gcm_sha256{0x13, 0x01};
// Of one peer in one turn, so that others get theirs.
constexpr std::size_t most_bytes_a_turn = 256 * 1024, most_messages_a_turn = 64;
constexpr std::size_t most_at_once = 16 * 1024;   // a TLS record
constexpr std::size_t most_kept = 1'024 * 1'024;  // memory of an empty queue

net::Error error(std::string text) {
    net::Error out;
    out.message = std::move(text);
    return out;
}

struct SessionFree {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

// A buffer for a secret, which does not outlive it.
struct SecretText {
    std::array<char, largest_file + 1> text{};
    SecretText() = default;
    SecretText(const SecretText&) = delete;
    SecretText& operator=(const SecretText&) = delete;
    ~SecretText() { OPENSSL_cleanse(text.data(), text.size()); }
};

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
        if (!made || cipher == nullptr ||
            SSL_SESSION_set1_master_key(made.get(), secret.data(), secret.size()) != 1 ||
            SSL_SESSION_set_cipher(made.get(), cipher) != 1 ||
            SSL_SESSION_set_protocol_version(made.get(), TLS1_3_VERSION) != 1)
            return nullptr;
        return made.release();
    }
    static const Contexts& of(SSL* ssl) {
        return *static_cast<const Contexts*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    }
    static int use(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* size,
                   SSL_SESSION** session) {
        *session = of(ssl).session(ssl);
        *id = reinterpret_cast<const unsigned char*>(identity.data());
        *size = identity.size();
        return *session != nullptr ? 1 : 0;
    }
    static int find(SSL* ssl, const unsigned char* id, std::size_t size, SSL_SESSION** session) {
        *session = nullptr;
        if (size == identity.size() && std::memcmp(id, identity.data(), size) == 0)
            *session = of(ssl).session(ssl);
        return 1;
    }
    SSL_CTX* make(bool is_server) {
        SSL_CTX* const made = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
        if (made == nullptr) return nullptr;
        if (SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) != 1 ||
            SSL_CTX_set_max_proto_version(made, TLS1_3_VERSION) != 1 ||
            SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256") != 1 ||
            SSL_CTX_set_num_tickets(made, 0) != 1) {
            SSL_CTX_free(made);
            return nullptr;
        }
        SSL_CTX_set_options(made, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
        // Whatever the machine's openssl.cnf says: a key that leaks must not open recordings.
        SSL_CTX_clear_options(made, SSL_OP_ALLOW_NO_DHE_KEX);
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                   SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(made, 1);  // a record in one call, not its header and its body
        // No certificate is good: no authority is trusted.
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
    const net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return net::system_error("open " + file, errno);
    SecretText buffer;
    std::size_t size = 0;
    while (size < buffer.text.size()) {
        const ssize_t got = ::read(fd.get(), buffer.text.data() + size, buffer.text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return net::system_error("read " + file, errno);
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size > largest_file)
        return error(
            file +
            " is larger than 4 KiB: a key is at least 32 characters, as `openssl rand -hex 32` prints");
    constexpr std::string_view space = " \t\r\n";
    std::string_view secret(buffer.text.data(), size);
    secret.remove_prefix(std::min(secret.find_first_not_of(space), secret.size()));
    secret = secret.substr(0, secret.find_last_not_of(space) + 1);
    if (secret.size() < shortest_secret)
        return error(file + " has " + std::to_string(secret.size()) +
                     " characters: a key has at least 32, as `openssl rand -hex 32` prints");
    return from_text(secret);
}

// ---- the channel ----

// A BIO that never raises SIGPIPE, and remembers what happened.
struct Channel::Wire {
    int fd = -1;
    bool heard = false;  // bytes have come, until somebody asks
    bool ended = false;  // FIN
    int failure = 0;     // errno

    static Wire& of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }
    int failed(BIO* bio, bool writing) {
        if (errno != EAGAIN)
            failure = errno;
        else if (writing)
            BIO_set_retry_write(bio);
        else
            BIO_set_retry_read(bio);
        return -1;
    }
    static int write(BIO* bio, const char* data, int size) {
        Wire& wire = of(bio);
        BIO_clear_retry_flags(bio);
        ssize_t done = -1;
        do {
            done = ::send(wire.fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
        } while (done < 0 && errno == EINTR);
        return done < 0 ? wire.failed(bio, true) : static_cast<int>(done);
    }
    static int read(BIO* bio, char* data, int size) {
        Wire& wire = of(bio);
        BIO_clear_retry_flags(bio);
        ssize_t done = -1;
        do {
            done = ::recv(wire.fd, data, static_cast<std::size_t>(size), 0);
        } while (done < 0 && errno == EINTR);
        if (done > 0) wire.heard = true;
        if (done == 0) wire.ended = true;
        return done < 0 ? wire.failed(bio, false) : static_cast<int>(done);
    }
    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return of(bio).ended ? 1 : 0;
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }
    static const BIO_METHOD* method() {
        static const BIO_METHOD* const method = [] {
            BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hawser socket");
            if (made == nullptr) return made;
            BIO_meth_set_write(made, write);
            BIO_meth_set_read(made, read);
            BIO_meth_set_ctrl(made, control);
            return made;
        }();
        return method;
    }
};

void Channel::SslFree::operator()(::ssl_st* ssl) const { SSL_free(ssl); }

Channel::Channel(net::Loop& loop, net::Fd fd, const net::SocketAddress& peer, bool initiator, Limits limits,
                 Owner& owner)
    : loop_(loop),
      fd_(std::move(fd)),
      peer_(peer),
      initiator_(initiator),
      limits_(limits),
      owner_(owner),
      wire_(std::make_unique<Wire>()) {}

Channel::~Channel() { close(); }

void Channel::start(ssl_ctx_st* context) {
    net::set_no_delay(fd_.get());
    wire_->fd = fd_.get();
    ssl_.reset(context != nullptr ? SSL_new(context) : nullptr);
    BIO* const bio = ssl_ && Wire::method() != nullptr ? BIO_new(Wire::method()) : nullptr;
    if (bio == nullptr) {
        ERR_clear_error();
        return fail_soon(error("OpenSSL has no TLS 1.3 with a pre-shared key"));
    }
    BIO_set_data(bio, wire_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    if (initiator_)
        SSL_set_connect_state(ssl_.get());
    else
        SSL_set_accept_state(ssl_.get());
    loop_.timers().set(*this, loop_.now() + limits_.handshake);
    if (auto watched = loop_.watch(fd_.get(), *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP); !watched)
        fail_soon(watched.error());
}

std::unique_ptr<Channel> Channel::connect(net::Loop& loop, const Key& key, const net::SocketAddress& to,
                                          Limits limits, Owner& owner) {
    auto fd = net::start_connect(to);
    std::unique_ptr<Channel> out(new Channel(loop, fd ? std::move(*fd) : net::Fd(), to, true, limits, owner));
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
    if (std::exchange(closed_, true)) return;
    open_ = false;
    cancel();
    loop_.unwatch(fd_.get(), *this);
    ssl_.reset();
    fd_.reset();
}

// Not while a caller of this channel is still at work with it: timers that are due now fire in this turn.
void Channel::fail_soon(net::Error failure) {
    failure_ = std::move(failure);
    loop_.timers().set(*this, loop_.now() + std::chrono::nanoseconds(1));
}

void Channel::fail(const net::Error& failure) {
    if (closed_) return;
    close();
    owner_.on_closed(*this, failure);  // it may be gone after this
}

// Of a call of OpenSSL that has failed for good.
net::Error Channel::reason(int code) const {
    const unsigned long queued = ERR_peek_error();
    ERR_clear_error();
    const int why = ERR_GET_LIB(queued) == ERR_LIB_SSL ? ERR_GET_REASON(queued) : 0;
    if (!open_) {
        switch (why) {
            case SSL_R_BINDER_DOES_NOT_VERIFY:         // we say so as the server
            case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:  // and hear it as the client,
            case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:      // or this, of other implementations
                return error("the other node has another key");
            case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:  // there is no certificate to sign with instead
                return error("the other end offers no key");
            case SSL_R_CERTIFICATE_VERIFY_FAILED:
                return error("the other end shows a certificate instead of having the key");
            case SSL_R_HTTP_REQUEST:
            case SSL_R_HTTPS_PROXY_REQUEST:
            case SSL_R_WRONG_VERSION_NUMBER:
                return error("the other end does not speak TLS");
            default:
                break;
        }
    }
    if (queued != 0 && why != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        const char* const text = ERR_reason_error_string(queued);
        return error(std::string(open_ ? "TLS failed: " : "the handshake failed: ") +
                     (text != nullptr ? text : "unknown error"));
    }
    if (wire_->failure != 0) return net::system_error("connection to " + peer_.text(), wire_->failure);
    if (wire_->ended || code == SSL_ERROR_ZERO_RETURN)
        return error(open_ ? "closed by the other node" : "closed by the other node during the handshake");
    return error("TLS failed");
}

// Whether TCP's handshake is done. False: it is not yet, or has failed, which was told.
bool Channel::is_connected(std::uint32_t events) {
    if (!connecting_) return true;
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return false;
    int failure = 0;
    socklen_t size = sizeof failure;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
    connecting_ = false;
    if (failure == 0) return true;
    fail(net::system_error("connect to " + peer_.text(), failure));
    return false;
}

// True: it is done. False: it waits, or has failed, which was told.
bool Channel::shake_hands() {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    if (done != 1) {
        const int code = SSL_get_error(ssl_.get(), done);
        if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE) fail(reason(code));
        return false;
    }
    // OpenSSL calls it a session that is reused, which only the key can have made.
    if (SSL_session_reused(ssl_.get()) != 1) {
        fail(error("the other node has not proved that it has the key"));
        return false;
    }
    open_ = true;
    last_heard_ = loop_.now();
    loop_.timers().set(*this, last_heard_ + limits_.silence);
    owner_.on_open(*this);
    return !closed_;
}

void Channel::on_events(std::uint32_t events) {
    if (closed_ || failure_) return;
    if (!is_connected(events)) return;
    if (!open_ && !shake_hands()) return;
    // First what was said until now, for the owner may close it when it has read. If the other is gone, its
    // last words are read all the same.
    flush(false);
    if (!closed_ && read()) flush(true);
}

// False: it is closed.
bool Channel::read() {
    std::size_t bytes = 0, messages = 0;
    for (;;) {
        for (; messages < most_messages_a_turn; ++messages) {
            auto message = decoder_.next();
            if (!message) {
                fail(message.error());
                return false;
            }
            if (!*message) break;
            owner_.on_message(*this, std::move(**message));
            if (closed_) return false;
        }
        if (messages >= most_messages_a_turn || bytes >= most_bytes_a_turn) {
            loop_.again(*this);
            return true;
        }
        ERR_clear_error();
        // The decoder copies it before anybody else on this loop may want that memory.
        const int size = SSL_read(ssl_.get(), loop_.scratch(), most_at_once);
        if (std::exchange(wire_->heard, false)) last_heard_ = loop_.now();
        if (size <= 0) {
            const int code = SSL_get_error(ssl_.get(), size);
            if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return true;
            fail(reason(code));
            return false;
        }
        bytes += static_cast<std::size_t>(size);
        decoder_.feed(
            {reinterpret_cast<const std::uint8_t*>(loop_.scratch()), static_cast<std::size_t>(size)});
    }
}

void Channel::send(const Message& message) {
    if (closed_) return;
    encode(message, out_);
    if (open_) loop_.again(*this);  // goes out with all that this turn has to say
}

std::size_t Channel::queued() const { return out_.size() - written_; }

// `tells`: of a failure. If it does not, the next call does.
void Channel::flush(bool tells) {
    const bool was_full = queued() > low_water;
    for (std::size_t bytes = 0; queued() > 0;) {
        if (bytes >= most_bytes_a_turn) {
            loop_.again(*this);
            break;
        }
        ERR_clear_error();
        const int size =
            SSL_write(ssl_.get(), out_.data() + written_, static_cast<int>(std::min(queued(), most_at_once)));
        if (size <= 0) {
            const int code = SSL_get_error(ssl_.get(), size);
            if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) break;
            if (tells) fail(reason(code));
            return;
        }
        bytes += static_cast<std::size_t>(size);
        written_ += static_cast<std::size_t>(size);
    }
    // What was written goes once it is the greater part: no byte is moved more often than it is written.
    if (written_ > out_.size() / 2 || queued() == 0) {
        out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(written_));
        written_ = 0;
        if (out_.empty() && out_.capacity() > most_kept) out_.shrink_to_fit();
    }
    if (was_full && queued() <= low_water) owner_.on_drained(*this);
}

void Channel::on_timer() {
    if (failure_) return fail(*std::exchange(failure_, std::nullopt));
    if (!open_) return fail(error("the handshake took too long"));
    const auto due = last_heard_ + limits_.silence;
    if (loop_.now() >= due) return fail(error("nothing was heard of the other node for too long"));
    loop_.timers().set(*this, due);
}

}  // namespace hawser::replication
