# SPDX-License-Identifier: Apache-2.0
"""Requests that are broken, or that two parsers could read differently."""

from row import Answers, Deviation, End, HalfClose, Row
from wire import get, post, request


def raw(*lines, end=b"\r\n", tail=b""):
    return end.join(lines) + end + end + tail


HOST = b"Host: a.test"
GET = b"GET /x HTTP/1.1"
POST = b"POST /x HTTP/1.1"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"


def strict(reason, requests=0, status=400):
    return Deviation(reason, status, "closed", requests)


ROWS = [
    Row("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    Row("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    Row("lower case method", b"get / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("no path", b"GET HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("path without a slash", b"GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("space in the path", b"GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("two spaces after the method", b"GET  /x HTTP/1.1\r\nHost: a.test\r\n\r\n", deviation=strict("RFC 9112 3: single SP; lenient parsing is how request lines get split")),
    Row("two spaces before the version", b"GET /x  HTTP/1.1\r\nHost: a.test\r\n\r\n", deviation=strict("RFC 9112 3: single SP")),
    Row("tab in the request line", b"GET\t/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("control byte in the path", b"GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("version without a number", b"GET /x HTTP/\r\nHost: a.test\r\n\r\n", 400,
        deviation=Deviation("a request line without a version has none to log; nginx prints an empty one", differs=("log:proto",))),
    Row("version with letters", b"GET /x HTTP/1.x\r\nHost: a.test\r\n\r\n", 400,
        deviation=Deviation("a request line without a version has none to log; nginx prints an empty one", differs=("log:proto",))),
    Row("space after the version", b"GET /x HTTP/1.1 \r\nHost: a.test\r\n\r\n", deviation=strict("RFC 9112 3: nothing between version and CRLF")),
    Row("bare LF everywhere", raw(GET, HOST, end=b"\n"), deviation=strict("bare LF: two parsers may disagree where a line ends (RFC 9112 2.2)")),
    Row("bare LF in a header", b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-A: b\nX-C: d\r\n\r\n", deviation=strict("bare LF ends no line (RFC 9112 2.2)")),
    Row("bare CR in a value", b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-A: b\rX-C: d\r\n\r\n", 400),
    Row("NUL in a value", raw(GET, HOST, b"X-A: b\x00c"), 400),
    Row("NUL in a name", raw(GET, HOST, b"X-\x00A: b"), 400),
    Row("control byte in a value", raw(GET, HOST, b"X-A: b\x01c"), 200, deviation=strict("control bytes are not of a field value (RFC 9110 5.5)")),
    Row("DEL in a value", raw(GET, HOST, b"X-A: b\x7fc"), 200, deviation=strict("control bytes are not of a field value (RFC 9110 5.5)")),
    Row("folded header", raw(GET, HOST, b"X-A: b", b" folded"), 400),
    Row("folded header with a tab", raw(GET, HOST, b"X-A: b", b"\tfolded"), 400),
    Row("first header line is folded", raw(GET, b" X: y", HOST), 400),
    Row("space before the colon", raw(GET, HOST, b"X-A : b"), 400),
    Row("header without a colon", raw(GET, HOST, b"X-A"), deviation=strict("a field line has a colon (RFC 9112 5)")),
    Row("header without a name", raw(GET, HOST, b": b"), 400),
    Row("space in a header name", raw(GET, HOST, b"X A: b"), 400),
    Row("empty Content-Length", raw(POST, HOST, b"Content-Length:"), 400),
    Row("negative Content-Length", raw(POST, HOST, b"Content-Length: -1"), 400),
    Row("signed Content-Length", raw(POST, HOST, b"Content-Length: +3", tail=b"abc"), 400),
    Row("Content-Length with letters", raw(POST, HOST, b"Content-Length: 3x", tail=b"abc"), 400),
    Row("hexadecimal Content-Length", raw(POST, HOST, b"Content-Length: 0x3", tail=b"abc"), 400),
    Row("Content-Length that overflows", raw(POST, HOST, b"Content-Length: 99999999999999999999"), 400),
    Row("two equal Content-Length", raw(POST, HOST, b"Content-Length: 3", b"Content-Length: 3", tail=b"abc"), 400),
    Row("two different Content-Length", raw(POST, HOST, b"Content-Length: 3", b"Content-Length: 0", tail=b"abc"), 400),
    Row("Content-Length as a list", raw(POST, HOST, b"Content-Length: 3, 3", tail=b"abc"), 400),
    Row("CL and TE", raw(POST, HOST, b"Content-Length: 44", b"Transfer-Encoding: chunked", tail=SMUGGLED), 400),
    Row("TE and CL", raw(POST, HOST, b"Transfer-Encoding: chunked", b"Content-Length: 3", tail=b"0\r\n\r\n"), 400),
    Row("unknown TE", raw(POST, HOST, b"Transfer-Encoding: xchunked", tail=SMUGGLED), 501),
    Row("TE identity", raw(POST, HOST, b"Transfer-Encoding: identity", tail=SMUGGLED), 501),
    Row("TE in other case", raw(POST, HOST, b"Transfer-Encoding: Chunked", tail=b"3\r\nabc\r\n0\r\n\r\n")),
    Row("TE list ending in chunked", raw(POST, HOST, b"Transfer-Encoding: gzip, chunked", tail=SMUGGLED), 501),
    Row("TE twice", raw(POST, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", tail=SMUGGLED), 400),
    Row("TE twice, the second unknown", raw(POST, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", tail=SMUGGLED), 400),
    Row("TE with a vertical tab", raw(POST, HOST, b"Transfer-Encoding: \x0bchunked", tail=SMUGGLED), 501, deviation=strict("control bytes are not of a field value (RFC 9110 5.5)")),
    Row("TE with HTTP/1.0", raw(b"POST /x HTTP/1.0", HOST, b"Transfer-Encoding: chunked", tail=SMUGGLED), 400),
    Row("TE with a quoted value", raw(POST, HOST, b'Transfer-Encoding: "chunked"', tail=SMUGGLED), 501),
    Row("TE name with an underscore is dropped", raw(POST, HOST, b"Transfer_Encoding: chunked", b"Content-Length: 3", tail=b"abc")),
    Row("chunk size with spaces", raw(POST, HOST, b"Transfer-Encoding: chunked", tail=b"5 \r\nhello\r\n0\r\n\r\n"), 200, deviation=strict("whitespace in a chunk size is no chunk-ext (RFC 9112 7.1)")),
    Row("chunk size with 0x", raw(POST, HOST, b"Transfer-Encoding: chunked", tail=b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("chunks with bare LF", raw(POST, HOST, b"Transfer-Encoding: chunked", tail=b"5\nhello\n0\n\n"), 200, deviation=strict("bare LF in chunked framing (RFC 9112 7.1)")),
    Row("chunk size line without end", raw(POST, HOST, b"Transfer-Encoding: chunked", tail=b"5;" + b"x" * 20000), None, log=1, deviation=strict("chunk extensions are bounded, or a client sends only those for ever; nginx waits for its timeout", 0)),
    Row("absolute form with an unknown scheme", get("ftp://a.test/x"), 200),
    Row("absolute form without a host", get("http:///x"), 400,
        deviation=Deviation("a request line that is refused as a whole has no parts to log", differs=("log:uri", "log:ruri", "log:m", "log:proto"))),
    Row("absolute form with user information", get("http://u:p@a.test/x"), 400),
    Row("header with a name of another world", raw(GET, HOST, "X-\u00e9: b".encode()), 200),
    Row("a header of one letter and nothing", raw(GET, HOST, b"X:"), 200),
    Row("200 fields of one name", raw(GET, HOST, *[b"X-A: b"] * 200), 200),
    Row("request line alone, then nothing", [b"GET /x HTTP/1.1\r\n", HalfClose(), End()], [], log=1),
    Row("Connection header with junk", raw(GET, HOST, b"Connection: ,,,;=,close,"), 200),
]
