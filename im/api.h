// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "im/hub.h"
#include "im/page.h"
#include "im/token.h"

namespace hawser::im {

struct HttpRequest {
    std::string method;
    std::string path;                          // decoded
    std::map<std::string, std::string> query;  // decoded
    std::string bearer;                        // the token of Authorization: Bearer, or ""
    std::string body;
};

struct HttpResponse {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

// Splits a request target into path and query, percent-decoded. False: it is malformed.
bool split_target(std::string_view target, HttpRequest& request);

// Everything that is answered over plain HTTP: REST for the other services, health, metrics, the page.
class Api {
  public:
    using Answer = std::function<void(HttpResponse)>;
    struct Options {
        std::string secret;
        bool demo = false;  // POST /api/v1/token gives a token to everyone who asks
        std::chrono::seconds token_life{43'200};
    };

    Api(Options options, Hub& hub, Store& store, Metrics& metrics, Page page);

    // Answers once, at once or later, on the same thread.
    void handle(const HttpRequest& request, const Answer& answer);

  private:
    void token(const HttpRequest& request, const Answer& answer);
    void api(const HttpRequest& request, const Answer& answer);
    void room_messages(const HttpRequest& request, const Claims& who, const std::string& room,
                       const Answer& answer);
    void post_message(const HttpRequest& request, const Claims& who, const std::string& room,
                      const Answer& answer);

    Options options_;
    Hub& hub_;
    Store& store_;
    Metrics& metrics_;
    Page page_;
};

}  // namespace hawser::im
