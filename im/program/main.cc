// SPDX-License-Identifier: Apache-2.0
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <fstream>
#include <iostream>
#include <sstream>

#include "im/nats_store.h"
#include "im/server.h"
#include "im/sqlite_store.h"

namespace {

namespace asio = boost::asio;
namespace im = hawser::im;
namespace net = hawser::net;

constexpr int bad_input = 1;
constexpr int bad_usage = 2;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "hawser-im";
}

struct Options {
    std::string listen = "0.0.0.0:9080";
    std::string data;
    std::string nats;
    int nats_replicas = 1;
    std::string name = host_name();
    bool demo = false;
    std::string secret_file;
    std::string page;
    std::vector<std::string> origins;
    std::vector<std::string> rooms{"general", "random"};
    std::string log_level = "info";
    double token_hours = 12;
    double drain_seconds = 2;
    im::Limits limits;
    // hawser-im token
    std::string token_name;
    bool token_service = false;
};

void add_seconds(CLI::App& app, const std::string& flag, std::chrono::milliseconds& value,
                 const std::string& help) {
    const auto set = [&value](double seconds) {
        value = std::chrono::milliseconds(static_cast<long>(seconds * 1000));
    };
    app.add_option_function<double>(flag, set, help)->check(CLI::Range(0.05, 86'400.0))->type_name("SECONDS");
}

void describe(CLI::App& app, Options& options) {
    app.add_option("--listen", options.listen, "address and port; port 0 takes a free one")
        ->capture_default_str();
    app.add_option("--data", options.data,
                   "SQLite file with the messages (default hawser-im.db; with --nats: this replica's view, "
                   "by default a temporary file)");
    app.add_option("--nats", options.nats,
                   "share one chat with other replicas through NATS JetStream at URL[,URL]");
    app.add_option("--nats-replicas", options.nats_replicas, "copies of the stream in a NATS cluster")
        ->check(CLI::Range(1, 5))
        ->capture_default_str();
    app.add_option("--name", options.name, "name of this replica, shown to clients")->capture_default_str();
    app.add_flag("--demo", options.demo, "give a token to everyone who asks");
    app.add_option("--secret-file", options.secret_file,
                   "file with the secret that signs tokens, 16 bytes or more")
        ->check(CLI::ExistingFile);
    app.add_option("--token-hours", options.token_hours, "how long a token is good")
        ->check(CLI::Range(0.0001, 87'600.0))
        ->capture_default_str();
    app.add_option("--page", options.page, "serve the chat page from this directory")
        ->check(CLI::ExistingDirectory);
    app.add_option("--origin", options.origins, "allow browsers only from this origin (several)");
    app.add_option("--room", options.rooms, "a room that is always listed (several)")->capture_default_str();
    app.add_option("--drain-seconds", options.drain_seconds, "spread of the Close frames on TERM")
        ->check(CLI::Range(0.0, 3600.0))
        ->capture_default_str();
    app.add_option("--log-level", options.log_level)
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
        ->capture_default_str();
    auto& limits = options.limits;
    app.add_option("--max-connections", limits.max_connections)->capture_default_str();
    app.add_option("--max-frame-bytes", limits.max_frame_bytes, "of one WebSocket message")
        ->capture_default_str();
    app.add_option("--max-rooms", limits.max_rooms, "direct ones included")->capture_default_str();
    app.add_option("--rate", limits.rate, "requests a second of one session, 0: unlimited")
        ->capture_default_str();
    app.add_option("--burst", limits.burst, "requests of one session at once")->capture_default_str();
    app.add_option("--strikes", limits.strikes, "refused requests in a row before the session is closed")
        ->capture_default_str();
    app.add_option("--queue-bytes", limits.queue_bytes, "waiting to be written to one client")
        ->capture_default_str();
    add_seconds(app, "--write-timeout", limits.write_timeout,
                "a client that reads nothing for so long is cut");
    add_seconds(app, "--handshake-timeout", limits.handshake_timeout, "for the headers of a request");
    add_seconds(app, "--auth-timeout", limits.auth_timeout, "from the handshake to the sign-in");
    add_seconds(app, "--idle-timeout", limits.idle_timeout,
                "a client that does not even answer pings is cut");
}

net::Result<std::string> read_secret(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    auto secret = text.str();
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
    if (file && secret.size() >= 16) return secret;
    net::Error error;
    error.message = path + " does not hold a secret of 16 bytes or more";
    return error;
}

std::int64_t expiry(double hours) {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count() +
           static_cast<std::int64_t>(hours * 3600);
}

int print_token(const Options& options) {
    const auto secret = read_secret(options.secret_file);
    if (!secret) {
        std::cerr << "hawser-im: " << secret.error().text() << "\n";
        return bad_input;
    }
    im::Claims claims;
    claims.name = options.token_name;
    claims.scope = options.token_service ? im::Scope::service : im::Scope::user;
    claims.expires_s = expiry(options.token_hours);
    std::cout << im::issue_token(claims, *secret) << "\n";
    return 0;
}

net::Result<std::unique_ptr<im::Store>> open_store(const Options& options, im::Store::Post post) {
    if (options.nats.empty()) {
        auto store =
            im::SqliteStore::open(options.data.empty() ? "hawser-im.db" : options.data, std::move(post));
        if (!store) return store.error();
        return std::unique_ptr<im::Store>(std::move(*store));
    }
    auto store = im::NatsStore::open({.url = options.nats,
                                      .pod = options.name,
                                      .replicas = options.nats_replicas,
                                      .view_path = options.data},
                                     std::move(post));
    if (!store) return store.error();
    return std::unique_ptr<im::Store>(std::move(*store));
}

// Runs the service until a signal ends it, in the order: not ready, sessions closed, store finished, answers
// written.
class Program {
  public:
    explicit Program(Options options)
        : options_(std::move(options)),
          metrics_(options_.name),
          signals_(io_, SIGTERM, SIGINT),
          timer_(io_) {}

    int run() {
        const auto address = net::SocketAddress::parse(options_.listen);
        if (!address) return fail(bad_usage, "--listen " + options_.listen + " is not ADDRESS:PORT");
        auto store =
            open_store(options_, [this](std::function<void()> job) { asio::post(io_, std::move(job)); });
        if (!store) return fail(bad_input, store.error().text());
        store_ = std::move(*store);
        const auto secret = options_.secret_file.empty() ? store_->shared_secret(im::random_hex(32))
                                                         : read_secret(options_.secret_file);
        if (!secret) return fail(bad_input, secret.error().text());

        hub_.emplace(im::Hub::Options{options_.name, *secret, options_.rooms, options_.limits}, *store_,
                     metrics_, [] { return im::Hub::Clock::now(); });
        api_.emplace(im::Api::Options{.secret = *secret,
                                      .demo = options_.demo,
                                      .token_life = std::chrono::seconds(
                                          static_cast<long>(options_.token_hours * 3600))},
                     *hub_, *store_, metrics_, im::Page(options_.page));
        site_.emplace(im::Site{*hub_, *api_, metrics_, options_.limits, options_.origins});
        server_.emplace(io_, *site_);
        const auto bound = server_->listen(*address);
        if (!bound) return fail(bad_input, bound.error().text());
        std::cout << "hawser-im listening on " << bound->text() << std::endl;
        spdlog::info(
            "pod {} on {}, messages in {}", options_.name, bound->text(),
            options_.nats.empty() ? (options_.data.empty() ? "hawser-im.db" : options_.data) : options_.nats);
        store_->start(hub_->events());
        wait_for_signal();
        tick();
        io_.run();
        store_->stop();
        return 0;
    }

  private:
    static int fail(int code, const std::string& why) {
        std::cerr << "hawser-im: " << why << "\n";
        return code;
    }

    void wait_for_signal() {
        signals_.async_wait([this](boost::system::error_code failed, int signal) {
            if (failed) return;
            if (hub_->draining()) {  // the second one does not wait
                io_.stop();
                return;
            }
            spdlog::info("signal {}: going down", signal);
            const auto spread = std::chrono::milliseconds(static_cast<long>(options_.drain_seconds * 1000));
            hub_->drain(spread);
            give_up_ = im::Hub::Clock::now() + spread + im::Hub::last_words + std::chrono::seconds(5);
            wait_for_signal();
        });
    }

    void tick() {
        hub_->tick();
        const auto now = im::Hub::Clock::now();
        if (hub_->draining() && (now >= give_up_ || (hub_->empty() && site_->answering == 0))) {
            spdlog::info("gone down");
            server_->stop();
            io_.stop();
            return;
        }
        timer_.expires_after(std::chrono::milliseconds(50));
        timer_.async_wait([this](boost::system::error_code failed) {
            if (!failed) tick();
        });
    }

    // In the order of dependence: connections live in io_, and refer to what stands before it until they are
    // gone.
    Options options_;
    im::Metrics metrics_;
    std::unique_ptr<im::Store> store_;
    std::optional<im::Hub> hub_;
    std::optional<im::Api> api_;
    std::optional<im::Site> site_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    asio::steady_timer timer_;
    std::optional<im::Server> server_;
    im::Hub::TimePoint give_up_{};
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{
        "hawser-im: a small chat service. WebSocket /ws, REST /api/v1, /healthz, /readyz, /metrics."};
    describe(app, options);
    auto* token = app.add_subcommand("token", "print a signed token and exit");
    token->add_option("--name", options.token_name, "user or service")->required();
    token->add_flag("--service", options.token_service, "may act as any user and read every room");
    token->add_option("--secret-file", options.secret_file)->required()->check(CLI::ExistingFile);
    token->add_option("--token-hours", options.token_hours)->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : bad_usage;
    }
    std::signal(SIGPIPE, SIG_IGN);
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("im", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    spdlog::set_level(spdlog::level::from_str(options.log_level));
    if (*token) return print_token(options);
    if (!options.demo && options.secret_file.empty()) {
        std::cerr << "hawser-im: one of --demo and --secret-file is required\n";
        return bad_usage;
    }
    return Program(std::move(options)).run();
}
