# SPDX-License-Identifier: Apache-2.0
"""Runs hawser-bench: the endpoint in the pod, one load after the other in the client."""

import json
import subprocess


class LoadFailed(RuntimeError):
    pass


class Generator:
    def __init__(self, topology, program):
        self._topology = topology
        self._program = str(program)
        self.pod = None  # ADDRESS:PORT of the endpoint

    def serve(self):
        process = self._topology.start("pod", [self._program, "serve", "--listen", self._topology.pod_address + ":0"],
                                       stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("hawser-bench serve did not start")
        self.pod = f"{self._topology.pod_address}:{json.loads(line)['port']}"

    def load(self, mode, target, on_event=lambda name: None, **options):
        """Runs one load to its end and returns its report; `on_event` hears "begin", "end", "ready" as they come.

        An idle load ends when `on_event` has returned from "ready".
        """
        command = [self._program, "load", mode, target]
        for source in self._topology.sources:
            command += ["--source", source]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else [flag, str(value)]
        process = self._topology.start("client", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        report = None
        try:
            for line in process.stdout:
                message = json.loads(line)
                if message["event"] == "report":
                    report = message
                    continue
                on_event(message["event"])
                if message["event"] == "ready":
                    process.stdin.close()
            process.wait(30)
        finally:
            self._topology.stop(process)
        if report is None:
            raise LoadFailed(f"{mode}: hawser-bench ended with {process.returncode} and no report")
        return report
