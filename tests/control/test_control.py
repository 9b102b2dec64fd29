# SPDX-License-Identifier: Apache-2.0
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import urllib.request

import pytest
import yaml
from daemon import HAWSER, SITE, Daemon, EchoPod, echo, free_port, hawser, open_tunnel, replace, wait_for

CLUSTER_IPS = {"im-service-nodeport.yaml": "10.104.253.46", "testim-service-externalips.yaml": "10.102.64.27"}
AGES = {"im-service-nodeport.yaml": {"days": 16, "hours": 3}, "testim-service-externalips.yaml": {"hours": 8, "minutes": 30}}

RETURN = "server {{ listen 127.0.0.1:{port}; return 200 \"{text}\"; }}\n"
TUNNEL = """
map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
upstream chat {{ server {pod}; }}
server {{
    listen 127.0.0.1:{port};
    server_name chat.example.com;
    access_log {log};
    location / {{
        proxy_pass http://chat;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }}
}}
"""
BAD = "server {\n    listen 127.0.0.1:1;\n    proxy_pas x;\n    lisen 2;\n}\n"
BAD_MANIFEST = """
kind: Service
apiVersion: v1
metadata:
  name: x
spec:
  type: NodePort
  ports:
  - port: 80
    nodePort: 90000
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def run(*arguments, **more):
        started.append(Daemon(tmp_path, *arguments, **more))
        return started[-1]

    yield run
    for daemon in started:
        daemon.stop()


@pytest.fixture
def pod():
    one = EchoPod()
    yield one
    one.close()


def site_manifests(directory):
    """Copies of the site's two manifests with the addresses and ages that the API server had given them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for name, address in CLUSTER_IPS.items():
        service = yaml.safe_load((SITE / name).read_text())
        service["metadata"]["creationTimestamp"] = (now - datetime.timedelta(**AGES[name])).strftime("%Y-%m-%dT%H:%M:%SZ")
        service["spec"]["clusterIP"] = address
        (directory / name).write_text(yaml.safe_dump(service))
    return directory


