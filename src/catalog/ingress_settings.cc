// SPDX-License-Identifier: Apache-2.0
#include "catalog/ingress_settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <functional>
#include <map>

namespace hawser::catalog {
namespace {

constexpr std::string_view annotation_prefix = "nginx.ingress.kubernetes.io/";
constexpr std::string_view splice_annotation = "hawser.io/splice";

using http::Proxy;
using http::Settings;

// ingress-nginx's `upstreaminfo`, without the fields that only it has.
constexpr const char* log_format =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" "
    "\"$http_user_agent\" $request_length $request_time [$proxy_host] $upstream_addr "
    "$upstream_response_length "
    "$upstream_response_time $upstream_status $request_id";

Settings make_settings(TemplateMaker& templates) {
    Settings out;
    auto format = std::make_shared<http::LogFormat>();
    format->name = "ingress";
    format->format = templates.parse_known(log_format);
    out.access_logs.push_back({"/dev/stdout", std::move(format), std::nullopt});
    return out;
}

Proxy make_proxy(TemplateMaker& templates) {
    Proxy out;
    out.http_1_1 = true;
    out.connect_timeout = std::chrono::seconds(5);
    out.next_upstream_tries = 3;
    out.buffering = false;
    out.upgrade = http::UpgradePolicy::automatic;
    static constexpr std::pair<const char*, const char*> headers[] = {
        {"Host", "$best_http_host"},
        {"Connection", ""},
        {"X-Request-ID", "$req_id"},
        {"X-Real-IP", "$remote_addr"},
        {"X-Forwarded-For", "$remote_addr"},
        {"X-Forwarded-Host", "$best_http_host"},
        {"X-Forwarded-Port", "$pass_port"},
        {"X-Forwarded-Proto", "$pass_access_scheme"},
        {"X-Forwarded-Scheme", "$pass_access_scheme"},
        {"X-Scheme", "$pass_access_scheme"},
        {"X-Original-Forwarded-For", "$http_x_forwarded_for"},
        {"Proxy", ""},  // httpoxy
    };
    for (const auto& [name, value] : headers) out.set_headers.push_back({name, templates.parse_known(value)});
    out.hide_headers = {"date",
                        "server",
                        "x-pad",
                        "x-accel-expires",
                        "x-accel-redirect",
                        "x-accel-limit-rate",
                        "x-accel-buffering",
                        "x-accel-charset"};
    return out;
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out;
    std::string word;
    for (const char c : std::string(text) + ",") {
        if (c != ',' && std::isspace(static_cast<unsigned char>(c)) == 0) {
            word += c;
        } else if (!word.empty()) {
            out.push_back(std::move(word));
            word.clear();
        }
    }
    return out;
}

std::optional<std::uint64_t> to_number(std::string_view text, std::uint64_t most) {
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc() || end != text.data() + text.size() || out > most) return std::nullopt;
    return out;
}

// nginx's sizes: 8m, 100k, 1g, 4096.
std::optional<std::uint64_t> to_size(std::string_view text) {
    std::uint64_t unit = 1;
    if (!text.empty()) {
        const char last = static_cast<char>(std::tolower(static_cast<unsigned char>(text.back())));
        unit = last == 'k' ? 1ULL << 10 : last == 'm' ? 1ULL << 20 : last == 'g' ? 1ULL << 30 : 1;
        if (unit != 1) text.remove_suffix(1);
    }
    const auto number = to_number(text, 1ULL << 30);
    if (!number) return std::nullopt;
    return *number * unit;
}

std::optional<std::uint32_t> to_next_upstream(std::string_view text) {
    namespace flag = http::next_upstream;
    static constexpr std::pair<std::string_view, std::uint32_t> words[] = {
        {"error", flag::error},       {"timeout", flag::timeout},   {"invalid_header", flag::invalid_header},
        {"http_500", flag::http_500}, {"http_502", flag::http_502}, {"http_503", flag::http_503},
        {"http_504", flag::http_504}, {"http_403", flag::http_403}, {"http_404", flag::http_404},
        {"http_429", flag::http_429}, {"off", flag::off},           {"non_idempotent", flag::non_idempotent},
    };
    std::uint32_t out = 0;
    for (const std::string& word : split(text)) {
        const auto* found =
            std::find_if(std::begin(words), std::end(words), [&](const auto& w) { return w.first == word; });
        if (found == std::end(words)) return std::nullopt;
        out |= found->second;
    }
    return out;
}

class AnnotationReader {
  public:
    AnnotationReader(const Sourced<Ingress>& ingress, TemplateMaker& templates, Diagnostics& diagnostics)
        : ingress_(ingress), templates_(templates), diagnostics_(diagnostics) {}

