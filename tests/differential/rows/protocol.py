# SPDX-License-Identifier: Apache-2.0
"""Keep-alive, pipelining, framing, versions; and backends that behave in all sorts of ways."""

from backend import BODY, CLOSE, DEFAULT, EARLY, HOLD, RESET, Sleep
from row import Answers, Bytes, Deviation, End, HalfClose, Hangup, Pause, Release, Row, Seen
from wire import get, post, request

CHUNKED = ("Transfer-Encoding: chunked",)


def chunks(*parts, trailers=b"", extension=b""):
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in parts)
    return body + b"0\r\n" + trailers + b"\r\n"


def keeps_trailers(outcome):
    assert ("trailer:X-Sum", "1") in outcome.answers[-1].fields
    assert outcome.answers[-1].body == b"hello"


def hears_hello(outcome):
    assert outcome.answers[-1].body == b"hello"


def bad_gateway(outcome):
    assert outcome.raw.startswith(b"HTTP/1.1 502 ")


OK_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OK_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hel", b"lo")

ROWS = [
    # versions and keep-alive
    Row("1.1 is kept", get("/return/")),
    Row("1.1 with Connection close", get("/return/", "Connection: close")),
    Row("1.1 with close among others", get("/return/", "Connection: foo, Close")),
    Row("1.0 is closed", get("/return/", version="1.0")),
    Row("1.0 with keep-alive is kept", get("/return/", "Connection: keep-alive", version="1.0")),
    Row("1.0 without Host", get("/x", host=None, version="1.0")),
    Row("0.9 gets the bare body", b"GET /return/\r\n"),
    Row("0.9 to a backend", b"GET /ten/x\r\n"),
    Row("1.2 is taken for 1.1", get("/return/", version="1.2"),
        deviation=Deviation("hawser speaks 1.1 to it, and says so", differs=("log:proto",))),
    Row("2.0 is refused", get("/return/", version="2.0"), 505,
        deviation=Deviation("a version that is not spoken is not logged; nginx prints an empty one", differs=("log:proto",))),
    Row("HTTP/1.1 in lower case is refused", b"GET / http/1.1\r\nHost: a.test\r\n\r\n", 400),
    Row("two requests one after the other", [get("/return/"), Answers(1), get("/x"), Answers(1)], [200, 200]),
    Row("pipelining", get("/1") + get("/return/") + get("/3") + get("/nothing", "Connection: close"), [200] * 4),
    Row("pipelining behind a POST", post("/1", b"abc") + request("POST", "/2", *CHUNKED, body=chunks(b"de", b"f")) + get("/3"), [200] * 3),
    Row("pipelining ends at a bad request", get("/1") + b"NO\x01NSENSE\r\n\r\n" + get("/3"), [200, 400]),
    Row("empty lines before a request", b"\r\n\r\n" + get("/return/")),
    Row("head in many pieces", [b"GET /ret", Pause(0.02), b"urn/ HT", Pause(0.02), b"TP/1.1\r\nHo", Pause(0.02), b"st: a.test\r", Pause(0.02), b"\n\r", Pause(0.02), b"\n"]),
    Row("keepalive_requests 3", [get("/return/"), Answers(1), get("/return/"), Answers(1), get("/return/"), Answers(1)], [200] * 3, port="alt"),
    Row("keepalive_timeout ends the connection", [get("/return/"), Answers(1), End()], port="alt"),
    Row("keepalive_timeout 0", get("/"), port="third"),
    Row("connection without a request", [HalfClose(), End()], None, log=0),
    Row("client_header_timeout", b"GET / HTTP/1.1\r\nHost: ", None, port="alt", log=1),
    Row("client_header_timeout before the first byte", [Pause(0.4), End()], None, port="alt", log=0),
    Row("client_body_timeout", request("POST", "/x", "Content-Length: 5", body=b"ab"), None, port="alt", log=1),
    Row("client goes away in the head", [b"GET / HT", Hangup()], [], log=1,
        deviation=Deviation("no version was sent", differs=("log:proto",))),
    Row("client goes away while the backend thinks", [get("/x"), Seen(1), Hangup()], [], answers=[[HOLD, DEFAULT]], log=1),
    Row("client half-closes after the request", [get("/x"), Seen(1), HalfClose(), End()], [], answers=[[HOLD, DEFAULT]], log=1),
    # request bodies
    Row("chunked request", request("POST", "/x", *CHUNKED, body=chunks(b"hello", b" ", b"world"))),
    Row("chunked request to a 1.0 backend", request("POST", "/ten/x", *CHUNKED, body=chunks(b"hello", b" ", b"world"))),
    Row("chunked request, streamed", [request("POST", "/stream/x", *CHUNKED), Pause(0.05), b"5\r\nhello\r\n", Pause(0.05), b"0\r\n\r\n"]),
    Row("chunk extensions are dropped", request("POST", "/x", *CHUNKED, body=chunks(b"hello", extension=b";a=b"))),
    Row("request trailers", request("POST", "/x", "Trailer: X-Sum", *CHUNKED, body=chunks(b"hello", trailers=b"X-Sum: 1\r\n")) + get("/return/"), [200, 200]),
    Row("chunk sizes in upper case and with zeros", request("POST", "/x", *CHUNKED, body=b"00A\r\n0123456789\r\n0\r\n\r\n")),
    Row("empty chunked body", request("POST", "/x", *CHUNKED, body=b"0\r\n\r\n")),
    Row("chunk size is no number", request("POST", "/x", *CHUNKED, body=b"zz\r\nhello\r\n0\r\n\r\n"), 400),
    Row("chunk size is negative", request("POST", "/x", *CHUNKED, body=b"-1\r\nhello\r\n0\r\n\r\n"), 400),
    Row("chunk size overflows", request("POST", "/x", *CHUNKED, body=b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400),
    Row("chunk without its CRLF", request("POST", "/x", *CHUNKED, body=b"5\r\nhelloX0\r\n\r\n"), 400),
    Row("POST body in pieces", [request("POST", "/x", "Content-Length: 10"), b"01234", Pause(0.05), b"56789"]),
    Row("POST body in pieces, streamed", [request("POST", "/stream/x", "Content-Length: 10"), b"01234", Pause(0.05), b"56789"]),
    Row("POST body ends early", [request("POST", "/x", "Content-Length: 10", body=b"01234"), HalfClose(), End()], [], log=1),
    Row("body as large as allowed", post("/x", b"x" * 10240)),
    Row("body larger than allowed", post("/x", b"x" * 10241), 413),
    Row("body said to be larger than allowed", [request("POST", "/x", "Content-Length: 99999999"), Answers(1), HalfClose(), End()], 413),
    Row("chunked body larger than allowed", request("POST", "/x", *CHUNKED, body=chunks(b"x" * 6000, b"x" * 6000)), 413,
        blind=("log:len",)),  # how much of it had arrived
    Row("body without a limit", post("/nolimit/x", b"x" * 200000)),
    Row("large body, streamed", [post("/stream/x", b"x" * 10000)]),
    Row("return reads the body away", post("/return/", b"x" * 500) + get("/return/"), [200, 200]),
    Row("Expect gets 100 and then the answer", [request("POST", "/x", "Content-Length: 3", "Expect: 100-continue"), Pause(0.05), b"abc"]),
    Row("Expect with a body at once", request("POST", "/x", "Content-Length: 3", "Expect: 100-continue", body=b"abc")),
    Row("Expect in other case", request("POST", "/x", "Content-Length: 3", "Expect: 100-Continue", body=b"abc")),
    Row("Expect something else", request("POST", "/x", "Content-Length: 3", "Expect: magic", body=b"abc")),
    Row("Expect from 1.0 is no 100", request("POST", "/x", "Content-Length: 3", "Expect: 100-continue", version="1.0", body=b"abc")),
    Row("Expect with a body that is too large", [request("POST", "/x", "Content-Length: 99999", "Expect: 100-continue"), Answers(1), HalfClose(), End()], 413),
    # answers of backends
    Row("HEAD", request("HEAD", "/x"), head=True),
    Row("HEAD with Content-Length and no body", request("HEAD", "/x"), head=True, answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", CLOSE]]),
    Row("HEAD then GET on one connection", [request("HEAD", "/x")], head=True, answers=[[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CLOSE]]),
    Row("answer with a length", get("/x"), answers=[[OK_LENGTH]]),
    Row("answer in chunks", get("/x"), answers=[[OK_CHUNKED, CLOSE]]),
    Row("answer in chunks to 1.0", get("/x", version="1.0"), answers=[[OK_CHUNKED, CLOSE]]),
    Row("answer in chunks to 1.0 keep-alive", get("/x", "Connection: keep-alive", version="1.0"), answers=[[OK_CHUNKED, CLOSE]]),
    Row("answer in chunks, byte by byte", get("/x"), answers=[[w for b in OK_CHUNKED for w in (bytes([b]), Sleep(0.0005))] + [CLOSE]]),
    Row("answer in chunks, streamed", get("/stream/x"), answers=[[OK_CHUNKED, CLOSE]]),
    Row("answer with trailers", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello", trailers=b"X-Sum: 1\r\n"), CLOSE]],
        deviation=Deviation("nginx 1.22 drops trailers; hawser passes them on (RFC 9110 6.5)", 200, "kept", 1, keeps_trailers)),
    Row("answer until close", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE]]),
    Row("answer until close to 1.0", get("/x", version="1.0"), answers=[[b"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE]]),
    Row("answer of HTTP/1.0", get("/x"), answers=[[b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", CLOSE]]),
    Row("answer of 204", get("/x"), 204, answers=[[b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"]]),
    Row("answer of 304", get("/x"), 304, answers=[[b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n']]),
    Row("answer of 304 with a length", get("/x"), 304, answers=[[b'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n']]),
    Row("answer with an empty body", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]]),
    Row("answer of 500 passes", get("/x"), 500, answers=[[b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"]]),
    Row("100 of the backend before the answer", post("/x", b"abc"), answers=[[b"HTTP/1.1 100 Continue\r\n\r\n" + OK_LENGTH]],
        deviation=Deviation("1xx answers are interim (RFC 9110 15.2); nginx 1.22 takes one for the answer", 200, "kept", 1, hears_hello)),
    Row("103 of the backend before the answer", get("/x"), answers=[[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK_LENGTH]],
        deviation=Deviation("1xx answers are interim (RFC 9110 15.2); nginx 1.22 takes one for the answer", 200, "kept", 1, hears_hello)),
    Row("answer before the request's body is there", [request("POST", "/stream/x", "Content-Length: 10", body=b"01"), Answers(1), b"23456789", Pause(0.05)], 403, answers=[[EARLY, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", CLOSE]],
        deviation=Deviation("the body came to its end after the answer, so the connection is good for another request", 403, "kept", 1)),
    Row("large answer", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"0123456789" * 30000]]),
    Row("large answer until close", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\n\r\n" + b"0123456789" * 30000, CLOSE]]),
    Row("answer in two parts with a pause", get("/x"), answers=[[OK_LENGTH[:20], Sleep(0.05), OK_LENGTH[20:-2], Sleep(0.05), OK_LENGTH[-2:]]]),
    Row("answer is cut before its length", get("/x"), answers=[[OK_LENGTH[:-2], CLOSE]],
        deviation=Deviation("nginx calls a cut answer complete; $request_completion says so only of whole ones", differs=("log:comp",))),
    Row("answer is cut in its chunks", get("/x"), answers=[[OK_CHUNKED[:-9], CLOSE]],
        deviation=Deviation("nginx calls a cut answer complete; $request_completion says so only of whole ones", differs=("log:comp",))),
    Row("answer is cut by a reset", get("/x"), answers=[[OK_LENGTH[:-2], Sleep(0.05), RESET]],
        deviation=Deviation("what came before a reset is passed on; nginx may drop it, and calls the answer complete", differs=("log:comp", "log:bb", "body"))),
    Row("answer stalls in its body", get("/stream/x"), answers=[[OK_LENGTH[:-2], HOLD]],
        deviation=Deviation("nginx calls a cut answer complete; $request_completion says so only of whole ones", differs=("log:comp",))),
    Row("answer is longer than it says", get("/x"), answers=[[OK_LENGTH + b"surplus", CLOSE]]),
    Row("no answer, closed", get("/x"), 502, answers=[[CLOSE]]),
    Row("no answer, reset", get("/x"), 502, answers=[[RESET]]),
    Row("no answer in time", get("/x"), 504, answers=[[HOLD]]),
    Row("nobody listens", get("/dead/x"), 502),
    Row("nobody listens, HEAD", request("HEAD", "/dead/x"), 502, head=True),
    Row("nobody listens, POST", post("/dead/x", b"abc"), 502),
    Row("head of the answer is cut", get("/x"), 502, answers=[[b"HTTP/1.1 200 OK\r\nX-A: b\r\n", CLOSE]]),
    Row("answer is no HTTP", [get("/x"), Bytes(19), HalfClose(), End()], [], log=1, answers=[[b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE]],
        deviation=Deviation("nginx takes it for HTTP/0.9 and passes the bytes without a head", None, "closed", 1, bad_gateway)),
    Row("answer has a broken field", get("/x"), 502, answers=[[b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", CLOSE]]),
    Row("answer has a broken length", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello", CLOSE]],
        deviation=Deviation("an unreadable length could smuggle a second answer (RFC 9112 6.3)", 502, "kept", 1)),
    Row("answer has two lengths", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", CLOSE]],
        deviation=Deviation("two lengths could smuggle a second answer (RFC 9112 6.3)", 502, "kept", 1)),
    Row("answer has length and chunks", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello"), CLOSE]]),
    Row("answer has an unknown transfer coding", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", CLOSE]],
        deviation=Deviation("the end of an unknown coding cannot be found (RFC 9112 6.3)", 502, "kept", 1)),
    Row("answer's head is larger than the buffer", get("/x"), 502, answers=[[b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 5000 + b"\r\nContent-Length: 0\r\n\r\n"]]),
    Row("answer's head fits the buffer", get("/x"), answers=[[b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 3800 + b"\r\nContent-Length: 0\r\n\r\n"]]),
    Row("answer's head against proxy_buffer_size", get("/smallhead/x"), 502, answers=[[b"HTTP/1.1 200 OK\r\nX-Big: " + b"b" * 1100 + b"\r\nContent-Length: 0\r\n\r\n"]]),
    Row("answer of 101 that nobody asked for", get("/x"), 101, answers=[[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CLOSE]],
        deviation=Deviation("a 101 is checked against the request: no tunnel without an Upgrade (RFC 9110 15.2.2)", 502, "kept", 1)),
    # upstream keep-alive
    Row("backend's connection is used again", [get("/kept/1"), Answers(1), get("/kept/2"), Answers(1)], [200, 200]),
    Row("backend's connection is used again by others", get("/kept/3")),
    Row("kept connection that the backend closed is replaced", [get("/kept/1"), Answers(1), Pause(0.1), get("/kept/2"), Answers(1)], [200, 200], answers=[[OK_LENGTH, CLOSE]]),
    Row("answer says close: not kept", [get("/kept/1"), Answers(1), get("/kept/2"), Answers(1)], [200, 200], answers=[[b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", CLOSE]]),
    Row("upstream keepalive with HTTP/1.0", [get("/kept10/1"), Answers(1), get("/kept10/2"), Answers(1)], [200, 200]),
    Row("answer until close is not kept", [get("/kept/1"), Answers(1), get("/kept/2"), Answers(1)], [200, 200], answers=[[b"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE]]),
    # large heads
    Row("header line of 4000 bytes", get("/x", "X-Big: " + "b" * 4000)),
    Row("header line of 9000 bytes", get("/x", "X-Big: " + "b" * 9000), 400),
    Row("request line of 9000 bytes", get("/" + "x" * 9000), 414,
        deviation=Deviation("how much of a line that is too long stands in the log depends on buffers", differs=("log:req",))),
    Row("request line of 7000 bytes", get("/" + "x" * 7000)),
    Row("headers of 40000 bytes in all", get("/x", *[f"X-Big{i}: " + "b" * 4000 for i in range(10)]), 400),
    Row("many small headers", get("/x", *[f"X-N{i}: {i}" for i in range(200)])),
    Row("small buffers, line fits", get("/" + "x" * 300), port="alt"),
    Row("small buffers, request line too long", get("/" + "x" * 600), 414, port="alt",
        deviation=Deviation("how much of a line that is too long stands in the log depends on buffers", differs=("log:req",))),
    Row("small buffers, header too long", get("/", "X-Big: " + "b" * 600), 400, port="alt"),
    Row("small buffers, headers too many", get("/", *[f"X-Big{i}: " + "b" * 300 for i in range(5)]), 400, port="alt"),
]