def body(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read().decode()


# ---- exit codes


@pytest.mark.parametrize("arguments", [[], ["run"], ["check"], ["run", "--bogus"], ["get", "nodes"], ["fly"]])
def test_bad_usage_is_two(arguments):
    done = hawser(*arguments)
    assert done.returncode == 2
    assert done.stderr


def test_no_input_says_what_to_give():
    assert "give -f FILE|DIR, --nginx FILE" in hawser("run").stderr


def test_an_unreachable_daemon_is_three():
    for arguments in (["get", "svc"], ["kill", "tunnel", "1"], ["reload"]):
        done = hawser(*arguments, "--admin", f"127.0.0.1:{free_port()}")
        assert done.returncode == 3
        assert "cannot reach hawser at 127.0.0.1:" in done.stderr


def test_version():
    assert hawser("version").stdout.startswith("hawser 0.")


# ---- check


def test_check_prints_all_errors_of_all_sources(tmp_path):
    (tmp_path / "bad.conf").write_text(BAD)
    (tmp_path / "bad.yaml").write_text(BAD_MANIFEST)
    for command in ("check", "run"):
        options = ["--admin", "127.0.0.1:0"] if command == "run" else []
        done = hawser(command, "-f", tmp_path / "bad.yaml", "--nginx", tmp_path / "bad.conf", "--state", "", *options)
        assert done.returncode == 1
        for words in ('bad.conf:3', 'unknown directive "proxy_pas"', 'bad.conf:4', '"lisen"', "bad.yaml:10",
                      "spec.ports[0].nodePort: 90000 is not in 30000-32767"):
            assert words in done.stderr, done.stderr


def test_check_tells_what_would_listen_where_and_go_whither():
    done = hawser("check", "-f", SITE / "im-service-nodeport.yaml", "-f", SITE / "testim-service-externalips.yaml",
                  "--nginx", SITE / "nginx-websocket.conf", "--state", "")
    assert done.returncode == 0, done.stderr
    for line in ("http 0.0.0.0:80 (nginx)", "  websocket.bbotte.com (default)",
                 "    / -> websocket [rr]: 192.168.0.100:30100, 192.168.0.101:30100"):
        assert line in done.stdout.splitlines()
    assert "NodePort 0.0.0.0:30100/TCP -> default/im-service:9080" in done.stdout
    assert "ExternalIP 192.168.0.150:9080/TCP -> default/testim-service:9080" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("hawser: the configuration is good")


# ---- run


def test_run_says_where_it_listens_and_serves_and_drains(tmp_path, start):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(RETURN.format(port=port, text="one"))
    daemon = start("--nginx", conf).wait_ready()
    assert f"listening 127.0.0.1:{port}/TCP http" in daemon.output.read_text().splitlines()
    assert body(port) == "one"
    assert daemon.ask("/healthz") == (200, "ok\n")
    assert daemon.ask("/readyz") == (200, "ok\n")
    assert daemon.metric("hawser_config_generation") == 1
    assert daemon.metric('hawser_http_requests_total{code="200"}') == 1
    assert daemon.stop() == 0


def test_a_changed_file_is_applied_by_itself_and_a_bad_one_is_not(tmp_path, start):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(RETURN.format(port=port, text="one"))
    daemon = start("--nginx", conf).wait_ready()
    replace(conf, RETURN.format(port=port, text="two"))
    wait_for(lambda: body(port) == "two", "the new file")
    conf.write_text(BAD)
    wait_for(lambda: daemon.metric("hawser_config_last_reload_success") == 0, "the bad file to be seen")
    assert body(port) == "two"
    _, snapshot = daemon.ask("/api/v1/snapshot")
    told = [d["text"] for d in snapshot["last_error"]["diagnostics"]]
    assert any('x.conf:3' in t and '"proxy_pas"' in t for t in told)
    assert any('x.conf:4' in t and '"lisen"' in t for t in told)
    for diagnostic in snapshot["last_error"]["diagnostics"]:
        assert f":{diagnostic['line']}:{diagnostic['column']}: {diagnostic['message']}" in daemon.log.read_text()
    assert snapshot["number"] == 2
    assert daemon.ask("/readyz")[0] == 200
    assert daemon.metric('hawser_config_reloads_total{result="failure"}') >= 1
    replace(conf, RETURN.format(port=port, text="three"))
    wait_for(lambda: body(port) == "three", "the file that is good again")
    assert daemon.ask("/api/v1/snapshot")[1]["last_error"] is None


def test_hup_and_the_api_read_again(tmp_path, start):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(RETURN.format(port=port, text="one"))
    daemon = start("--nginx", conf, "--no-watch").wait_ready()
    conf.write_text(RETURN.format(port=port, text="two"))
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: body(port) == "two", "HUP")
    conf.write_text(RETURN.format(port=port, text="three"))
    done = daemon.command("reload")
    assert (done.returncode, done.stdout) == (0, "snapshot 3 is in force\n")
    assert body(port) == "three"
    conf.write_text(BAD)
    done = daemon.command("reload")
    assert done.returncode == 1
    assert "proxy_pas" in done.stderr and "lisen" in done.stderr


def test_a_port_that_is_taken_refuses_the_whole_change(tmp_path, start):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(RETURN.format(port=port, text="one"))
    daemon = start("--nginx", conf, "--no-watch").wait_ready()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        conf.write_text(RETURN.format(port=port, text="two") + RETURN.format(port=taken, text="x"))
        done = daemon.command("reload")
    assert done.returncode == 1
    assert f"127.0.0.1:{taken}" in done.stderr and "in use" in done.stderr
    assert body(port) == "one"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop it")
def test_a_privileged_port_without_the_right_says_what_helps(tmp_path, start):
    limit = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read())
    if limit <= 79:
        pytest.skip("every port is free to everybody here")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        subprocess.run([HAWSER, "version"], check=True, capture_output=True, **nobody)
    except PermissionError:
        pytest.skip("nobody may not run the program where it stands")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        conf = pathlib.Path(folder) / "x.conf"
        conf.write_text(RETURN.format(port=79, text="x"))
        os.chmod(folder, 0o755)
        daemon = start("--nginx", conf, state="", **nobody)
        assert daemon.process.wait(10) == 1
    assert "CAP_NET_BIND_SERVICE" in daemon.log.read_text()


