"""A connection to an API server that is ended has ended: nothing of it waits for the server's farewell."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from autoscaler.cluster.kubernetes.connection import open_connection
from tests.integration.self_signed import self_signed
from tests.until import until


class SilentServer:
    """Takes requests over TLS, and says no word, not even farewell."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self._taken: list[ssl.SSLSocket] = []
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    @property
    def taken(self) -> int:
        return len(self._taken)

    def _take(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                accepted, _ = self._listening.accept()
                one = self._context.wrap_socket(accepted, server_side=True)
                one.recv(1)
                self._taken.append(one)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for one in self._taken:
            one.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[SilentServer, Path]]:
    """The server, and a kubeconfig that leads to it."""
    certificate, context = self_signed(tmp_path)
    server = SilentServer(context)
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"server": f"https://127.0.0.1:{server.port}", "certificate-authority": str(certificate)}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
            }
        )
    )
    yield server, kubeconfig
    server.close()


def sockets_to(port: int) -> int:
    """How many sockets of this process are connected to it."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as one:
            found += one.getpeername()[1:2] == (port,)
    return found


async def test_a_request_that_is_given_up_leaves_no_connection_behind(silent: tuple[SilentServer, Path]) -> None:
    server, kubeconfig = silent
    async with open_connection(str(kubeconfig)) as connection:
        asked = [asyncio.create_task(connection.request("GET", "/api/v1/pods")) for _ in range(3)]
        await until(lambda: server.taken == 3)
        assert sockets_to(server.port) == 3
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert sockets_to(server.port) == 0


async def test_a_request_that_is_under_way_ends_with_the_connection(silent: tuple[SilentServer, Path]) -> None:
    server, kubeconfig = silent
    async with open_connection(str(kubeconfig)) as connection:
        asked = asyncio.create_task(connection.request("GET", "/api/v1/pods"))
        await until(lambda: server.taken == 1)
    assert sockets_to(server.port) == 0
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
