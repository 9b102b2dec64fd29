# SPDX-License-Identifier: Apache-2.0
"""Lines of the access log, byte by byte (times and numbers of processes masked)."""

from backend import CLOSE
from row import Answers, Row
from wire import get, post, request

WEIRD = 'User-Agent: a"b\\c\tde\xe9f'

ROWS = [
    Row("default escaping", get("/x?x=%22", WEIRD)),
    Row("missing values are a hyphen", get("/x")),
    Row("Basic user in the log", get("/x", "Authorization: Basic am9lOnB3")),
    Row("json escaping", get("/json/?x=a/b", WEIRD)),
    Row("json with missing values", get("/json/")),
    Row("escape none", get("/raw/?x=%22", WEIRD)),
    Row("access_log off", get("/off/"), log=0),
    Row("if= a map says no", get("/if/x"), log=0),
    Row("if= a map says yes", get("/if/x"), 500, answers=[[b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"]]),
    Row("if= zero", get("/ifarg/?log=0"), log=0),
    Row("if= a word", get("/ifarg/?log=yes")),
    Row("two logs", get("/two/"), log=2),
    Row("the built-in combined format", get("/combined/"), blind=("log",)),
    Row("a request that is no HTTP", b"\x16\x03\x01 nonsense\r\n\r\n", 400),
    Row("a request line that is too long", get("/" + "x" * 9000), 414, blind=("log",)),
    Row("bytes and upstream variables", get("/sizes/x"), answers=[[b"HTTP/1.1 200 OK\r\nX-Up: u\r\nSet-Cookie: c=d\r\nContent-Length: 5\r\n\r\nhello"]]),
    Row("bytes of a POST", post("/sizes/x", b"x" * 1000)),
    Row("bytes of a chunked POST", request("POST", "/sizes/x", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n")),
    Row("bytes of an answer in chunks", get("/sizes/x"), answers=[[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", CLOSE]]),
    Row("bytes of HEAD", request("HEAD", "/sizes/x"), head=True),
    Row("bytes of two pipelined requests", get("/sizes/1") + get("/sizes/2"), [200, 200]),
    Row("bytes of an empty answer", get("/sizes/x"), 204, answers=[[b"HTTP/1.1 204 No Content\r\n\r\n"]]),
]