def test_usr1_opens_the_logs_anew(tmp_path, start, pod):
    port = free_port()
    access, words = tmp_path / "access.log", tmp_path / "hawser.log"
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log=access))
    daemon = start("--nginx", conf, "--log-file", words, "--log-format", "json").wait_ready()
    access.rename(tmp_path / "access.log.1")
    words.rename(tmp_path / "hawser.log.1")
    daemon.signal(signal.SIGUSR1)
    wait_for(lambda: access.exists() and words.exists(), "new files")
    open_tunnel(port).close()
    closed = wait_for(lambda: [l for l in map(json.loads, words.read_text().splitlines()) if l["message"] == "tunnel close"],
                      "the tunnel's line in the new file")
    assert closed[0]["service"] and closed[0]["closed_by"] == "client"
    for line in (tmp_path / "hawser.log.1").read_text().splitlines():
        json.loads(line)


# ---- tunnels


def test_tunnels_are_listed_and_killed(tmp_path, start, pod):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log="off"))
    daemon = start("--nginx", conf).wait_ready()
    one, other = open_tunnel(port), open_tunnel(port)
    echo(one, b"\x81\x03abc")
    shown = daemon.command("get", "tunnels", "-o", "json")
    items = json.loads(shown.stdout)["items"]
    assert len(items) == 2
    mine = next(i for i in items if i["client"] == "127.0.0.1:%d" % one.getsockname()[1])
    assert (mine["service"], mine["endpoint"], mine["fromClient"]["bytes"]) == ("chat", pod.address, 5)
    assert daemon.metric('hawser_tunnels_active{service="chat"}') == 2
    page = daemon.ask("/api/v1/tunnels?limit=1")[1]
    assert len(page["items"]) == 1 and page["metadata"]["remainingItemCount"] == 1
    rest = daemon.ask("/api/v1/tunnels?limit=1&continue=" + page["metadata"]["continue"])[1]
    assert {page["items"][0]["id"], rest["items"][0]["id"]} == {i["id"] for i in items}
    head, *rows = daemon.command("get", "tunnels").stdout.splitlines()
    assert head.split()[:5] == ["ID", "PROTOCOL", "CLIENT", "SERVICE", "ENDPOINT"] and len(rows) == 2
    done = daemon.command("kill", "tunnel", mine["id"])
    assert (done.returncode, done.stdout) == (0, f'tunnel "{mine["id"]}" closed\n')
    one.settimeout(5)
    try:
        while one.recv(4096):
            pass
    except ConnectionResetError:
        pass
    echo(other, b"\x81\x03def")
    assert daemon.command("kill", "tunnel", mine["id"]).returncode == 1


def test_tunnels_live_through_reloads(tmp_path, start, pod):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log="off"))
    daemon = start("--nginx", conf).wait_ready()
    client = open_tunnel(port)
    for _ in range(20):
        assert daemon.command("reload").returncode == 0
        echo(client, b"\x81\x03abc")


def test_a_second_term_does_not_wait_for_the_tunnels(tmp_path, start, pod):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log="off"))
    daemon = start("--nginx", conf, "--drain-spread", "60", drain="60").wait_ready()
    clients = [open_tunnel(port) for _ in range(20)]
    daemon.signal(signal.SIGTERM)
    wait_for(lambda: daemon.ask("/readyz")[0] == 503, "the drain")
    assert "draining" in daemon.ask("/readyz")[1]
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(5) == 0
    for client in clients:
        client.close()


def test_a_drain_ends_when_the_last_tunnel_does(tmp_path, start, pod):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log="off"))
    daemon = start("--nginx", conf, "--drain-spread", "0.1", drain="30").wait_ready()
    client = open_tunnel(port)
    daemon.signal(signal.SIGTERM)
    client.settimeout(10)
    said = b""
    while piece := client.recv(4096):
        said += piece
    assert said.startswith(b"\x88") and int.from_bytes(said[2:4], "big") == 1001
    client.close()
    assert daemon.process.wait(10) == 0


# ---- get


