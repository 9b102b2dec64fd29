# SPDX-License-Identifier: Apache-2.0
import asyncio
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from service import Nats, Service  # noqa: E402


@pytest.fixture
def run():
    """Runs a coroutine, for at most 50 s."""
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 50))


@pytest.fixture
def start(tmp_path):
    """start("--rate", "0", ...) gives a running Service; they are killed at the end."""
    services = []

    def start_service(*arguments, **options):
        service = Service(tmp_path, *arguments, **options)
        services.append(service)
        return service

    yield start_service
    for service in services:
        service.kill()


@pytest.fixture
def nats(tmp_path):
    server = Nats(tmp_path / "nats")
    yield server
    server.kill()
