# SPDX-License-Identifier: Apache-2.0
"""Starts a proxy on a configuration file and stops it again."""

import os
import pathlib
import signal
import socket
import subprocess
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", REPO / "build" / "bin"))

# What Debian's nginx needs around a fragment of its http block, so that it runs without root and serves no files.
WRAPPER = """daemon off;
{user}worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log info;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    root /nonexistent;
    include {file};
}}
"""


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Proxy:
    """A running product. `output` is what it wrote to stdout and stderr."""

    def __init__(self, kind, file, directory, wait_for):
        self.kind = kind
        self.output = directory / f"{kind}.out"
        environment = dict(os.environ)
        if kind == "nginx":
            wrapper = directory / "wrapper.conf"
            wrapper.write_text(WRAPPER.format(dir=directory, file=file, user="user root;\n" if os.geteuid() == 0 else ""))
            command = ["/usr/sbin/nginx", "-c", str(wrapper), "-p", str(directory), "-e", str(directory / "error.log")]
        elif kind == "hawser":
            binary = BIN / "hawser"
            if not binary.exists():
                raise RuntimeError(f"{binary} is missing: make build, or set HAWSER_BIN_DIR")
            command = [str(binary), "run", "--nginx", str(file), "--admin", "127.0.0.1:0", "--workers", "1", "--state", "", "--splice", "off"]
        else:
            raise ValueError(kind)
        self.command = command
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=directory)
        deadline = time.monotonic() + 10
        for port in wait_for:
            self._wait(port, deadline)

    def _wait(self, port, deadline):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{' '.join(self.command)} does not listen on {port}:\n{self.words()}")
            time.sleep(0.02)

    def words(self):
        return self.output.read_text(errors="replace")[-4000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
