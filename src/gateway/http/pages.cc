// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

namespace {

struct Phrase {
    std::uint16_t status;
    std::string_view text;
};
// Sorted. nginx has no words for the others.
constexpr Phrase reasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Moved Temporarily"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Time-out"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Requested Range Not Satisfiable"},
    {421, "Misdirected Request"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Temporarily Unavailable"},
    {504, "Gateway Time-out"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

// The pages whose heading is not "STATUS reason", and what stands under the heading.
struct SpecialPage {
    std::uint16_t status;
    std::string_view title, heading, line;
};
constexpr SpecialPage special_pages[] = {
    {302, "302 Found", "302 Found", ""},
    {401, "401 Authorization Required", "401 Authorization Required", ""},
    {494, "400 Request Header Or Cookie Too Large", "400 Bad Request", "Request Header Or Cookie Too Large"},
    {495, "400 The SSL certificate error", "400 Bad Request", "The SSL certificate error"},
    {496, "400 No required SSL certificate was sent", "400 Bad Request",
     "No required SSL certificate was sent"},
    {497, "400 The plain HTTP request was sent to HTTPS port", "400 Bad Request",
     "The plain HTTP request was sent to HTTPS port"},
};

void append_page(std::string& out, std::string_view title, std::string_view heading, std::string_view line) {
    out += "<html>\r\n<head><title>";
    out += title;
    out += "</title></head>\r\n<body>\r\n<center><h1>";
    out += heading;
    out += "</h1></center>\r\n";
    if (!line.empty()) {
        out += "<center>";
        out += line;
        out += "</center>\r\n";
    }
    out += "<hr><center>";
    out += product_name;
    out += "</center>\r\n</body>\r\n</html>\r\n";
}

// The browsers that hide short error pages behind their own.
bool wants_padding(const Exchange& x) {
    const auto agent = x.request.fields.find("user-agent");
    if (!agent || x.request.minor_version == 9) return false;
    const bool opera = agent->find("Opera") != std::string_view::npos;
    const std::size_t msie = agent->find("MSIE ");
    if (!opera && msie != std::string_view::npos && msie + 7 < agent->size()) return true;
    return !opera && agent->find("Gecko/") == std::string_view::npos &&
           agent->find("Chrome/") != std::string_view::npos;
}

}  // namespace

std::string_view reason_phrase(std::uint16_t status) {
    const auto* at = std::lower_bound(std::begin(reasons), std::end(reasons), status,
                                      [](const Phrase& p, std::uint16_t s) { return p.status < s; });
    return at != std::end(reasons) && at->status == status ? at->text : std::string_view{};
}

std::string standard_page(std::uint16_t status, bool /*server_tokens*/) {
    std::string out;
    for (const SpecialPage& page : special_pages) {
        if (page.status != status) continue;
        append_page(out, page.title, page.heading, page.line);
        return out;
    }
    const std::string_view reason = reason_phrase(status);
    if (status < 301 || status == 304 || reason.empty()) return out;
    const std::string title = std::to_string(status) + " " + std::string(reason);
    append_page(out, title, title, "");
    return out;
}

std::string standard_page(const Exchange& x, std::uint16_t status) {
    std::string page = standard_page(status, settings_of(x).server_tokens);
    if (page.empty() || status < 400 || !wants_padding(x)) return page;
    for (int i = 0; i < 6; ++i)
        page += "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";
    return page;
}

std::string content_type_for(const catalog::http::Settings& settings, std::string_view uri) {
    const std::size_t mark = uri.find_last_of("./");
    const bool has_extension = mark != std::string_view::npos && mark > 1 && uri[mark] == '.' &&
                               uri[mark - 1] != '/' && mark + 1 < uri.size();
    if (!has_extension) return settings.default_type;
    std::string extension(uri.substr(mark + 1));
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    if (settings.types) {
        const auto at = settings.types->find(extension);
        return at == settings.types->end() ? settings.default_type : at->second;
    }
    // What nginx knows without a `types` block.
    if (extension == "html") return "text/html";
    if (extension == "gif") return "image/gif";
    if (extension == "jpg") return "image/jpeg";
    return settings.default_type;
}

}  // namespace hawser::gateway