def test_get_svc_wide_is_the_sites_listing(tmp_path, start):
    folder = tmp_path / "manifests"
    folder.mkdir()
    daemon = start("-f", site_manifests(folder)).wait_ready()
    shown = daemon.command("get", "svc", "-o", "wide").stdout
    assert shown == (
        "NAME             TYPE        CLUSTER-IP      EXTERNAL-IP     PORT(S)          AGE   SELECTOR\n"
        "im-service       NodePort    10.104.253.46   <none>          9080:30100/TCP   16d   k8s-app=im\n"
        "testim-service   ClusterIP   10.102.64.27    192.168.0.150   9080/TCP         8h    k8s-app=testim\n"
    )
    site = [line.split() for line in (SITE / "kubectl-get-svc.txt").read_text().splitlines()]
    ours = [line.split() for line in shown.splitlines()]
    age = site[0].index("AGE")
    assert [row[:age] + row[age + 1:] for row in ours] == [row[:age] + row[age + 1:] for row in site]


def test_get_prints_json_and_yaml_of_one_and_of_all(tmp_path, start):
    folder = tmp_path / "manifests"
    folder.mkdir()
    daemon = start("-f", site_manifests(folder)).wait_ready()
    whole = json.loads(daemon.command("get", "svc", "-o", "json").stdout)
    assert [s["metadata"]["name"] for s in whole["items"]] == ["im-service", "testim-service"]
    assert yaml.safe_load(daemon.command("get", "svc", "-o", "yaml").stdout)["items"] == yaml.safe_load(
        json.dumps(whole["items"]))
    one = daemon.command("get", "svc", "im-service", "-o", "yaml").stdout
    assert yaml.safe_load(one)["spec"]["ports"][0]["nodePort"] == 30100
    assert "    nodePort: 30100\n" in one
    missing = daemon.command("get", "svc", "other")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert 'services "other" not found' in missing.stderr
    empty = daemon.command("get", "svc", "-n", "other")
    assert (empty.returncode, empty.stderr) == (0, "No resources found in other namespace.\n")
    assert daemon.command("get", "svc", "-A").stdout.startswith("NAMESPACE   NAME ")
    for what in ("endpoints", "routes", "frontends", "snapshot"):
        assert daemon.command("get", what).returncode == 0


def test_allocated_numbers_survive_a_restart(tmp_path, start):
    (tmp_path / "im.yaml").write_text((SITE / "testim-service-externalips.yaml").read_text())

    def cluster_ip():
        daemon = start("-f", tmp_path / "im.yaml").wait_ready()
        shown = json.loads(daemon.command("get", "svc", "testim-service", "-o", "json").stdout)
        assert daemon.stop() == 0
        return shown["spec"]["clusterIP"]

    first = cluster_ip()
    assert first == cluster_ip()
    assert first in (tmp_path / "state" / "allocations.json").read_text()


# ---- admin server


def test_the_admin_server_is_not_open_to_other_pages(tmp_path, start):
    conf = tmp_path / "x.conf"
    conf.write_text(RETURN.format(port=free_port(), text="one"))
    daemon = start("--nginx", conf).wait_ready()
    assert daemon.ask("/api/v1/services", headers={"Host": "attacker.example"})[0] == 421
    assert daemon.ask("/api/v1/reload", "POST", {"Origin": "http://attacker.example"})[0] == 403
    status, page = daemon.ask("/")
    assert status == 200 and '<script type="module" src="console.js">' in page


def test_metrics_parse(tmp_path, start, pod):
    port = free_port()
    conf = tmp_path / "x.conf"
    conf.write_text(TUNNEL.format(port=port, pod=pod.address, log="off"))
    daemon = start("--nginx", conf).wait_ready()
    client = open_tunnel(port)
    echo(client, b"\x81\x03abc")
    client.close()
    wait_for(lambda: daemon.metric('hawser_tunnels_active{service="chat"}') == 0, "the close")
    seen = set()
    for line in daemon.ask("/metrics")[1].splitlines():
        if line.startswith("# TYPE "):
            seen.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            float(value)
            assert name.split("{")[0].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") in seen
    for name in ("hawser_tunnels_closed_total", "hawser_handshakes_total", "hawser_tunnel_duration_seconds",
                 "hawser_tunnel_bytes_total", "hawser_endpoint_attempts_total", "process_open_fds"):
        assert name in seen
    assert daemon.metric('hawser_tunnel_duration_seconds_count{service="chat"}') == 1
