# SPDX-License-Identifier: Apache-2.0
"""Balancing, and the next server after a failure."""

from backend import CLOSE, DEFAULT, HOLD, RESET, Sleep
from row import Answers, Deviation, Row
from wire import get, post, request

BAD = b"HTTP/1.1 200 OK\r\nbroken\x00: x\r\n\r\n"


def says(status):
    return [f"HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\nx".encode()]


def several(count, target, *fields):
    return [w for i in range(count) for w in (get(target.replace("#", str(i)), *fields), Answers(1))]


def addresses(count, target):
    """Requests of many clients, told apart by X-Real-IP."""
    return [w for i in range(count) for w in (get(target, f"X-Real-IP: 10.{i * 7 % 256}.{i * 13 % 256}.5"), Answers(1))]


def one_backend(outcome):
    assert len({r.backend for r in outcome.requests}) == 1


ROWS = [
    Row("round robin", several(6, "/rr/"), [200] * 6),
    Row("round robin goes on with the next client", several(2, "/rr/"), [200] * 2),
    Row("weighted round robin is smooth", several(16, "/weighted/"), [200] * 16),
    Row("least_conn without load is round robin", several(4, "/least/"), [200] * 4),
    Row("least_conn avoids the busy one", several(3, "/least/"), [200] * 3, holder=get("/least/"), answers=[[HOLD, DEFAULT]]),
    Row("ip_hash keeps a client", several(5, "/iphash/"), [200] * 5, check=one_backend),
    Row("ip_hash over many networks", addresses(20, "/iphash/"), [200] * 20),
    Row("ip_hash looks at three bytes of IPv4", [get("/iphash/", "X-Real-IP: 10.1.2.3"), Answers(1), get("/iphash/", "X-Real-IP: 10.1.2.200"), Answers(1)], [200] * 2, check=one_backend),
    Row("ip_hash with one down", addresses(20, "/iphashdown/"), [200] * 20),
    Row("ip_hash of IPv6", [w for i in range(6) for w in (get("/iphash/", f"X-Real-IP: 2001:db8::{i}:1"), Answers(1))], [200] * 6),
    Row("hash", several(20, "/hashed/?key=k#"), [200] * 20),
    Row("hash of an empty key", several(3, "/hashed/"), [200] * 3),
    Row("hash consistent", several(30, "/ketama/?key=k#"), [200] * 30),
    Row("random two answers", several(5, "/two/"), [200] * 5, blind=("backend", "body", "log")),
    Row("down is left out, backup stays spare", several(3, "/spare/"), [200] * 3),
    Row("backup takes over", several(2, "/onlyspare/"), [200] * 2),
    Row("all down", get("/alldown/"), 502),
    Row("max_conns leaves the busy one out", several(2, "/maxconns/"), [200] * 2, holder=get("/maxconns/"), answers=[[HOLD, DEFAULT]]),
    Row("max_conns reached everywhere", get("/full/"), 502, holder=get("/full/"), answers=[[HOLD, DEFAULT]]),
    Row("a dead server is tried and then left out", several(3, "/marks/"), [200] * 3),
    Row("max_fails 2", several(5, "/marktwo/"), [200] * 5, answers=[[RESET], [DEFAULT], [RESET]]),
    Row("all dead", get("/alldead/"), 502),
    Row("next after a reset", get("/fragile/"), answers=[[RESET]]),
    Row("next after a close", get("/fragile/"), answers=[[CLOSE]]),
    Row("next after a timeout", get("/fragile/"), answers=[[HOLD, CLOSE]]),
    Row("all fail", get("/fragile/"), 502, answers=[[RESET], [CLOSE], [RESET]]),
    Row("all time out", get("/fragile/"), 504, answers=[[HOLD]] * 3),
    Row("POST is not sent twice", post("/fragile/", b"abc"), 502, answers=[[RESET]]),
    Row("PUT is sent again", request("PUT", "/fragile/", "Content-Length: 3", body=b"abc"), answers=[[RESET]]),
    Row("LOCK is not sent twice", request("LOCK", "/fragile/"), 502, answers=[[RESET]]),
    Row("POST is sent again where asked for", post("/nextall/", b"abc"), answers=[[RESET]]),
    Row("500 is not a failure by default", get("/fragile/"), 500, answers=[says(500)]),
    Row("next after 500", get("/next500/"), answers=[says(500)]),
    Row("next after 404 and 429", get("/next500/"), answers=[says(404), says(429)]),
    Row("the last 500 is shown", get("/next500/"), 500, answers=[says(503), says(403), says(500)]),
    Row("502 is not in the list", get("/next500/"), 502, answers=[says(502)]),
    Row("invalid head is not a failure by default", get("/fragile/"), 502, answers=[[BAD, CLOSE]]),
    Row("next after an invalid head", get("/nextheader/"), answers=[[BAD, CLOSE]]),
    Row("proxy_next_upstream off", get("/nextoff/"), 502, answers=[[RESET]]),
    Row("proxy_next_upstream_tries", get("/tries/"), 502, answers=[[RESET], [RESET]]),
    Row("proxy_next_upstream_timeout", get("/nexttime/"), 504, answers=[[HOLD, CLOSE]]),
    Row("failure after the head is not retried", get("/fragile/"), answers=[[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Sleep(0.05), RESET]],
        deviation=Deviation("what came before a reset is passed on; nginx may drop it, and calls the answer complete", differs=("log:comp", "log:bb", "body"))),
]
