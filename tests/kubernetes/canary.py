"""Canaries: what somebody who looks at a service every 5 ms sees, while it goes to sleep and wakes again and again.

`python -m tests.kubernetes.canary KUBECONFIG REPORT CYCLES GATEWAY` in the cluster's network, as a process of its own,
so that what tests do meanwhile does not hold up its clock. It looks at the service `canary` by the Service's address
and through a gateway, on a new connection each time, and writes what became of it to REPORT, as JSON, at the end.

A service that is asked for work every 5 ms never sleeps. So the canary's requests are of two kinds. For some seconds of
each cycle they are work, and the first of them wakes the service. From then on they are health checks, which take the
same way over the same doors, but count as no work, until the service has gone to sleep under them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

import aiohttp

from tests.kubernetes.kserve.api import Api
from tests.kubernetes.kserve.pod_spec import mapping

NAME = "canary"
GATEWAY_HOST = "canary.example.com"
EVERY = 0.005
_WORK_SECONDS = 1.5
_LONGEST_CYCLE = 120.0
_PATIENCE = 120.0
# On a machine that takes a minute for a start, more would only show how much one activator holds; and a queue proxy
# lets eight health checks at a time pass to its model.
_MOST_UNDER_WAY = {True: 4_000, False: 6}
_QUESTION = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
_WORK, _LOOK = f"/v2/models/{NAME}/infer", "/v2/health/ready"


@dataclass
class Report:
    """What came of it: requests by how they ended, for each way in, and the seconds that each cycle took.

    Of the requests that were due `held_back` were not sent because too many were under way, and `late` because this
    process did not get the time.
    """

    cycles: list[float] = field(default_factory=list)
    work: int = 0
    looks: int = 0
    held_back: int = 0
    late: int = 0
    failed: dict[str, dict[str, int]] = field(default_factory=dict)
    error: str = ""


class Canary:
    """Sends, and counts."""

    def __init__(self, ways: dict[str, tuple[str, dict[str, str]]]) -> None:
        """`ways`: for each way in a URL and headers."""
        self.report = Report(failed={way: {} for way in ways})
        self._ways = ways
        self._failed: dict[str, Counter[str]] = {way: Counter() for way in ways}
        self.working = False
        self._under_way: dict[bool, set[asyncio.Task[None]]] = {True: set(), False: set()}

    async def send(self) -> None:
        """A request every 5 ms, by one way and the other in turn, for ever."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=3600)
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        due = time.monotonic()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            try:
                for way in cycle(self._ways):
                    work, under_way = self.working, self._under_way[self.working]
                    if len(under_way) < _MOST_UNDER_WAY[work]:
                        task = asyncio.create_task(self._ask(session, way, work=work))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)
                    else:
                        self.report.held_back += 1
                    due += EVERY
                    # What could not be sent in time is not made up for: that would be a burst.
                    missed = max(0, int((time.monotonic() - 0.1 - due) / EVERY))
                    due += missed * EVERY
                    self.report.late += missed
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
            finally:
                await asyncio.gather(*self._under_way[True], *self._under_way[False], return_exceptions=True)
                self.report.failed = {way: dict(counter) for way, counter in self._failed.items()}

    def __str__(self) -> str:
        """How far it is, for whoever looks why it takes so long."""
        last = self.report.cycles[-1] if self.report.cycles else 0.0
        failed = {way: dict(counter) for way, counter in self._failed.items()}
        return f"{len(self.report.cycles)} cycles, the last of {last:.1f} s; failed: {failed}"

    async def _ask(self, session: aiohttp.ClientSession, way: str, *, work: bool) -> None:
        url, headers = self._ways[way]
        said = ""
        try:
            if work:
                async with session.post(url + _WORK, json=_QUESTION, headers=headers) as answer:
                    said = await answer.text() if answer.status != 200 else await _drop(answer)
            else:
                async with session.get(url + _LOOK, headers=headers) as answer:
                    said = await answer.text() if answer.status != 200 else await _drop(answer)
            if answer.status != 200:
                said = f"{answer.status} {said[:100]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = f"{type(error).__name__}: {error}"
        self.report.work += work
        self.report.looks += not work
        if said:
            self._failed[way][f"{'work' if work else 'look'}: {said}"] += 1


async def _drop(answer: aiohttp.ClientResponse) -> str:
    await answer.read()
    return ""


async def one_cycle(api: Api, canary: Canary) -> float:
    """From zero to one and back; how long it took. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(_LONGEST_CYCLE):
        canary.working = True
        while await _ready(api) == 0:
            await asyncio.sleep(0.1)
        await asyncio.sleep(_WORK_SECONDS)
        canary.working = False
        while await _wanted(api) != 0:
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def _deployment(api: Api, part: str) -> dict[str, object]:
    found = await api.get(f"/apis/apps/v1/namespaces/default/deployments/{NAME}-predictor")
    return mapping(found[part]) if found is not None else {}


async def _wanted(api: Api) -> int:
    return int(str((await _deployment(api, "spec")).get("replicas", -1)))


async def _ready(api: Api) -> int:
    return int(str((await _deployment(api, "status")).get("readyReplicas") or 0))


async def run(kubeconfig: Path, report: Path, cycles: int, gateway: str) -> None:
    """See the module."""
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "service": (f"http://{NAME}-predictor.default.svc.cluster.local", {}),
        "gateway": (gateway, {"Host": GATEWAY_HOST}),
    }
    canary = Canary(ways)
    async with Api(kubeconfig) as api:
        sending = asyncio.create_task(canary.send())
        try:
            for _ in range(cycles):
                canary.report.cycles.append(await one_cycle(api, canary))
                print(canary, flush=True)
        except TimeoutError:
            canary.report.error = f"cycle {len(canary.report.cycles) + 1} took more than {_LONGEST_CYCLE:g} s"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    unfinished = report.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(canary.report)))
    unfinished.rename(report)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
