"""A machine that is gone acknowledges nothing, and nobody says so: the kernel has to find out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from queue_proxy.http.upstream import Upstream
from queue_proxy.http.upstream_connection import UpstreamConnection as Http1Connection
from queue_proxy.http2.pool import StreamPool
from queue_proxy.http2.pool import UpstreamConnection as Http2Connection


def http2_connection() -> Http2Connection:
    upstream = Upstream("127.0.0.1", 1)
    return Http2Connection(StreamPool(upstream))


@pytest.mark.parametrize("make", [Http1Connection, http2_connection], ids=["HTTP/1", "HTTP/2"])
async def test_a_connection_to_a_replica_ends_when_its_machine_is_gone(make: Callable[[], asyncio.Protocol]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        transport.abort()
        await asyncio.sleep(0)
