// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/plane.h"
#include "control/sources.h"
#include "control/views.h"

namespace hawser::control {

struct Request {
    std::string method;
    std::string path;  // decoded
    std::map<std::string, std::string> query;
};

struct Response {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

// What the admin server answers:
//   GET  /healthz                 200 "ok": the control loop turns
//   GET  /readyz                  200 "ok", or 503 and why not
//   GET  /metrics
//   GET  /api/v1/services         ?namespace= ?name= ?service=
//   GET  /api/v1/endpoints        the same
//   GET  /api/v1/routes           ?service= ?name=
//   GET  /api/v1/frontends        the same
//   GET  /api/v1/tunnels          ?service= ?name= ?limit= ?continue=
//   GET  /api/v1/tunnels/ID
//   DELETE /api/v1/tunnels/ID     closes it
//   GET  /api/v1/snapshot
//   POST /api/v1/reload           reads the sources; 200, or 422 with every error
//   GET  /                        the console page
// Errors are Kubernetes' `Status` objects. Control thread only.
class Api {
  public:
    using Answer = std::function<void(Response)>;

    Api(Plane& plane, Sources& sources) : plane_(plane), sources_(sources) {}

    // `answer` is called once: at once, or for a reload when it is through.
    void handle(const Request& request, Answer answer);

    // From now on not ready.
    void set_draining() { draining_ = true; }

  private:
    [[nodiscard]] std::string why_not_ready() const;  // "" = ready
    Response get(const Request& request) const;
    [[nodiscard]] Response get_list(const std::string& what, const Request& request) const;
    [[nodiscard]] Response get_tunnels(const Request& request) const;
    Response kill_tunnel(const std::string& id_text);
    void reload(const Answer& answer);

    Plane& plane_;
    Sources& sources_;
    bool draining_ = false;
};

// {"kind":"Status","status":"Failure","message":...,"reason":...,"code":...}
Response failure(unsigned status, std::string_view reason, std::string_view message);

}  // namespace hawser::control
