"""Readiness: knows whether the model can serve, and tells those who wait the moment it can.

A GPU replica that is ready and not known to be ready is money burnt and a user who waits. Kubernetes asks every
few seconds; here the question is asked every 10 ms while the model wakes, first whether anybody listens at all
(which costs microseconds) and, once somebody does, with the real probe. Whoever waits is called in the same turn
of the event loop in which the answer came.

Once the model is ready it is asked at its own period. When a request finds nobody listening, `doubt` has it asked
again at once and at the fast pace, so that a dead model is known after some tens of milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queue_proxy.probe_spec import ExecProbe, ProbeSpec, TcpProbe
from queue_proxy.probes import Verdict, accepts, ask

CONNECT_INTERVAL = 0.010
"""Seconds between two looks whether anybody listens."""
_LONGEST_BACKOFF = 0.100
"""Seconds between two probes of a model that listens and says that it is not ready."""


class Judgement:
    """Adds single verdicts up to ready or not ready, by the thresholds of the probe. Pure."""

    __slots__ = ("_failures", "_spec", "_successes", "ready", "why")

    def __init__(self, spec: ProbeSpec) -> None:
        """Not ready before the first verdict."""
        self._spec = spec
        self._successes = 0
        self._failures = 0
        self.ready = False
        self.why = "not asked yet"

    @property
    def undecided(self) -> bool:
        """Verdicts disagree with the judgement, and are not enough to change it yet."""
        return (self._failures if self.ready else self._successes) > 0

    def take(self, verdict: Verdict) -> bool:
        """Add one verdict; true when the judgement changed."""
        if verdict.ready:
            self._failures = 0
            self._successes += 1
            changed = not self.ready and self._successes >= self._spec.success_threshold
        else:
            self._successes = 0
            self._failures += 1
            self.why = verdict.why
            changed = self.ready and self._failures >= self._spec.failure_threshold
        if changed:
            self.ready = verdict.ready
            self._successes = self._failures = 0
        if self.ready:
            self.why = ""
        return changed


class Readiness:
    """Watches one model. `start` begins to ask; `stop` ends it.

    Those who want to know are called with the new state each time it changes: `subscribe`, and `unsubscribe` by
    the same callable.
    """

    def __init__(self, spec: ProbeSpec, upstream: tuple[str, int]) -> None:
        """`upstream` is where requests will go; ready means that it listens there too."""
        self._spec = spec
        self._judgement = Judgement(spec)
        self._addresses = _addresses(spec, upstream)
        self._subscribers: dict[Callable[[bool], None], None] = {}
        self._doubted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the model is ready, as far as is known now."""
        return self._judgement.ready

    @property
    def why_not(self) -> str:
        """The last failure, in one line; empty while ready."""
        return self._judgement.why

    def subscribe(self, changed: Callable[[bool], None]) -> None:
        """Have `changed` called with every new state, in order of subscription. It must not raise."""
        self._subscribers[changed] = None

    def unsubscribe(self, changed: Callable[[bool], None]) -> None:
        """Undo `subscribe`; nothing happens when there is nothing to undo."""
        self._subscribers.pop(changed, None)

    def doubt(self) -> None:
        """A request found nobody listening: ask now instead of at the end of the period."""
        self._doubted.set()

    def start(self) -> asyncio.Task[None]:
        """Begin to ask. The task never ends by itself: whoever starts it must notice if it does, because a model
        that nobody asks is never ready."""
        self._task = asyncio.create_task(self._watch(), name="readiness")
        return self._task

    async def stop(self) -> None:
        """Stop asking; the state stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while True:
            await self._until_ready()
            await self._until_not_ready()

    async def _until_ready(self) -> None:
        backoff = CONNECT_INTERVAL
        while not self.ready:
            nobody = await self._nobody_listens()
            if nobody is not None:
                self._take(nobody)
                await asyncio.sleep(CONNECT_INTERVAL)
                continue
            verdict = await self._ask()
            self._take(verdict)
            if not self.ready:
                # One success of several that are needed is followed up at once.
                backoff = CONNECT_INTERVAL if verdict.ready else min(backoff * 1.5, _LONGEST_BACKOFF)
                await asyncio.sleep(backoff)

    async def _until_not_ready(self) -> None:
        backoff = CONNECT_INTERVAL
        self._doubted.clear()
        while self.ready:
            if self._judgement.undecided and self._doubted.is_set():
                await asyncio.sleep(backoff)
                backoff = min(backoff * 1.5, _LONGEST_BACKOFF)
            else:
                self._doubted.clear()
                backoff = CONNECT_INTERVAL
                await self._period()
            self._take(await self._nobody_listens() or await self._ask())

    async def _period(self) -> None:
        try:
            async with asyncio.timeout(self._spec.period_seconds):
                await self._doubted.wait()
        except TimeoutError:
            pass

    async def _ask(self) -> Verdict:
        if isinstance(self._spec.probe, TcpProbe):
            return _ACCEPTED  # that somebody listens was all it asks
        return await ask(self._spec.probe, self._spec.timeout_seconds)

    async def _nobody_listens(self) -> Verdict | None:
        """The verdict on a model that does not listen yet; None when it is worth asking."""
        for (host, port), silence in self._addresses.items():
            if not await accepts(host, port, self._spec.timeout_seconds):
                return silence
        return None

    def _take(self, verdict: Verdict) -> None:
        if not self._judgement.take(verdict):
            return
        for changed in tuple(self._subscribers):
            changed(self.ready)


_ACCEPTED = Verdict(True)


def _addresses(spec: ProbeSpec, upstream: tuple[str, int]) -> dict[tuple[str, int], Verdict]:
    """Where somebody has to listen before it is worth asking: where requests go, and where the probe goes; with what
    is to be said when nobody does, ready for use a hundred times a second."""
    probed = [] if isinstance(spec.probe, ExecProbe) else [(spec.probe.host, spec.probe.port)]
    return {
        (host, port): Verdict(False, f"nobody accepts connections on {f'[{host}]' if ':' in host else host}:{port}")
        for host, port in (upstream, *probed)
    }
