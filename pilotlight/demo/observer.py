"""What the components say of themselves while the demo runs, four times a second, from the API and /metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from pilotlight.controller_api import Body

INTERVAL = 0.25
_HELD = "pilotlight_activator_held"
_IN_FLIGHT = "pilotlight_activator_in_flight"


@dataclass(frozen=True, slots=True)
class Sample:
    """One service at one moment (`at`: seconds since 1970).

    in_flight  requests that the activator has forwarded and that have not ended
    held       requests that wait in it
    """

    at: float
    phase: str
    reason: str
    why: str
    wanted: int
    starting: int
    ready: int
    draining: int
    in_flight: int
    held: int

    @property
    def existing(self) -> int:
        """Replicas that take up a place, whether or not they serve."""
        return self.starting + self.ready + self.draining


@dataclass(frozen=True, slots=True)
class Wake:
    """One wake from zero as the controller saw it; times are seconds since 1970, None while not reached."""

    decided_at: float
    ordered: int
    replica: str
    started_at: float | None
    ready_at: float | None


@dataclass(slots=True)
class Observed:
    """Everything seen so far, by service. `gaps` counts looks that got no answer."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    wakes: dict[str, list[Wake]] = field(default_factory=dict)
    gaps: int = 0

    def latest(self, service: str) -> Sample | None:
        """The newest sample of a service."""
        samples = self.samples.get(service)
        return samples[-1] if samples else None


class Observer:
    """Looks until it is cancelled. `clock` gives seconds since 1970."""

    def __init__(self, api: str, activator_metrics: str, clock: Callable[[], float]) -> None:
        self.observed = Observed()
        self._api = api
        self._activator_metrics = activator_metrics
        self._clock = clock

    async def run(self) -> None:
        """One look each INTERVAL, whatever one takes."""
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            due = loop.time()
            while True:
                try:
                    await self._look(session)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                    self.observed.gaps += 1
                due = max(due + INTERVAL, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _look(self, session: aiohttp.ClientSession) -> None:
        async with session.get(f"http://{self._api}/services") as answer:
            services = Body(json.loads(await answer.read())).objects("services")
        async with session.get(self._activator_metrics) as answer:
            gauges = _gauges(await answer.text())
        now = self._clock()
        for service in services:
            name = service.text("service")
            self.observed.samples.setdefault(name, []).append(_sample(service, gauges, name, now))

    async def look_at_wakes(self) -> None:
        """Ask for the wakes of every service; done once, at the end. Raises aiohttp.ClientError, OSError."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            for service in self.observed.samples:
                async with session.get(f"http://{self._api}/explain/{service}?last=100") as answer:
                    wakes = Body(json.loads(await answer.read())).objects("wakes")
                self.observed.wakes[service] = [wake for wake in map(_wake, wakes) if wake is not None]


def _gauges(text: str) -> dict[tuple[str, str], int]:
    """The activator's gauges by name and service."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in (_HELD, _IN_FLIGHT):
                found[sample.name, sample.labels.get("service", "")] = round(sample.value)
    return found


def _sample(service: Body, gauges: dict[tuple[str, str], int], name: str, now: float) -> Sample:
    return Sample(
        at=now,
        phase=service.text("phase") or "starting up",
        reason=service.text("reason"),
        why=service.text("error") or service.text("explanation"),
        wanted=service.whole("wanted") or 0,
        starting=service.whole("starting") or 0,
        ready=service.whole("ready") or 0,
        draining=service.whole("draining") or 0,
        in_flight=gauges.get((_IN_FLIGHT, name), 0),
        held=gauges.get((_HELD, name), 0),
    )


def _wake(body: Body) -> Wake | None:
    decided = body.number("decided_at")
    if decided is None:
        return None
    return Wake(
        decided_at=decided,
        ordered=body.whole("ordered") or 0,
        replica=body.text("replica"),
        started_at=body.number("started_at"),
        ready_at=body.number("ready_at"),
    )
