# SPDX-License-Identifier: Apache-2.0
"""The site's nginx file, unchanged, on port 80: names, upgrades, and what a failed handshake says."""

import re

import pytest

import site_programs as site
import visits
import wire
from visits import ASK, NODE_A, NODE_B, SITE

WEB = (NODE_A, 80)


def test_a_plain_request_by_name_goes_over_the_nodeports_to_a_pod(lab, site_cluster):
    hawser = site_cluster.start("a")
    site_cluster.start("b")
    log = hawser.nginx_log / "websocket.log"
    before = log.read_text() if log.exists() else ""
    answer = visits.fetch(lab, WEB)
    assert answer.status == 200
    assert answer.values("X-Pod")[0] in ("a1", "b1")
    assert b"host=websocket" in answer.body, "the file sets no Host: nginx sends $proxy_host"
    hawser.wait(lambda: "GET / HTTP/1.1" in log.read_text()[len(before) :], 3, "wrote no access log")


def test_a_handshake_by_name_upgrades_and_echoes(lab, site_cluster, pods):
    site_cluster.start("a")
    site_cluster.start("b")
    for node in (NODE_A, NODE_B):
        client = visits.upgrade(lab, (node, 80))
        visits.talk(client, b"\x82\x85\x00\x00\x00\x00hello")
        client.close()
    seen = [fields for _, _, (_, fields) in pods.wait_for("request", 2)]
    assert all(f["upgrade"] == "websocket" and f["connection"] == "upgrade" for f in seen)


def test_another_name_goes_to_the_first_server_as_in_nginx(lab, site_cluster):
    site_cluster.start("a")
    site_cluster.start("b")
    client = visits.upgrade(lab, WEB, name="other.example.org")
    visits.talk(client, b"ping")
    client.close()


def test_another_name_is_refused_where_a_default_server_says_so(lab, site_cluster):
    site_cluster.write_nginx(site_cluster.nginx.read_text() + "\nserver { listen 80 default_server; return 421; }\n")
    site_cluster.start("a")
    assert visits.fetch(lab, WEB, *ASK, name="other.example.org").status == 421
    visits.upgrade(lab, WEB).close()


def test_a_rejected_upgrade_is_passed_through_and_explained(lab, site_cluster):
    hawser = site_cluster.start("a")
    site_cluster.start("b")
    answer = visits.fetch(lab, WEB, *ASK, path="/refuse")
    assert (answer.status, answer.body) == (403, b"members")
    assert_explained(hawser, 'the endpoint answered 403 with "members"')
    assert hawser.metric("hawser_handshakes_total{") >= 1


FORGOTTEN = """
server {
    listen 80;
    location / { proxy_pass http://192.168.0.100:30100; proxy_http_version 1.1; }
}
"""


def test_a_configuration_that_drops_upgrade_is_explained(lab, site_cluster):
    """The site's old trouble: 'Handshake failed due to invalid Upgrade header: null'."""
    site_cluster.write_nginx(FORGOTTEN)
    hawser = site_cluster.start("a")
    answer = visits.fetch(lab, WEB, *ASK, path="/echo")
    assert answer.status == 400
    assert answer.body == b"Handshake failed due to invalid Upgrade header: null"
    assert_explained(hawser, "the endpoint saw no Upgrade header")


def test_a_client_without_connection_upgrade_is_explained(lab, site_cluster):
    site_cluster.write_nginx((site.SITE / "nginx-websocket.conf").read_text().replace("$connection_upgrade;\n    }", "$http_connection;\n    }"))
    hawser = site_cluster.start("a")
    site_cluster.start("b")
    answer = visits.fetch(lab, WEB, *ASK[1:], path="/echo")
    assert answer.status == 400
    assert_explained(hawser, "the client sent Upgrade without Connection: upgrade")


def test_an_endpoint_that_cannot_be_reached_is_explained(lab, site_cluster, pods):
    hawser = site_cluster.start("a")
    pods.kill("a1")
    pods.kill("b1")
    answer = visits.fetch(lab, WEB, *ASK)
    assert answer.status == 502
    hawser.wait(lambda: "handshake failed" in hawser.words(), 3, "did not explain")


def assert_explained(hawser, words):
    hawser.wait(lambda: any("handshake failed" in line and words in line for line in hawser.words().splitlines()), 3,
                f"did not say {words!r}")


INGRESS = """
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: { name: chat }
spec:
  rules:
    - host: chat.example.org
      http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: im-service, port: { number: 9080 } } } }
"""


def test_an_ingress_upgrades_without_any_configuration(lab, site_cluster, pods):
    site_cluster.write("ingress.yaml", INGRESS)
    site_cluster.start("a", nginx=False)
    client = visits.upgrade(lab, WEB, name="chat.example.org")
    visits.talk(client, b"ping")
    client.close()
    assert visits.fetch(lab, WEB, name="nobody.example.org").status == 404
    (_, _, (_, fields)), *_ = pods.wait_for("request")
    assert fields["host"] == "chat.example.org"


def test_sec_websocket_names_keep_their_case(lab, site_cluster):
    site_cluster.start("a")
    site_cluster.start("b")
    client = visits.upgrade(lab, WEB)
    assert "Sec-WebSocket-Accept" in [name for name, _ in client.handshake.fields]
    client.close()


def test_bytes_behind_the_handshake_are_not_lost(lab, site_cluster):
    site_cluster.start("a")
    site_cluster.start("b")
    client = visits.open_client(lab, WEB)
    client.send(wire.get("/echo", *ASK, host=SITE) + b"early bytes")
    assert client.answer().status == 101
    assert client.take(11) == b"early bytes"
    client.close()


def test_access_log_of_a_tunnel_is_one_line_as_nginx_writes_it(lab, site_cluster):
    hawser = site_cluster.start("a")
    site_cluster.start("b")
    log = hawser.nginx_log / "websocket.log"
    before = log.read_text() if log.exists() else ""  # of other tests: the node keeps its disk
    client = visits.upgrade(lab, WEB)
    visits.talk(client, b"12345")
    client.close()
    hawser.wait(lambda: len(log.read_text()) > len(before), 3, "wrote no line at the close")
    (line,) = log.read_text()[len(before) :].splitlines()
    assert re.search(r'"GET /echo HTTP/1.1" 101 5 ', line), line


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_requests_that_could_be_smuggled_are_refused(lab, site_cluster, pods, junk):
    site_cluster.start("a")
    client = visits.open_client(lab, WEB)
    client.send(junk)
    answer = client.answer()
    assert answer.status == 400 and client.fate(True) == "closed"
    assert not [e for e in pods.events if e[1] == "request"]
