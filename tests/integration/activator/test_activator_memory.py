"""Memory: what may be held is bounded in bytes, and what is beyond that is refused and not buffered."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import Counter
from pathlib import Path

import pytest

from activator.messages import HoldBounds
from tests.integration.activator.activator_harness import Activator, Controller, activator_for
from tests.integration.queue_proxy.queue_proxy_harness import request_bytes

MEBIBYTE = 2**20
CONNECTIONS = 5_000
BODY = b"x" * MEBIBYTE
# What connections cost beyond the bodies: their objects, and those of the refused until they are closed.
PER_CONNECTION = 4 * 1024


@pytest.fixture(autouse=True)
def _many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def resident(activator: Activator, name: str = "VmRSS") -> int:
    """Bytes of memory; VmHWM is the most that it ever was."""
    lines = Path(f"/proc/{activator.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


class Sender:
    """One client that sends a whole mebibyte, as fast as it is taken, and reads what comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status: int | None = None
        self.retry_after: int | None = None
        self.sent = 0

    async def run(self, together: asyncio.Semaphore, sent_all: asyncio.Event) -> None:
        async with together:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.transport.set_write_buffer_limits(high=0)
            answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
            sending = asyncio.create_task(self._send(writer))
            closing = asyncio.create_task(sent_all.wait())
            await asyncio.wait((answer, closing), return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, closing):
                task.cancel()
            if answer.done():
                self._read(answer.result())
            else:
                answer.cancel()
            await asyncio.gather(sending, closing, answer, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            head = request_bytes("/v1/work", "POST", {"content-length": str(len(BODY))})
            writer.write(head)
            for at in range(0, len(BODY), 65_536):
                writer.write(BODY[at : at + 65_536])
                await writer.drain()
                self.sent = at + 65_536

    def _read(self, head: bytes) -> None:
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.retry_after = next(
            (int(line.partition(":")[2]) for line in lines if line.startswith("retry-after:")), None
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bounds_bytes", "over_all"),
    [(64 * MEBIBYTE, 512 * MEBIBYTE), (512 * MEBIBYTE, 64 * MEBIBYTE)],
    ids=["service", "all"],
)
async def test_five_thousand_requests_of_a_megabyte_are_refused_and_not_buffered(
    controller: Controller, bounds_bytes: int, over_all: int
) -> None:
    hold = HoldBounds(requests=10_000, bytes=bounds_bytes, no_endpoint_seconds=600.0, full_seconds=600.0)
    async with activator_for(controller.path, "--hold-bytes", str(over_all)) as activator:
        await controller.route(hold=hold)
        await activator.get("/healthz")
        before = resident(activator)
        senders = [Sender(activator.port) for _ in range(CONNECTIONS)]
        together, enough = asyncio.Semaphore(200), asyncio.Event()
        running = [asyncio.create_task(sender.run(together, enough)) for sender in senders]
        bound = min(bounds_bytes, over_all)

        def refused() -> int:
            return sum(sender.status is not None for sender in senders)

        async with asyncio.timeout(90):
            stats = await controller.until_stats(arrived=CONNECTIONS)
            while refused() < stats.refused:
                await asyncio.sleep(0.05)
        held, now, most = stats.waiting, resident(activator), resident(activator, "VmHWM")
        enough.set()
        await asyncio.gather(*running)
        print(f"\nbound {bound / MEBIBYTE:.0f} MiB: {held} held, {stats.refused} refused, each of 1 MiB")
        print(f"counted {stats.held_bytes / MEBIBYTE:.1f} MiB; sent {sum(s.sent for s in senders) / MEBIBYTE:.0f} MiB")
        for name, size in (("before", before), ("now", now), ("most", most)):
            print(f"resident {name}: {size / MEBIBYTE:.1f} MiB")
        assert held + stats.refused == CONNECTIONS
        assert held > 0
        assert stats.held_bytes <= bound
        assert Counter(sender.status for sender in senders) == {503: stats.refused, None: held}
        # What is left of the expected wake.
        assert all(0 < (sender.retry_after or 0) <= 30 for sender in senders if sender.status is not None)
        assert most - before <= bound + CONNECTIONS * PER_CONNECTION
