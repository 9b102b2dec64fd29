# SPDX-License-Identifier: Apache-2.0
"""real_ip, allow and deny, limit_conn, limit_req."""

from backend import DEFAULT, HOLD
from row import Answers, Row
from wire import get, post

XFF = "X-Forwarded-For: "

ROWS = [
    Row("allowed", get("/allow/x")),
    Row("not allowed", get("/allow/x"), 403, source="127.0.0.9"),
    Row("denied by a network", get("/deny/x"), 403),
    Row("outside of the denied network", get("/deny/x"), source="127.0.0.4"),
    Row("return comes before access", get("/order/x"), source="127.0.0.2"),
    Row("deny is inherited", get("/inherit/in/x"), 403),
    Row("own access rules replace inherited ones", get("/inherit/own/x")),
    Row("deny keeps the connection for a GET", [get("/deny/x"), Answers(1), get("/"), Answers(1)], [403, 200]),
    Row("deny reads the body away", [post("/deny/x", b"x" * 2000) + get("/")], [403, 200]),
    Row("limit_req: one a minute", [get("/req/?key=a"), Answers(1), get("/req/?key=a"), Answers(1)], [200, 503]),
    Row("limit_req: keys apart", [get("/req/?key=b"), Answers(1), get("/req/?key=c"), Answers(1)], [200, 200]),
    Row("limit_req: an empty key is not counted", [get("/req/"), Answers(1), get("/req/"), Answers(1)], [200, 200]),
    Row("limit_req: burst without delay, own status", [get("/reqburst/?key=d"), Answers(1)] * 4, [200, 200, 200, 429]),
    Row("limit_req: by address", [get("/reqaddr/"), Answers(1), get("/reqaddr/"), Answers(1)], [200, 503], source="127.0.0.21"),
    Row("limit_req: another address", get("/reqaddr/"), source="127.0.0.22"),
    Row("limit_req: dry run", [get("/reqdry/?key=e"), Answers(1), get("/reqdry/?key=e"), Answers(1)], [200, 200]),
    Row("limit_req: delays within the burst", [get("/reqdelay/?key=f"), Answers(1)] * 3, [200] * 3),
    Row("limit_conn: second at the same time", get("/conn/?key=a"), 503, holder=get("/conn/?key=a"), answers=[[HOLD, DEFAULT]]),
    Row("limit_conn: freed afterwards", get("/conn/?key=a")),
    Row("limit_conn: another key", get("/conn/?key=c"), holder=get("/conn/?key=b"), answers=[[HOLD, DEFAULT]]),
    Row("limit_conn: own status", get("/connstatus/?key=d"), 429, holder=get("/conn/?key=d"), answers=[[HOLD, DEFAULT]]),
    Row("real_ip from a trusted peer", get("/", XFF + "192.0.2.7"), port="alt"),
    Row("real_ip takes the last address", get("/", XFF + "192.0.2.7, 198.51.100.1"), port="alt"),
    Row("real_ip with a trusted address last", get("/", XFF + "192.0.2.7, 10.1.1.1"), port="alt"),
    Row("real_ip recursive skips trusted ones", get("/recursive/", XFF + "192.0.2.7, 10.1.1.1"), port="alt"),
    Row("real_ip recursive over several fields", get("/recursive/", XFF + "192.0.2.7", XFF + "10.1.1.1, 10.1.1.2"), port="alt"),
    Row("real_ip recursive, all trusted", get("/recursive/", XFF + "10.1.1.3, 10.1.1.1"), port="alt"),
    Row("real_ip from a peer that is not trusted", get("/", XFF + "192.0.2.7"), port="alt", source="127.0.0.8"),
    Row("real_ip without the header", get("/"), port="alt"),
    Row("real_ip with junk", get("/", XFF + "nonsense"), port="alt"),
    Row("real_ip with a port", get("/", XFF + "192.0.2.7:1234"), port="alt"),
    Row("real_ip with an IPv6 address", get("/", XFF + "2001:db8::1"), port="alt"),
    Row("real_ip in what the backend gets", get("/proxy/", XFF + "192.0.2.7"), port="alt"),
    Row("allow sees the real address", get("/only/x", XFF + "192.0.2.7"), port="alt"),
    Row("deny sees the real address", get("/only/x", XFF + "198.51.100.7"), 403, port="alt"),
    Row("real_ip_header X-Real-IP by default", get("/", "X-Real-IP: 203.0.113.9"), port="third"),
]
