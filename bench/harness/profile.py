# SPDX-License-Identifier: Apache-2.0
"""Where a proxy spends its time: perf while it echoes."""

import shutil
import subprocess

from . import accounting


def missing():
    return None if shutil.which("perf") else "perf is not installed (Debian: linux-perf)"


def record(topology, generator, peer, directory, seconds=3, connections=64, size=64):
    """Profiles one proxy under echo; writes profile-NAME.txt and returns its path."""
    data = directory / f"profile-{peer.name}.tmp"
    text = directory / f"profile-{peer.name}.txt"
    started = []

    def on_event(event):
        if event == "begin":
            pids = ",".join(str(pid) for pid in accounting.family(peer.pid))
            command = ["perf", "record", "-q", "-F", "499", "-g", "-o", str(data), "-p", pids,
                       "--", "sleep", str(seconds)]
            started.append(topology.start("node", command, stderr=subprocess.PIPE, text=True))

    report = generator.load("echo", peer.target, on_event, connections=connections, size=size, seconds=seconds + 0.5)
    for process in started:
        _, complaint = process.communicate(timeout=30)
        topology.stop(process)
        if process.returncode != 0:
            raise RuntimeError(f"perf record: {complaint.strip()}")
    with open(text, "w") as out:
        out.write(f"# {peer.title}: {connections} tunnels x {size} B, {report['messages_per_second']:,.0f} "
                  "round trips/s\n")
        for options in (["--no-children", "-g", "none"],
                        ["--children", "-g", "caller,0.5,callee", "--max-stack", "12"]):
            shown = subprocess.run(["perf", "report", "-i", str(data), "--stdio", "--percent-limit", "0.5", *options],
                                   capture_output=True, text=True).stdout
            out.write("\n".join(line.rstrip() for line in shown.splitlines()[:400]) + "\n")
    data.unlink(missing_ok=True)
    return text
