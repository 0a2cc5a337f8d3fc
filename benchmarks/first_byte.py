"""From the moment in which a model begins to listen to the first held request reaching it, as in pods.

A real activator that holds a request, and for each wake a new queue proxy and a new model at addresses that are in the
table before anybody listens there. The model writes down both ends of the interval on one clock. Two cases: a model
that loads for a while, so that its queue proxy has been there long before it; and one that listens almost at once,
where the queue proxy's own start is what is waited for.

    python -m benchmarks.first_byte [--wakes 30]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from activator.messages import Endpoint, EndpointState
from tests.integration.activator.activator_harness import Activator, Controller, activator_in_a_pod
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, free_port, ok

AIM_P50_MS, AIM_P95_MS = 10.0, 30.0


async def one_wake(controller: Controller, activator: Activator, load_seconds: float) -> float:
    """Seconds from the model's first listening to the first request."""
    reached: list[float] = []

    async def answer(call: Call) -> bytes:
        reached.append(time.monotonic())
        return ok(b"awake")

    model = Model(answer, free_port())
    port, admin = free_port(), free_port()
    await controller.route(port=activator.port)
    await activator.said(f"listening on 127.0.0.1:{activator.port}")
    held = activator.ask(5)
    await controller.until_stats(waiting=5)
    proxy = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "queue_proxy", "--name", "chat-1", "--upstream", f"127.0.0.1:{model.port}"),
        *("--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        endpoint = Endpoint("chat-1", "127.0.0.1", port, admin, EndpointState.STARTING)
        await controller.route(endpoint, port=activator.port)
        await asyncio.sleep(load_seconds)
        listens = time.monotonic()
        await model.start()
        assert {reply.body for reply in await asyncio.gather(*held)} == {b"awake"}
        return reached[0] - listens
    finally:
        with contextlib.suppress(ProcessLookupError):
            proxy.kill()
        await proxy.wait()
        await model.stop()


async def measure(wakes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="pilotlight-first-byte-") as folder:
        controller = Controller(Path(folder) / "control.sock")
        await controller.start()
        async with activator_in_a_pod(controller.path, free_port()) as activator:
            for case, load_seconds in (("loads for a second", 1.0), ("listens almost at once", 0.05)):
                took = [await one_wake(controller, activator, load_seconds) for _ in range(wakes)]
                cuts = statistics.quantiles(took, n=20)
                p50, p95 = 1_000 * statistics.median(took), 1_000 * cuts[-1]
                print(f"{case}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, most {1_000 * max(took):.1f} ms of {wakes} wakes")
        await controller.stop()
    print(f"aim, for a model that loads: p50 {AIM_P50_MS:g} ms, p95 {AIM_P95_MS:g} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakes", type=int, default=30)
    asyncio.run(measure(parser.parse_args().wakes))


if __name__ == "__main__":
    main()
