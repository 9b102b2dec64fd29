# SPDX-License-Identifier: Apache-2.0
"""Fields to the backend and fields to the client."""

from backend import RESET
from row import Deviation, Row
from wire import get, post, request


def says(status, *fields, body=b"hello", version="1.1"):
    head = "\r\n".join([f"HTTP/{version} {status}", *fields, f"Content-Length: {len(body)}"]) + "\r\n\r\n"
    return [head.encode("latin-1") + body]


def trims_tabs(outcome):
    assert outcome.requests[0].field("X-Tab") == ["t"]


OK = "200 OK"

ROWS = [
    Row("defaults: Host is $proxy_host, Connection close", get("/")),
    Row("fields are passed on as sent", get("/", "X-One: 1", "Accept: */*", "User-Agent: t", "x-lower: L")),
    Row("names keep their case", get("/", "sEC-wEBSOCKET-kEY: k", "X-MiXed: y"), exact_names=("sec-websocket-key", "x-mixed")),
    Row("repeated fields stay apart and in order", get("/", "X-A: 1", "X-B: 2", "X-A: 3")),
    Row("cookies stay apart", get("/", "Cookie: a=1", "Cookie: b=2")),
    Row("values are trimmed of spaces", get("/", "X-Space:    padded   ")),
    Row("values are trimmed of tabs", get("/", "X-Tab:\tt\t"), deviation=Deviation("white space around a value is SP and HTAB (RFC 9110 5.5); nginx keeps tabs", 200, "kept", 1, trims_tabs)),
    Row("an empty value is passed", get("/", "X-Empty:")),
    Row("hop-by-hop of the client stops", get("/", "Connection: keep-alive, X-Hop", "Keep-Alive: 5", "X-Hop: h")),
    Row("TE, Trailer and Proxy fields", get("/", "TE: trailers", "Proxy-Connection: keep-alive", "Proxy-Authorization: x")),
    Row("Upgrade does not pass by itself", get("/eleven/", "Connection: Upgrade", "Upgrade: websocket")),
    Row("Authorization is passed", get("/", "Authorization: Basic YTpi")),
    Row("names with underscores are dropped", get("/", "X_Under: 1", "X-Ok: 2")),
    Row("names with odd letters are dropped", get("/", "X.Dot: 1", "X-Ok: 2")),
    Row("proxy_http_version 1.1", get("/eleven/x")),
    Row("proxy_set_header of all kinds", get("/set/", "Accept-Encoding: gzip", "X-Empty: gone", "X-Fixed: mine", "X-Real-IP: 9.9.9.9")),
    Row("X-Forwarded-For is appended to", get("/set/", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")),
    Row("X-Forwarded-For in two fields", get("/set/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8")),
    Row("$host is lower case and without port", get("/set/", host="A.Test:81")),
    Row("$http_host is as sent", get("/httphost/", host="A.Test:81")),
    Row("$host:$server_port", get("/hostport/")),
    Row("Host and Content-Type set to nothing", post("/nobody/", b"x", "Content-Type: a/b")),
    Row("inherited proxy_set_header", get("/x"), port="alt"),
    Row("own proxy_set_header ends inheritance", get("/below/x"), port="alt"),
    Row("a request that is no upgrade, site's recipe", get("/site/x")),
    Row("other Upgrade token, endpoint says no", get("/site/x", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__")),
    Row("Content-Length is passed", post("/", b"abc", "Content-Type: text/x")),
    Row("Content-Length zero is passed", request("POST", "/", "Content-Length: 0")),
    Row("POST without a body", request("POST", "/")),
    Row("GET with a body", request("GET", "/", "Content-Length: 3", body=b"abc")),
    Row("Range and conditions are passed", get("/", "Range: bytes=0-1", "If-None-Match: \"x\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")),
    # to the client
    Row("Server and Date of the backend are hidden", get("/"), answers=[says(OK, "Server: Backend/1", "Date: Sun, 06 Nov 1994 08:49:37 GMT")]),
    Row("X-Accel and X-Pad are hidden", get("/"), answers=[says(OK, "X-Accel-Buffering: yes", "X-Accel-Charset: utf-8", "X-Pad: avoid", "X-Shown: y")]),
    Row("proxy_pass_header and proxy_hide_header", get("/pass/"), answers=[says(OK, "Server: Backend/1", "X-Accel-Buffering: yes", "X-Secret: s", "X-Other: o", "X-Kept: k")]),
    Row("proxy_hide_header is inherited", get("/"), port="alt", answers=[says(OK, "X-Secret: s", "X-Kept: k")]),
    Row("two Set-Cookie stay two", get("/"), answers=[says(OK, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2")]),
    Row("hop-by-hop of the backend stops", get("/eleven/"), answers=[says(OK, "Connection: X-Hop", "Keep-Alive: timeout=9", "X-Hop: h")]),
    Row("fields with odd names from the backend", get("/"), answers=[says(OK, "X_Under: 1", "X.Dot: 2")]),
    Row("a backend's reason phrase is kept", get("/"), answers=[says("200 Fine by me")]),
    Row("a backend's status without a reason", get("/"), answers=[says("200")]),
    Row("an unknown status is passed", get("/"), 299, answers=[says("299 Own")]),
    Row("WWW-Authenticate passes with 401", get("/"), 401, answers=[says("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"')]),
    Row("Content-Type, ETag, Last-Modified, Expires", get("/"), answers=[says(OK, "Content-Type: text/html; charset=utf-8", 'ETag: "e"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Expires: 0", "Vary: A", "Vary: B", "Accept-Ranges: bytes")]),
    Row("add_header with 200", get("/add/"), answers=[says(OK, "X-Note: n", "Cache-Control: private")]),
    Row("add_header with 404: only always", get("/add/"), 404, answers=[says("404 Not Found", "X-Note: n")]),
    Row("add_header with 302", get("/add/"), 302, answers=[says("302 Found", "Location: /x")]),
    Row("own add_header ends inheritance", get("/add/own/x")),
    Row("add_header is inherited", get("/add/same/x")),
    Row("add_header of the server, error page", get("/x"), 502, port="alt", answers=[[RESET]]),
    Row("Location of the backend is rewritten", get("/redir/x"), 302, answers=[lambda: None]),
    Row("Location elsewhere is kept", get("/redir/x"), 302, answers=[says("302 Found", "Location: http://other.test/back/y")]),
    Row("relative Location is kept", get("/redir/x"), 302, answers=[says("302 Found", "Location: /back/y")]),
    Row("proxy_redirect off", get("/redirout/x"), 302, answers=[lambda: None]),
    Row("proxy_redirect default among many", get("/redirmany/x"), 301, answers=[lambda: None]),
    Row("proxy_redirect by prefix", get("/redirmany/x"), 302, answers=[says("302 Found", "Location: http://one.test/y?z")]),
    Row("proxy_redirect by regex", get("/redirmany/x"), 302, answers=[says("302 Found", "Location: http://two.re.test:8080/y")]),
    Row("proxy_redirect by regex without case", get("/redirmany/x"), 302, answers=[says("302 Found", "Location: https://CASE/y")]),
    Row("proxy_redirect relative", get("/redirmany/x"), 302, answers=[says("302 Found", "Location: /rel/y")]),
    Row("Refresh is rewritten like Location", get("/redirmany/x"), answers=[says(OK, "Refresh: 5; url=http://one.test/y")]),
    Row("Location with 201", get("/redirmany/x"), 201, answers=[says("201 Created", "Location: http://one.test/y")]),
    Row("server_tokens off", get("/"), 404, port="third"),
    Row("absolute_redirect off", get("/r"), 301, port="third"),
    Row("absolute_redirect off for the added slash", get("/s"), 301, port="third"),
]


def location_at_backend(status):
    """A redirect to the backend's own address, as proxy_redirect default knows it."""

    def answer(record):
        host = record.field("Host")[0]
        return f"HTTP/1.1 {status}\r\nLocation: http://{host}/back/y?z=1\r\nContent-Length: 0\r\n\r\n".encode()

    return [answer]


for row in ROWS:
    if row.answers and not isinstance(row.answers[0], list):
        row.answers = [location_at_backend(f"{row.status} Moved")]
