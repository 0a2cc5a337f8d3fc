"""Ends listening without losing whom the kernel has accepted already.

For its client such a connection is made: the request is on its way. Closing the socket resets it, and nobody will ever
know of that request. So those are accepted first, and what is between that and the close is kept short.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable


async def stop_listening(
    server: asyncio.Server, listening: socket.socket, serve: Callable[[], asyncio.Protocol], *, shared: bool
) -> None:
    """Take what waits in the queue of `listening`, which `server` accepts from, and close it.

    `shared`: other processes may accept from the same socket, so only our end of it is closed.
    """
    late = []
    with contextlib.suppress(OSError):
        while True:
            late.append(listening.accept()[0])
    if not shared:
        # Closing goes through the event loop and takes a while; this takes effect now.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    server.close()
    for connection in late:
        connection.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(serve, connection)
    # Connections that the loop itself has accepted are told to their protocols in its next turn.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
