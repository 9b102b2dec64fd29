# SPDX-License-Identifier: Apache-2.0
"""The site's own Services, unchanged, on its two nodes. The rows of the Service tables are in test_l4_*.py."""

import json

import pytest

import site_programs as site
import visits
from visits import EXTERNAL, NODE_A, NODE_B

pytestmark = pytest.mark.usefixtures("plane")
IM, TESTIM = {"a1", "b1"}, {"a2", "a3", "b2", "b3"}
MANY = [f"192.168.0.{n}" for n in range(20, 60)]


@pytest.fixture(scope="module")
def many(lab):
    lab.add_addresses("client", MANY)
    return MANY


def test_the_nodeport_of_both_nodes_reaches_the_pods(lab, site_cluster):
    """S-05: 30100 of 192.168.0.100 and .101 are the pods' 9080."""
    site_cluster.start("a", nginx=False)
    site_cluster.start("b", nginx=False)
    for node in (NODE_A, NODE_B):
        reached = {visits.pod_of(lab, (node, 30100))[0] for _ in range(20)}
        assert reached == IM, node


def test_the_external_ip_pins_a_client_to_one_pod(lab, site_cluster):
    """S-08, A-04: 15 hits on the same pod."""
    site_cluster.start("a", nginx=False)
    reached = [visits.pod_of(lab, (EXTERNAL, 9080))[0] for _ in range(15)]
    assert len(set(reached)) == 1 and reached[0] in TESTIM


def test_the_scheduler_sh_gives_a_client_the_same_pod_on_every_node(lab, site_cluster, many):
    site_cluster.start("a", nginx=False)
    site_cluster.start("b", nginx=False)
    on_a = {c: visits.pod_of(lab, (EXTERNAL, 9080), source=c)[0] for c in many}
    lab.route_external("client", "b")
    try:
        on_b = {c: visits.pod_of(lab, (EXTERNAL, 9080), source=c)[0] for c in many}
    finally:
        lab.route_external("client", "a")
    assert on_a == on_b
    assert set(on_a.values()) == TESTIM, "40 clients are spread over all four pods"


def test_when_a_pod_goes_only_its_clients_move(lab, site_cluster, many):
    hawser = site_cluster.start("a", nginx=False)
    before = {c: visits.pod_of(lab, (EXTERNAL, 9080), source=c)[0] for c in many}
    gone = "b2"
    del site_cluster.apps[gone]
    site_cluster.write_pods()
    address = f"{lab.address(gone)}:9080"
    visits.wait(lambda: address not in json.dumps(addresses_of(hawser, "testim-service")), what="the pod's removal")
    after = {c: visits.pod_of(lab, (EXTERNAL, 9080), source=c)[0] for c in many}
    assert gone in before.values()
    assert {c for c in many if before[c] != after[c]} == {c for c in many if before[c] == gone}


def addresses_of(hawser, name):
    _, body = hawser.api(f"/api/v1/endpoints?service={name}")
    return [f"{e['addresses'][0]}:{item['ports'][0]['port']}" for item in body["items"] for e in item["endpoints"]]


def test_a_service_without_endpoints_refuses(lab, site_cluster):
    """P-06: the client sees ECONNREFUSED, on the NodePort and on the external IP."""
    site_cluster.apps = {}
    site_cluster.write_pods()
    site_cluster.start("a", nginx=False)
    for address in ((NODE_A, 30100), (EXTERNAL, 9080)):
        with pytest.raises(ConnectionRefusedError):
            lab.connect("client", address, 2)


def test_a_service_that_gets_endpoints_answers_and_refuses_again_without(lab, site_cluster):
    apps, site_cluster.apps = site_cluster.apps, {}
    site_cluster.write_pods()
    site_cluster.start("a", nginx=False)

    def reaches():
        try:
            return visits.pod_of(lab, (NODE_A, 30100))[0] in IM
        except ConnectionRefusedError:
            return False

    assert not reaches()
    site_cluster.apps = apps
    site_cluster.write_pods()
    visits.wait(reaches, what="the first endpoint")
    site_cluster.write_pods(a1={"ready": False}, b1={"ready": False})
    visits.wait(lambda: not reaches(), what="no ready endpoint")


def test_an_unknown_scheduler_is_a_warning_and_round_robin(lab, site_cluster):
    text = (site.SITE / "testim-service-externalips.yaml").read_text().replace("scheduler: sh", "scheduler: wlc9")
    site_cluster.write("testim-service-externalips.yaml", text.replace("  sessionAffinity: ClientIP\n", ""))
    hawser = site_cluster.start("a", nginx=False)
    reached = [visits.pod_of(lab, (EXTERNAL, 9080))[0] for _ in range(8)]
    assert set(reached) == TESTIM
    assert any("wlc9" in line and "warn" in line for line in hawser.words().splitlines())


def test_get_svc_wide_prints_what_kubectl_prints(lab, site_cluster):
    """The columns and values of the site, AGE aside."""
    for name, address in site.CLUSTER_IPS.items():
        file = site_cluster.manifests / next(f for f in site.FILES if f.startswith(name))
        file.write_text(file.read_text().replace("spec:\n", f"spec:\n  clusterIP: {address}\n", 1))
    hawser = site_cluster.start("a", nginx=False)
    shown = hawser.get("svc", "-o", "wide")
    assert shown.returncode == 0, shown.stderr
    wanted = (site.SITE / "kubectl-get-svc.txt").read_text()

    def table(text):
        rows = [line.split() for line in text.splitlines()]
        age = rows[0].index("AGE")
        return [[c for i, c in enumerate(row) if i != age] for row in rows]

    assert table(shown.stdout) == table(wanted)
    assert [l.index("SELECTOR") > l.index("AGE") for l in shown.stdout.splitlines()[:1]] == [True]
    as_json = json.loads(hawser.get("svc", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in as_json["items"]] == ["im-service", "testim-service"]
    assert "nodePort: 30100" in hawser.get("svc", "im-service", "-o", "yaml").stdout


def test_get_says_when_the_daemon_cannot_be_reached(lab):
    done = lab.run("b", [site.BIN / "hawser", "get", "svc"], check=False)
    assert done.returncode == 3
    assert "7070" in done.stderr
