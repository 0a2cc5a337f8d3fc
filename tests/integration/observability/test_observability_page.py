"""The commands of docs/observability.md, run as they stand there, and what the page says of their results."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from pilotlight.metrics_reference import activator_rows, controller_rows, queue_proxy_rows
from tests.integration.observability.observability_world import Collector
from tests.integration.queue_proxy.queue_proxy_harness import Call, Model, free_port, ok
from tests.until import until

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "observability.md").read_text()


def _commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    async def handle(call: Call) -> bytes:
        return ok(b"models")

    model, collector = Model(handle), Collector()
    await model.start()
    await collector.start()
    script = "set -e\n" + "".join(_commands()[:2]).replace("tail ", "sleep 0.5; tail ") + _commands()[2]
    for written, ours in (("9000", model.port), ("9001", free_port()), ("9002", free_port())):
        script = script.replace(f"127.0.0.1:{written}", f"127.0.0.1:{ours}")
    folder = Path(sys.executable).parent
    environment = {**os.environ, **collector.environment(), "PATH": f"{folder}:{os.environ['PATH']}"}
    bash = shutil.which("bash")
    assert bash is not None
    process = await asyncio.create_subprocess_exec(
        *(bash, "-c", script),
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            output = [(await process.stdout.readline()).decode() for _ in range(1)]
            output.append((await process.stdout.readuntil(b"}\n")).decode())
        await until(lambda: len(collector.spans) >= 1)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        # Up to the end of the pipes: the proxy, which drains, holds them for longer than the shell that started it.
        ended = asyncio.create_task(process.communicate())
        await asyncio.wait([ended], timeout=30)
        if not ended.done():
            os.killpg(process.pid, signal.SIGKILL)
        await ended
        await collector.stop()
        await model.stop()
    assert output[0] == "ready\n"
    counted, line = output[1].removeprefix("models").splitlines()
    assert counted == "pilotlight_queue_proxy_first_byte_seconds_count 1.0"
    fields = json.loads(line)
    assert (fields["path"], fields["service"], fields["status"]) == ("/v1/models", "default/chat", 200)
    table = re.search(r"^\| key \| meaning \|\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert table is not None
    explained = re.findall(r"`(\w+)`", "".join(row.split(" | ")[0] for row in table[1].splitlines()))
    assert explained == list(fields)
    assert collector.spans[0].trace_id == fields["trace_id"]


def test_every_metric_that_the_page_names_exists() -> None:
    rows = [*controller_rows(), *activator_rows(), *queue_proxy_rows()]
    names = {row.name for row in rows} | {f"{row.name}_bucket" for row in rows if row.kind == "histogram"}
    named = re.findall(r"\bpilotlight_\w+", PAGE)
    assert named
    assert set(named) <= names