    IngressSettings read() {
        settings_ = make_settings(templates_);
        out_.proxy = make_proxy(templates_);
        for (const auto& [key, value] : ingress_.object.metadata.annotations) {
            if (key == splice_annotation) {
                if (value != "auto" && value != "off")
                    diagnostics_.warning(ingress_.position,
                                         "Ingress " + ingress_.object.metadata.key() + ": " + key +
                                             ": is \"auto\" or \"off\", not \"" + value + "\"; auto is used");
                out_.proxy.splice = value != "off";
                continue;
            }
            if (!key.starts_with(annotation_prefix)) continue;
            name_ = key.substr(annotation_prefix.size());
            if (!read_one(value) && !has_no_effect(value)) warn("is not supported; it has no effect");
        }
        finish();
        out_.settings = std::make_shared<const Settings>(std::move(settings_));
        return std::move(out_);
    }

  private:
    using Action = std::function<bool(const std::string&)>;

    void warn(const std::string& what) {
        diagnostics_.warning(ingress_.position, "Ingress " + ingress_.object.metadata.key() + ": " +
                                                    std::string(annotation_prefix) + name_ + ": " + what);
    }
    // The bad value is reported and counts as read.
    bool refuse(const std::string& value) {
        warn("\"" + value + "\" makes no sense; the default stays");
        return true;
    }

    // `least` is 0 where 0 means "no limit".
    std::optional<std::chrono::seconds> seconds(const std::string& value, std::uint64_t least = 1) {
        const auto number = to_number(value, 10ULL * 365 * 86400);
        if (number && *number >= least) return std::chrono::seconds(*number);
        refuse(value);
        return std::nullopt;
    }
    bool read_seconds(const std::string& value, std::chrono::milliseconds& into, std::uint64_t least = 1) {
        if (const auto read = seconds(value, least)) into = *read;
        return true;
    }
    bool read_switch(const std::string& value, bool& into) {
        if (value != "on" && value != "off" && value != "true" && value != "false") return refuse(value);
        into = value == "on" || value == "true";
        return true;
    }
    bool read_size(const std::string& value, const std::function<void(std::uint64_t)>& set) {
        const auto size = to_size(value);
        if (!size) return refuse(value);
        set(*size);
        return true;
    }
    bool read_template(const std::string& value, std::optional<http::Template>& into) {
        auto made = templates_.parse(value);
        if (!made) {
            warn(made.error().text());
            return true;
        }
        into = std::move(*made);
        return true;
    }
    bool read_ranges(const std::string& value, bool allow) {
        std::vector<http::AccessRule> rules;
        for (const std::string& text : split(value)) {
            const auto cidr = net::Cidr::parse(text);
            if (!cidr) {
                // A list that is half read would let in, or shut out, the wrong ones: nobody gets in.
                warn("\"" + text + "\" is not a range of addresses; everybody is refused");
                settings_.access = {{false, std::nullopt}};
                access_broken_ = true;
                return true;
            }
            rules.push_back({allow, *cidr});
        }
        (allow ? allowed_ : denied_) = std::move(rules);
        return true;
    }
    bool read_redirect(const std::string& value, std::uint16_t status) {
        auto text = templates_.parse(value);
        if (!text) {
            warn(text.error().text());
            return true;
        }
        out_.redirect = http::Return{status, std::move(*text)};
        return true;
    }
    bool read_limit(const std::string& value, double per_second, bool requests) {
        const auto number = to_number(value, 1'000'000);
        if (!number || *number == 0) return refuse(value);
        auto zone = std::make_shared<http::LimitZone>();
        zone->kind = requests ? http::LimitZone::Kind::requests : http::LimitZone::Kind::connections;
        zone->name = "ingress:" + ingress_.object.metadata.key() + ":" + name_;
        zone->key = templates_.parse_known("$binary_remote_addr");
        zone->size = 5 << 20;
        zone->rate_per_second = requests ? static_cast<double>(*number) * per_second : 0;
        if (requests)  // ingress-nginx: limit-burst-multiplier is 5
            settings_.limit_requests.push_back({zone, static_cast<std::uint32_t>(*number) * 5, 0, true});
        else
            settings_.limit_connections.push_back({zone, static_cast<std::uint32_t>(*number)});
        return true;
    }

    bool read_one(const std::string& value) {
        return read_proxy(value) || read_routing(value) || read_access(value);
    }

