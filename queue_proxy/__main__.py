"""`python -m queue_proxy`: the process.

Ends with 0 after a drain, 1 when it cannot start or breaks, 2 for a wrong flag, 143 when it was told twice to
end and so did not wait.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import sys

import uvloop

from queue_proxy.proxy import QueueProxy, StartError
from queue_proxy.settings import Config, parse

_AT_ONCE = 128 + signal.SIGTERM


def main() -> int:
    """Run until told to end; returns the exit status."""
    config = parse(sys.argv[1:])
    logging.basicConfig(level=logging.WARNING, format=f"queue_proxy {config.name}: %(message)s")
    _allow_as_many_connections_as_possible()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(config))
    except StartError as error:
        sys.stderr.write(f"queue_proxy: {error}\n")
        return 1


async def _run(config: Config) -> int:
    orders = _Orders()
    proxy = QueueProxy(config)
    watching = await proxy.start()
    # What is there now stays for good: the collector need not look at it again each time.
    gc.collect()
    gc.freeze()
    at_once = False
    try:
        await asyncio.wait([watching, orders.to_drain], return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        draining = asyncio.create_task(proxy.drain(config.drain_seconds))
        await asyncio.wait([draining, orders.to_end], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            draining.cancel()
            at_once = True
            return _AT_ONCE
        draining.result()
        return 0
    finally:
        await proxy.stop(at_once=at_once)


class _Orders:
    """SIGTERM and SIGINT: the first asks to drain, the second to end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.to_drain: asyncio.Future[None] = loop.create_future()
        self.to_end: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        order = self.to_end if self.to_drain.done() else self.to_drain
        if not order.done():
            order.set_result(None)


def _allow_as_many_connections_as_possible() -> None:
    """Each request may hold two descriptors, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
