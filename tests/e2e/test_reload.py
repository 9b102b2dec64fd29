# SPDX-License-Identifier: Apache-2.0
"""A change is a new snapshot, whole or not at all, and live tunnels do not notice it."""

import json
import signal
import time

import pytest

import site_programs as site
import visits
from load import Load
from visits import NODE_A

TUNNELS = 500
RELOADS = 1000

GATEWAY = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream pods { server 10.244.1.2:9080; SECOND }
server {
    listen 80;
    server_name websocket.bbotte.com;
    location / {
        proxy_pass http://pods;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
    location /generation { return 200 "GENERATION\\n"; }
}
"""


def reloads(hawser):
    return hawser.metric('hawser_config_reloads_total{')


def change(cluster, number):
    """Makes the files differ: a pod leaves and comes back, a Service comes and goes, a location's text changes."""
    second = "server 10.244.2.2:9080;" if number % 2 else ""
    cluster.write_nginx(GATEWAY.replace("SECOND", second).replace("GENERATION", str(number)))
    cluster.apps = {"a1": "im", **({"b1": "im"} if number % 2 == 0 else {}), "a2": "testim"}
    cluster.write_pods()
    if number % 3 == 0:
        cluster.write("extra.yaml", json.dumps({
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": "extra"},
            "spec": {"selector": {"k8s-app": "testim"}, "type": "NodePort", "ports": [{"port": 80, "targetPort": 9080, "nodePort": 30200}]}}))
    elif number % 3 == 1:
        (cluster.manifests / "extra.yaml").unlink(missing_ok=True)


def test_a_thousand_reloads_by_hup_lose_none_of_500_tunnels(lab, site_cluster, pods):
    change(site_cluster, 1)
    hawser = site_cluster.start("a", options=["--no-watch"])
    began = time.monotonic()
    with Load(lab, pods, [(NODE_A, 80), (NODE_A, 30100)], TUNNELS) as load:
        done = reloads(hawser)
        for number in range(2, RELOADS + 2):
            change(site_cluster, number)
            hawser.process.send_signal(signal.SIGHUP)
            hawser.wait(lambda: reloads(hawser) > done, 5, f"did not reload ({number})")
            done = reloads(hawser)
        took = time.monotonic() - began
        assert visits.fetch(lab, (NODE_A, 80), path="/generation").body == b"%d\n" % (RELOADS + 1)
        assert len(hawser.api("/api/v1/tunnels?limit=10000")[1]["items"]) == TUNNELS
        failures = load.failures()
    assert not failures, f"{len(failures)} of {TUNNELS}: {dict(list(failures.items())[:5])}"
    assert hawser.metric("hawser_config_last_reload_success") == 1
    print(f"\n{RELOADS} reloads under {TUNNELS} tunnels in {took:.1f} s, none lost, every byte compared")


def test_changed_files_take_effect_by_themselves(lab, site_cluster, pods):
    change(site_cluster, 1)
    site_cluster.start("a")
    with Load(lab, pods, [(NODE_A, 80), (NODE_A, 30100)], 50) as load:
        for number in range(2, 22):
            change(site_cluster, number)
            wanted = b"%d\n" % number
            visits.wait(lambda: visits.fetch(lab, (NODE_A, 80), path="/generation").body == wanted, 5, f"change {number}")
        failures = load.failures()
    assert not failures


BAD_NGINX = "server {\n    listen 80;\n    proxy_pas http://x;\n}\n"
BAD_MANIFEST = """kind: Service
apiVersion: v1
metadata: { name: wrong }
spec:
  type: NodePort
  ports:
    - port: 80
      nodePort: 90000
"""


@pytest.mark.parametrize("how", ["HUP", "file", "API"])
@pytest.mark.parametrize("what", ["nginx", "manifest"])
def test_a_bad_file_leaves_the_old_snapshot_in_force_and_says_why(lab, site_cluster, how, what):
    change(site_cluster, 1)
    hawser = site_cluster.start("a", options=[] if how == "file" else ["--no-watch"])
    client = visits.upgrade(lab, (NODE_A, 80))
    before = hawser.api("/api/v1/snapshot")[1]["metadata"]["resourceVersion"]
    good = site_cluster.nginx.read_text()
    if what == "nginx":
        site_cluster.write_nginx(BAD_NGINX)
        place, words = "hawser.nginx.conf:3", 'unknown directive "proxy_pas"'
    else:
        site_cluster.write("wrong.yaml", BAD_MANIFEST)
        place, words = "wrong.yaml:8", "spec.ports[0].nodePort"
    if how == "HUP":
        hawser.process.send_signal(signal.SIGHUP)
    elif how == "API":
        status, body = hawser.api("/api/v1/reload", "POST")
        assert status == 422 and words in json.dumps(body).replace('\\"', '"')
    hawser.wait(lambda: hawser.metric("hawser_config_last_reload_success") == 0, 5, "did not notice the bad file")
    _, snapshot = hawser.api("/api/v1/snapshot")
    assert snapshot["metadata"]["resourceVersion"] == before
    told = json.dumps(snapshot).replace('\\"', '"')
    assert place.split(":")[0] in told and words in told
    assert any(place in line and words in line for line in hawser.words().splitlines())
    assert hawser.metric('hawser_config_reloads_total{result="failure"}') >= 1
    visits.talk(client, b"alive")
    assert visits.fetch(lab, (NODE_A, 80), path="/generation").body == b"1\n"
    # and the next good one is taken
    site_cluster.write_nginx(good.replace('"1\\n"', '"2\\n"'))
    (site_cluster.manifests / "wrong.yaml").unlink(missing_ok=True)
    if how != "file":
        hawser.process.send_signal(signal.SIGHUP)
    visits.wait(lambda: visits.fetch(lab, (NODE_A, 80), path="/generation").body == b"2\n", 5, "the good file")
    assert hawser.metric("hawser_config_last_reload_success") == 1
    client.close()


def test_a_bad_file_at_the_start_is_an_exit_code_and_every_error(lab, site_cluster):
    site_cluster.write_nginx(BAD_NGINX)
    site_cluster.write("wrong.yaml", BAD_MANIFEST)
    for command in ("check", "run"):
        done = lab.run("a", [site.BIN / "hawser", command, "-f", site_cluster.manifests, "--nginx", site_cluster.nginx], check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert "proxy_pas" in said and "hawser.nginx.conf:3" in said
        assert "wrong.yaml:8" in said and "90000 is not in 30000-32767" in said
