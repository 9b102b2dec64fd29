// SPDX-License-Identifier: Apache-2.0
#include "im/websocket_session.h"

#include <spdlog/spdlog.h>

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <memory>

namespace hawser::im {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

constexpr std::chrono::milliseconds close_patience{3'000};  // for the peer's Close after ours
constexpr unsigned cut_without_close = 1006;                // RFC 6455 §7.1.5

class WebsocketSession final : public Connection, public std::enable_shared_from_this<WebsocketSession> {
  public:
    WebsocketSession(beast::tcp_stream stream, Site& site, Place place)
        : socket_(std::move(stream)), site_(site), place_(std::move(place)) {}

    void start(http::request<http::string_body> request) {
        request_ = std::move(request);
        beast::get_lowest_layer(socket_).expires_never();
        socket_.set_option(websocket::stream_base::timeout{
            site_.limits.handshake_timeout, site_.limits.idle_timeout, true /* ping at half of it */});
        socket_.set_option(websocket::stream_base::decorator(
            [](websocket::response_type& response) { response.set(http::field::server, "hawser-im"); }));
        // Small windows: deflate with the defaults would cost 300 KiB a session.
        websocket::permessage_deflate deflate;
        deflate.server_enable = true;
        deflate.server_max_window_bits = 12;
        deflate.client_max_window_bits = 12;
        deflate.compLevel = 3;
        deflate.memLevel = 4;
        deflate.msg_size_threshold = 200;
        socket_.set_option(deflate);
        socket_.read_message_max(site_.limits.max_frame_bytes);
        socket_.async_accept(
            request_, [self = shared_from_this()](beast::error_code failed) { self->accepted(failed); });
    }

    void send(Frame frame) override {
        if (closing_ || done_) return;
        if (queued_bytes_ >= site_.limits.queue_bytes) {
            close(CloseCode::try_again_later, "you read too slowly");
            return;
        }
        queued_bytes_ += frame->size();
        queue_.push_back(std::move(frame));
        if (!writing_) write();
    }

    [[nodiscard]] std::size_t queued_bytes() const override { return queued_bytes_; }

    void close(CloseCode code, std::string reason) override {
        if (closing_ || done_) return;
        closing_ = true;
        closing_since_ = Hub::Clock::now();
        reason_ = websocket::close_reason(static_cast<websocket::close_code>(code), reason);
        spdlog::debug("session {}: closing with {}: {}", id_, static_cast<unsigned>(code), reason);
        if (code == CloseCode::try_again_later && queue_.size() > 1) {
            // It would not read the rest.
            queue_.resize(1);
            queued_bytes_ = queue_.front()->size();
        }
        if (!writing_) send_close();
    }

    void check(Hub::TimePoint now) override {
        if (done_) return;
        if (writing_ && now - write_began_ >= site_.limits.write_timeout) {
            spdlog::info(
                "session {}: cut, it has not read for {} s", id_,
                std::chrono::duration_cast<std::chrono::seconds>(site_.limits.write_timeout).count());
            slow_ = true;
            cut();
        } else if (closing_ && now - closing_since_ >= close_patience) {
            cut();
        }
    }

  private:
    void accepted(beast::error_code failed) {
        request_ = {};
        if (failed) {
            site_.metrics.handshake_failed("io").Increment();
            return;
        }
        socket_.text(true);
        id_ = site_.hub.opened(*this);
        read();
    }

    void read() {
        reading_ = true;
        socket_.async_read(buffer_, [self = shared_from_this()](beast::error_code failed, std::size_t) {
            self->got(failed);
        });
    }

    void got(beast::error_code failed) {
        reading_ = false;
        if (failed) return finish(failed);
        if (!closing_) {
            if (socket_.got_text()) {
                const auto bytes = buffer_.cdata();
                site_.hub.frame(id_, {static_cast<const char*>(bytes.data()), bytes.size()});
            } else {
                close(CloseCode::unsupported_data, "text messages only");
            }
        }
        buffer_.consume(buffer_.size());
        // A client that asks without reading the answers has to wait until it has read.
        if (queued_bytes_ < Delivery::short_queue || closing_) read();
    }

    void write() {
        writing_ = true;
        write_began_ = Hub::Clock::now();
        // The frame is kept here: close() may shorten the queue.
        current_ = queue_.front();
        socket_.async_write(
            boost::asio::buffer(*current_),
            [self = shared_from_this()](beast::error_code failed, std::size_t) { self->wrote(failed); });
    }

    void wrote(beast::error_code failed) {
        writing_ = false;
        if (failed) {
            // The read ends too, and finishes the session; unless it waits for the queue to become short.
            if (!reading_) finish(failed);
            return;
        }
        site_.metrics.bytes_out.Increment(static_cast<double>(current_->size()));
        queue_.pop_front();
        queued_bytes_ -= current_->size();
        if (!queue_.empty()) write();
        if (!closing_ && queued_bytes_ < Delivery::short_queue) site_.hub.drained(id_);
        if (!reading_ && !done_ && (queued_bytes_ < Delivery::short_queue || closing_)) read();
        if (closing_ && !writing_) send_close();
    }

    void send_close() {
        if (done_ || close_sent_) return;
        close_sent_ = true;
        socket_.async_close(reason_, [self = shared_from_this()](beast::error_code failed) {
            // Ends when the peer's Close has come; the read may have seen it first.
            self->finish(failed ? failed : beast::error_code(websocket::error::closed));
        });
    }

    // What is under way (a write, or a Close) fails now, and finishes the session.
    void cut() { beast::get_lowest_layer(socket_).close(); }

    void finish(beast::error_code why) {
        if (std::exchange(done_, true)) return;
        site_.metrics.closed(code_of(why)).Increment();
        site_.hub.closed(id_);
        if (why != websocket::error::closed) beast::get_lowest_layer(socket_).close();
    }

    [[nodiscard]] unsigned code_of(beast::error_code why) const {
        if (closing_) return reason_.code;
        if (slow_) return static_cast<unsigned>(CloseCode::try_again_later);
        if (why == websocket::error::closed) return socket_.reason().code;
        if (why == websocket::error::message_too_big || why == websocket::error::buffer_overflow)
            return websocket::close_code::too_big;
        if (why == websocket::error::bad_frame_payload) return websocket::close_code::bad_payload;
        return cut_without_close;
    }

    websocket::stream<beast::tcp_stream> socket_;
    Site& site_;
    Place place_;
    http::request<http::string_body> request_;
    beast::flat_buffer buffer_;
    std::deque<Frame> queue_;  // front: being written
    Frame current_;
    std::size_t queued_bytes_ = 0;
    SessionId id_ = 0;
    websocket::close_reason reason_;
    Hub::TimePoint write_began_{};
    Hub::TimePoint closing_since_{};
    bool reading_ = false;
    bool writing_ = false;
    bool closing_ = false;
    bool close_sent_ = false;
    bool slow_ = false;
    bool done_ = false;
};

}  // namespace

void start_websocket_session(beast::tcp_stream stream, http::request<http::string_body> request, Site& site,
                             Place place) {
    std::make_shared<WebsocketSession>(std::move(stream), site, std::move(place))->start(std::move(request));
}

}  // namespace hawser::im