    bool read_proxy(const std::string& value) {
        Proxy& proxy = out_.proxy;
        if (name_ == "proxy-connect-timeout") return read_seconds(value, proxy.connect_timeout);
        if (name_ == "proxy-send-timeout") return read_seconds(value, proxy.send_timeout);
        if (name_ == "proxy-read-timeout") {
            // People write it for their WebSockets: it is the tunnel's limit too, as it is in nginx.
            if (const auto read = seconds(value)) proxy.read_timeout = proxy.tunnel_idle_timeout = *read;
            return true;
        }
        if (name_ == "proxy-body-size")
            return read_size(value, [&](std::uint64_t n) { settings_.client_max_body_size = n; });
        if (name_ == "proxy-buffer-size")
            return read_size(value, [&](std::uint64_t n) {
                proxy.buffer_size = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(n, 1024, 1 << 20));
            });
        if (name_ == "proxy-buffering") return read_switch(value, proxy.buffering);
        if (name_ == "proxy-request-buffering") return read_switch(value, proxy.request_buffering);
        if (name_ == "proxy-next-upstream") {
            const auto flags = to_next_upstream(value);
            if (!flags) return refuse(value);
            proxy.next_upstream = *flags;
            return true;
        }
        if (name_ == "proxy-next-upstream-tries") {
            const auto tries = to_number(value, 1000);
            if (!tries) return refuse(value);
            proxy.next_upstream_tries = static_cast<std::uint32_t>(*tries);
            return true;
        }
        if (name_ == "proxy-next-upstream-timeout")
            return read_seconds(value, proxy.next_upstream_timeout, 0);
        if (name_ == "proxy-http-version") {
            if (value != "1.0" && value != "1.1") return refuse(value);
            proxy.http_1_1 = value == "1.1";
            return true;
        }
        if (name_ == "upstream-vhost") {
            std::optional<http::Template> host;
            read_template(value, host);
            if (host) proxy.set_headers.front().value = std::move(*host);
            return true;
        }
        if (name_ == "x-forwarded-prefix") {
            proxy.set_headers.push_back({"X-Forwarded-Prefix", http::Template::from_literal(value)});
            return true;
        }
        return false;
    }

    bool read_routing(const std::string& value) {
        if (name_ == "rewrite-target") return read_template(value, out_.rewrite_target);
        if (name_ == "use-regex") return read_switch(value, out_.use_regex);
        if (name_ == "upstream-hash-by") return read_template(value, out_.hash_key);
        if (name_ == "load-balance") {
            if (value != "round_robin") return refuse(value);
            return out_.round_robin = true;
        }
        if (name_ == "app-root") {
            if (!value.starts_with('/') || value.find('$') != std::string::npos) return refuse(value);
            out_.app_root = value;
            return true;
        }
        if (name_ == "server-alias") {
            for (std::string alias : split(value)) {
                std::transform(alias.begin(), alias.end(), alias.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
                out_.aliases.push_back(std::move(alias));
            }
            return true;
        }
        if (name_ == "permanent-redirect") return read_redirect(value, 301);
        if (name_ == "temporal-redirect") return read_redirect(value, 302);
        if (name_ == "permanent-redirect-code" || name_ == "temporal-redirect-code") {
            const auto code = to_number(value, 308);
            if (!code || *code < 300) return refuse(value);
            redirect_code_ = static_cast<std::uint16_t>(*code);
            return true;
        }
        return false;
    }

    bool read_access(const std::string& value) {
        if (name_ == "whitelist-source-range" || name_ == "allowlist-source-range")
            return read_ranges(value, true);
        if (name_ == "denylist-source-range") return read_ranges(value, false);
        if (name_ == "limit-rps") return read_limit(value, 1.0, true);
        if (name_ == "limit-rpm") return read_limit(value, 1.0 / 60, true);
        if (name_ == "limit-connections") return read_limit(value, 0, false);
        if (name_ == "enable-access-log") {
            bool on = true;
            read_switch(value, on);
            if (!on) settings_.access_logs.clear();
            return true;
        }
        if (name_ == "backend-protocol") {
            if (value != "HTTP" && value != "AUTO_HTTP")
                warn("\"" + value + "\" is not supported; HTTP is spoken");
            return true;
        }
        return false;
    }

    // Asked for what is so anyway.
    [[nodiscard]] bool has_no_effect(const std::string& value) const {
        if (value == "false" || value == "off") return true;
        static constexpr std::string_view names[] = {"client-body-buffer-size", "proxy-buffers-number",
                                                     "proxy-max-temp-file-size", "websocket-services"};
        return std::find(std::begin(names), std::end(names), name_) != std::end(names);
    }

    void finish() {
        if (out_.redirect && redirect_code_ != 0) out_.redirect->status = redirect_code_;
        if (access_broken_) return;
        settings_.access = denied_;
        settings_.access.insert(settings_.access.end(), allowed_.begin(), allowed_.end());
        if (!allowed_.empty()) settings_.access.push_back({false, std::nullopt});
    }

    const Sourced<Ingress>& ingress_;
    TemplateMaker& templates_;
    Diagnostics& diagnostics_;
    std::string name_;  // of the annotation being read, without the prefix
    IngressSettings out_;
    Settings settings_;
    std::vector<http::AccessRule> allowed_, denied_;
    bool access_broken_ = false;
    std::uint16_t redirect_code_ = 0;
};

}  // namespace

std::shared_ptr<const Settings> default_ingress_settings(TemplateMaker& templates) {
    return std::make_shared<const Settings>(make_settings(templates));
}

IngressSettings read_annotations(const Sourced<Ingress>& ingress, TemplateMaker& templates,
                                 Diagnostics& diagnostics) {
    return AnnotationReader(ingress, templates, diagnostics).read();
}

}  // namespace hawser::catalog
