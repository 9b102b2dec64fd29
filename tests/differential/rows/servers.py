# SPDX-License-Identifier: Apache-2.0
"""server_name of all kinds, default_server, Host in all shapes."""

from row import Row
from wire import get

ROWS = [
    Row("exact name", get("/", host="exact.test")),
    Row("second exact name", get("/", host="www.exact.test")),
    Row("names are without case", get("/", host="EXACT.test")),
    Row("port in Host is cut off", get("/", host="exact.test:8080")),
    Row("trailing dot in Host is cut off", get("/", host="exact.test.")),
    Row("unknown name: first server", get("/", host="nobody.test")),
    Row("leading wildcard", get("/", host="a.b.wild.test")),
    Row("longer wildcard wins", get("/", host="x.deep.wild.test")),
    Row("leading wildcard does not match the bare name", get("/", host="wild.test")),
    Row("dotted name, bare", get("/", host="dot.test")),
    Row("dotted name, below", get("/", host="x.y.dot.test")),
    Row("trailing wildcard", get("/", host="mail.example.org")),
    Row("longer trailing wildcard", get("/", host="mail.exact.org")),
    Row("leading wildcard before trailing", get("/", host="mail.wild.test")),
    Row("regex with capture", get("/", host="joe.user.test")),
    Row("second regex", get("/", host="joe1.user.test")),
    Row("HTTP/1.0 without Host", get("/", host=None, version="1.0")),
    Row("empty Host", get("/", host=""), 400),
    Row("HTTP/1.1 without Host", get("/", host=None), 400),
    Row("two Host fields", get("/", "Host: exact.test", host="first.test"), 400),
    Row("Host with a slash", get("/", host="a/b"), 400),
    Row("Host with a NUL-like byte", get("/", host="a\x01b"), 400),
    Row("Host with a space", get("/", host="exact.test x"), 400),
    Row("Host with two dots", get("/", host="exact..test"), 400),
    Row("Host that is an address", get("/", host="127.0.0.1")),
    Row("Host that is an IPv6 address", get("/", host="[::1]:80")),
    Row("Host with a broken IPv6 address", get("/", host="[::1")),
    Row("Host with an odd port", get("/", host="exact.test:port")),
    Row("Host with user information", get("/", host="u@exact.test")),
    Row("absolute form beats Host", get("http://exact.test/", host="first.test")),
    Row("absolute form without Host", get("http://exact.test/", host=None), 400),
    Row("default_server by its word", get("/", host="nobody.test"), port="alt"),
    Row("named server beside a default_server", get("/", host="x.test"), port="alt"),
    Row("server_name_in_redirect, port_in_redirect off", get("/r", host="other.test"), 301, port="third"),
]
