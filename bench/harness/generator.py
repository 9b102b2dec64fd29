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
        self.pods = []  # ADDRESS:PORT of the endpoints

    @property
    def pod(self):
        return self.pods[0]

    def serve(self, address=None):
        """Starts an endpoint, on the pod's address and a port that it chooses itself or on ADDRESS:PORT."""
        process = self.start("pod", "serve", "--listen", address or self._topology.pod_address + ":0")
        host = (address or self._topology.pod_address).partition(":")[0]
        self.pods.append(f"{host}:{self.first_word(process)['port']}")

    def start(self, place, *arguments):
        """hawser-bench with these arguments; it ends with the topology."""
        return self._topology.start(place, [self._program, *map(str, arguments)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)

    @staticmethod
    def first_word(process, on_progress=lambda event: None):
        """The first event that it prints; those of its progress go to `on_progress`."""
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] != "progress":
                return event
            on_progress(event)
        raise LoadFailed(f"hawser-bench ended with {process.wait()} and no word")

    def stop(self, process):
        self._topology.stop(process)

    def start_load(self, mode, target, **options):
        command = ["load", mode, target]
        for source in self._topology.sources:
            command += ["--source", source]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else [] if value is False else [flag, value]
        return self.start("client", *command)

    def load(self, mode, target, on_event=lambda name: None, **options):
        """Runs one load to its end and returns its report; `on_event` hears "begin", "end", "ready" as they come.

        An idle load ends, and one that holds goes on, when `on_event` has returned from "ready".
        """
        process = self.start_load(mode, target, **options)
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
