// SPDX-License-Identifier: Apache-2.0
#include "im/api.h"

#include <boost/json.hpp>
#include <charconv>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

std::int64_t seconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

HttpResponse json_response(unsigned status, std::string body) {
    HttpResponse response;
    response.status = status;
    response.body = std::move(body) + "\n";
    return response;
}

HttpResponse error_response(unsigned status, std::string_view code, std::string_view message) {
    return json_response(status, json::serialize(json::object{{"error", code}, {"message", message}}));
}

HttpResponse wrong_method(std::string_view allowed) {
    auto response = error_response(405, "bad_request", "this method is not allowed here");
    response.headers.emplace_back("Allow", allowed);
    return response;
}

HttpResponse plain(unsigned status, std::string_view text) {
    HttpResponse response;
    response.status = status;
    response.content_type = "text/plain; charset=utf-8";
    response.body = text;
    return response;
}

std::optional<json::object> parse_body(const std::string& body) {
    json::parse_options options;
    options.max_depth = 4;
    boost::system::error_code failed;
    auto value = json::parse(body, failed, {}, options);
    if (failed || !value.is_object()) return std::nullopt;
    return std::move(value.as_object());
}

std::string text_of(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> percent_decoded(std::string_view in) {
    std::string out;
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (in[i] != '%') {
            out += in[i];
            continue;
        }
        if (i + 2 >= in.size()) return std::nullopt;
        const int high = hex_digit(in[i + 1]);
        const int low = hex_digit(in[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

// A number of the query, `fallback` when absent; false: malformed.
bool number_of(const HttpRequest& request, const std::string& key, std::uint64_t& out) {
    const auto found = request.query.find(key);
    if (found == request.query.end()) return true;
    const auto& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size() && out <= 9007199254740992;
}

}  // namespace

bool split_target(std::string_view target, HttpRequest& request) {
    const auto mark = target.find('?');
    const auto path = percent_decoded(target.substr(0, mark));
    if (!path || !path->starts_with("/")) return false;
    request.path = *path;
    if (mark == std::string_view::npos) return true;
    auto rest = target.substr(mark + 1);
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const auto part = rest.substr(0, end);
        const auto equals = part.find('=');
        const auto key = percent_decoded(part.substr(0, equals));
        const auto value =
            percent_decoded(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1));
        if (!key || !value) return false;
        request.query[*key] = *value;
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    return true;
}

Api::Api(Options options, Hub& hub, Store& store, Metrics& metrics, Page page)
    : options_(std::move(options)), hub_(hub), store_(store), metrics_(metrics), page_(std::move(page)) {}

void Api::handle(const HttpRequest& request, const Answer& answer) {
    const bool reading = request.method == "GET" || request.method == "HEAD";
    if (request.path == "/api/v1/token") return token(request, answer);
    if (request.path.starts_with("/api/")) return api(request, answer);
    if (!reading) return answer(wrong_method("GET, HEAD"));
    if (request.path == "/healthz") return answer(plain(200, "ok\n"));
    if (request.path == "/readyz")
        return answer(
            hub_.ready() ? plain(200, "ready\n")
                         : plain(503, hub_.draining() ? "going down\n" : "the message store is not ready\n"));
    if (request.path == "/metrics") {
        auto response = plain(200, metrics_.text());
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        return answer(std::move(response));
    }
    if (auto file = page_.find(request.path)) {
        HttpResponse response;
        response.content_type = std::move(file->content_type);
        response.body = std::move(file->body);
        response.headers = {{"Cache-Control", "no-cache"},
                            {"X-Content-Type-Options", "nosniff"},
                            {"Referrer-Policy", "no-referrer"},
                            {"Content-Security-Policy",
                             "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                             "connect-src 'self' ws: "
                             "wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}};
        return answer(std::move(response));
    }
    answer(plain(404, "there is nothing here\n"));
}

void Api::token(const HttpRequest& request, const Answer& answer) {
    if (request.method != "POST") return answer(wrong_method("POST"));
    if (!options_.demo)
        return answer(error_response(403, "forbidden", "tokens are issued elsewhere: this is not a demo"));
    const auto body = parse_body(request.body);
    const auto name = body ? text_of(*body, "name") : std::string();
    if (!valid_name(name))
        return answer(error_response(400, "bad_request", "name is not 1 to 32 of A-Z a-z 0-9 . _ -"));
    Claims claims;
    claims.name = name;
    claims.expires_s = seconds_since_1970() + options_.token_life.count();
    auto response = json_response(
        200,
        json::serialize(json::object{
            {"name", name}, {"token", issue_token(claims, options_.secret)}, {"expires", claims.expires_s}}));
    response.headers.emplace_back("Cache-Control", "no-store");
    answer(std::move(response));
}

void Api::api(const HttpRequest& request, const Answer& answer) {
    const auto who = verify_token(request.bearer, options_.secret, seconds_since_1970());
    if (!who) {
        const std::string why =
            request.bearer.empty() ? "Authorization: Bearer TOKEN is missing" : who.error().text();
        auto response = error_response(401, "unauthorized", why);
        response.headers.emplace_back("WWW-Authenticate", "Bearer");
        return answer(std::move(response));
    }
    constexpr std::string_view prefix = "/api/v1/rooms/";
    constexpr std::string_view suffix = "/messages";
    const std::string_view path = request.path;
    if (path.starts_with(prefix) && path.ends_with(suffix) && path.size() > prefix.size() + suffix.size()) {
        const std::string room(path.substr(prefix.size(), path.size() - prefix.size() - suffix.size()));
        return room_messages(request, *who, room, answer);
    }
    if (path != "/api/v1/rooms" && path != "/api/v1/presence")
        return answer(error_response(404, "not_found", "there is nothing here"));
    if (request.method != "GET" && request.method != "HEAD") return answer(wrong_method("GET, HEAD"));
    answer(json_response(200, path == "/api/v1/rooms" ? rooms_text(hub_.rooms()) : users_text(hub_.users())));
}

void Api::room_messages(const HttpRequest& request, const Claims& who, const std::string& room,
                        const Answer& answer) {
    if (!valid_room(room))
        return answer(error_response(400, "bad_request", "this is not the name of a room"));
    if (who.scope != Scope::service && !may_enter(who.name, room))
        return answer(error_response(403, "forbidden", "this is a direct room of others"));
    if (request.method == "POST") return post_message(request, who, room, answer);
    if (request.method != "GET" && request.method != "HEAD") return answer(wrong_method("GET, HEAD, POST"));
    HistoryQuery query;
    query.room = room;
    query.forward = request.query.contains("after");
    std::uint64_t limit = 50;
    if (!number_of(request, "after", query.after) || !number_of(request, "before", query.before) ||
        !number_of(request, "limit", limit) || limit < 1 || limit > longest_page ||
        (query.forward && request.query.contains("before")))
        return answer(error_response(400, "bad_request", "before or after is a number, limit is 1 to 200"));
    query.limit = static_cast<unsigned>(limit);
    store_.read(query, [room, answer](const net::Result<HistoryPage>& page) {
        answer(page ? json_response(200, messages_text(room, *page))
                    : error_response(503, "unavailable", page.error().text()));
    });
}

void Api::post_message(const HttpRequest& request, const Claims& who, const std::string& room,
                       const Answer& answer) {
    const auto body = parse_body(request.body);
    if (!body) return answer(error_response(400, "bad_request", "the body is not a JSON object"));
    Draft draft;
    draft.room = room;
    draft.text = text_of(*body, "text");
    draft.from = text_of(*body, "from");
    draft.id = text_of(*body, "id");
    if (draft.from.empty()) draft.from = who.name;
    if (draft.id.empty()) draft.id = random_hex(16);
    if (draft.from != who.name && who.scope != Scope::service)
        return answer(error_response(403, "forbidden", "from is somebody else: that takes a service token"));
    if (!may_enter(draft.from, room))
        return answer(error_response(403, "forbidden", "from is not one of the two"));
    if (draft.text.size() > longest_text)
        return answer(error_response(413, "too_long", "text is longer than 8000 bytes"));
    if (draft.text.empty() || !valid_name(draft.from) || !valid_message_id(draft.id))
        return answer(error_response(400, "bad_request", "text is missing, or from or id is malformed"));
    if (!hub_.has_place_for(room))
        return answer(error_response(503, "too_many_rooms", "there are too many rooms"));
    const Draft key{.room = draft.room, .from = draft.from, .id = draft.id, .text = {}};
    hub_.append(std::move(draft), [key, answer](const net::Result<Appended>& appended) {
        if (!appended) return answer(error_response(503, "unavailable", appended.error().text()));
        answer(json_response(appended->duplicate ? 200 : 201, appended_text(key, *appended)));
    });
}

}  // namespace hawser::im
