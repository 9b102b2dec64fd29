# SPDX-License-Identifier: Apache-2.0
"""WebSocket and other upgrades through the site's nginx recipe."""

from backend import CLOSE, ECHO, HOLD, RESET, SWALLOW, Sleep, switch
from row import Answers, Bytes, End, HalfClose, Hangup, Pause, Row, Seen
from wire import get, post, request

SITE = "websocket.bbotte.com"
ASK = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
NAMES = ("sec-websocket-accept", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions")


def site(target="/", *fields, host=SITE):
    return get(target, *fields, host=host)


def accepts_with(*fields, tail=b""):
    def answer(record):
        return switch(record).replace(b"\r\n\r\n", b"".join(b"\r\n" + f.encode() for f in fields) + b"\r\n\r\n") + tail

    return answer


def hello_early(record):
    return switch(record) + b"early"


REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nX-Why: no\r\n\r\nrefused"

ROWS = [
    Row("plain request through the site's file", site("/x")),
    Row("upgrade and echo", [site("/chat?room=1", *ASK), Answers(1), b"ping", Bytes(4), b"more of it", Bytes(10)], 101, answers=[[switch, ECHO]], exact_names=("Sec-WebSocket-Accept", *NAMES)),
    Row("second upgrade goes to the second server", [site("/", *ASK), Answers(1), b"ping", Bytes(4)], 101, answers=[[switch, ECHO]]),
    Row("bytes sent right behind the request are kept", [site("/", *ASK) + b"early", Answers(1), Bytes(5)], 101, answers=[[switch, ECHO]]),
    Row("bytes of the backend right behind the 101 are kept", [site("/", *ASK), Answers(1), Bytes(5), b"x", Bytes(1)], 101, answers=[[hello_early, ECHO]]),
    Row("names of Sec-WebSocket fields keep their case", [site("/", *ASK, "Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Extensions: permessage-deflate"), Answers(1)], 101,
        answers=[[accepts_with("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate"), ECHO]],
        exact_names=("Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Version")),
    Row("the browser's Connection: keep-alive, Upgrade", [site("/", "Connection: keep-alive, Upgrade", *ASK[1:]), Answers(1), b"p", Bytes(1)], 101, answers=[[switch, ECHO]]),
    Row("Upgrade in other case", [site("/", "Connection: UPGRADE", "Upgrade: WebSocket", *ASK[2:]), Answers(1), b"p", Bytes(1)], 101, answers=[[switch, ECHO]]),
    Row("backend closes after a while", [site("/", *ASK), Answers(1), End()], 101, answers=[[switch, b"bye", Sleep(0.05), CLOSE]]),
    Row("client closes", [site("/", *ASK), Answers(1), b"bye", Pause(0.05), Hangup()], 101, answers=[[switch, SWALLOW]]),
    Row("large data both ways", [site("/", *ASK), Answers(1), b"0123456789" * 20000, Bytes(200000)], 101, answers=[[switch, ECHO]]),
    Row("refused with 400", site("/", *ASK), 400, answers=[[REFUSAL]]),
    Row("refused with 400 and close", site("/", *ASK), 400, answers=[[REFUSAL, CLOSE]]),
    Row("refused with 403 in chunks", site("/", *ASK), 403, answers=[[b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", CLOSE]]),
    Row("refused with 426", site("/", *ASK), 426, answers=[[b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"]]),
    Row("redirected", site("/", *ASK), 302, answers=[[b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"]]),
    Row("answered with 200", site("/", *ASK), 200, answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]]),
    Row("two refusals on one connection", [site("/", *ASK), Answers(1), site("/", *ASK), Answers(1)], [400, 400], answers=[[REFUSAL], [REFUSAL]]),
    Row("refused, then accepted on the same connection", [site("/", *ASK), Answers(1), site("/", *ASK), Answers(1), b"p", Bytes(1)], [400, 101], answers=[[REFUSAL], [switch, ECHO]]),
    Row("backend closes instead of answering", get("/added/x", *ASK), 502, answers=[[CLOSE]]),
    Row("Upgrade without Connection", site("/", *ASK[1:]), 101, answers=[[switch, ECHO]]),
    Row("Connection without Upgrade", site("/", ASK[0], *ASK[2:])),
    Row("Upgrade to something else", [site("/", "Connection: Upgrade", "Upgrade: tcp"), Answers(1), b"p", Bytes(1)], 101,
        answers=[[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", ECHO]]),
    Row("101 to another protocol than asked", [site("/", *ASK), Answers(1)], 101,
        answers=[[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", CLOSE]]),
    Row("101 without an Upgrade field", [site("/", *ASK), Answers(1)], 101,
        answers=[[b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", CLOSE]]),
    Row("upgrade with POST and a body", [request("POST", "/", *ASK, "Content-Length: 3", host=SITE, body=b"abc"), Answers(1)], answers=[]),
    Row("upgrade from HTTP/1.0", get("/", *ASK, host=SITE, version="1.0"), 200),
    Row("upgrade of HTTP/1.0 that the backend accepts", [get("/", *ASK, host=SITE, version="1.0"), Answers(1)], 101, answers=[[switch, CLOSE]]),
    Row("literal upgrade without a client's Upgrade", get("/literal/x")),
    Row("literal upgrade", [get("/literal/x", *ASK), Answers(1), b"p", Bytes(1)], 101, answers=[[switch, ECHO]]),
    Row("recipe without proxy_http_version", get("/ten/x", *ASK)),
    Row("recipe forgotten: the endpoint sees no Upgrade", get("/forgot/x", *ASK), 400, answers=[[REFUSAL]]),
    Row("Upgrade passed, Connection forgotten", get("/plain/x", *ASK), 400, answers=[[REFUSAL]]),
    Row("add_header and hide_header on a 101", [get("/added/x", *ASK), Answers(1)], 101, answers=[[accepts_with("X-Secret: s", "X-Kept: k"), ECHO]]),
    Row("proxy_read_timeout ends an idle tunnel", [get("/idle/x", *ASK), Answers(1), End()], 101, answers=[[switch, ECHO]]),
    Row("a busy tunnel outlives proxy_read_timeout", [get("/idle/x", *ASK), Answers(1)] + [w for _ in range(8) for w in (Pause(0.2), b"p", Bytes(1))], 101, answers=[[switch, ECHO]]),
    Row("denied before it starts", get("/denied/x", *ASK), 403),
    Row("Host mismatch goes to the first server", [get("/", *ASK, host="other.test"), Answers(1), b"p", Bytes(1)], 101, answers=[[switch, ECHO]]),
    Row("client resets while the backend holds the handshake", [site("/", *ASK), Seen(1), Hangup()], [], answers=[[HOLD, CLOSE]], log=1),
]
