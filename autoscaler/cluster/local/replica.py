"""One replica: a model process, the queue proxy in front of it, and the resources both live on.

    PENDING → STARTING ⇄ READY → DRAINING → gone
                  ↘        ↘ FAILED

One task lives the whole life, top to bottom, and whatever happens leaves through the same door: both processes and
their children are dead, then GPUs and ports are given back. A replica is never repaired: if one half dies the other
is ended, and its service puts a fresh one in its place.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.cluster.interface import Replica, ReplicaPhase
from autoscaler.cluster.local.host import Host
from autoscaler.cluster.local.launch_plan import Launch
from autoscaler.cluster.local.log_file import LogFile
from autoscaler.cluster.local.port_range import NoPortError, listen_on_loopback
from autoscaler.cluster.local.preflight import search_path
from autoscaler.cluster.local.processes import Process, StartError
from autoscaler.cluster.local.readiness_watch import until_ready, why_not_ready
from autoscaler.cluster.local.service_spec import ServiceSpec, queue_proxy_command

READY_CHECK_SECONDS = 2.0
SETTLE_SECONDS = 0.25
"""Between being listed as draining and the queue proxy's SIGTERM: activators stop routing to it in that time."""
_PROXY_GRACE = 1.0
_MODEL_GRACE = 10.0
_LINES_EXPLAINED = 8


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a replica is over though nobody ordered it; `ready_seconds` is how long it was ready, None for never."""

    reason: str
    ready_seconds: float | None


class LocalReplica:
    """A replica of `spec`. `live` is its life, `leave` asks it to go, `view` is what others see of it.

    `changed` is called at every change of `view`; `why_new` says why the one before it in its place is over.
    """

    def __init__(
        self, spec: ServiceSpec, name: str, host: Host, changed: Callable[[], None], why_new: str | None = None
    ) -> None:
        self._spec = spec
        self._host = host
        self._changed = changed
        self._why_new = why_new
        self._why_not = ""
        self._leaving = asyncio.Event()
        self._hurried = asyncio.Event()
        self._killed = False
        self._drain_until = 0.0
        self._model: Process | None = None
        self._proxy: Process | None = None
        self._ready_since: float | None = None
        self.gpus: tuple[str, ...] = ()
        self.waits_for_gpus = False
        self.view = Replica(name=name, phase=ReplicaPhase.PENDING, created_at=host.wall_clock(), reason=why_new)

    @property
    def leaving(self) -> bool:
        """Whether it was asked to go."""
        return self._leaving.is_set()

    def leave(self, drain_seconds: float) -> None:
        """Go: routing stops, accepted work is finished for at most `drain_seconds`. A later call can only shorten."""
        until = self._host.clock() + drain_seconds
        self._drain_until = min(until, self._drain_until) if self.leaving else until
        self._hurried.set()
        if not self.leaving:
            self._leaving.set()
            self._show(phase=ReplicaPhase.DRAINING)

    def kill(self) -> None:
        """End now, whatever it does."""
        self._killed = True
        self.leave(0.0)
        for process in (self._proxy, self._model):
            if process is not None:
                process.send(signal.SIGKILL)

    async def live(self) -> Failure | None:
        """The whole life. Returns why it failed, or None when it was asked to go and has gone.

        At return nothing of it is running and nothing is held.
        """
        name = self.view.name
        model_log = LogFile(self._host.log_path(name))
        proxy_log = LogFile(self._host.log_path(f"{name}.queue-proxy"))
        ports: tuple[int, ...] = ()
        try:
            await self._until_gpus()
            if not self.leaving:
                ports = self._host.ports.take(len(self._spec.plan.ports.declared))
                launch = self._spec.plan.launch(name, ports, self._spec.footing.model_directory)
                self._start(launch, model_log, proxy_log)
                await self._serve()
            if self.leaving:
                await self._drain()
                return None
            return self._failed(self._what_ended(model_log, proxy_log))
        except (StartError, NoPortError, OSError) as error:
            return self._failed(str(error))
        finally:
            await self._end()
            model_log.close()
            proxy_log.close()
            self._host.ports.give_back(ports)
            self._host.give_back_gpus(name)

    async def _until_gpus(self) -> None:
        """Wait until its devices are dealt, or until it shall go."""
        count = self._spec.plan.gpus
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            while not self.leaving:
                dealt = self._host.gpus.deal(self.view.name, count) if count else ()
                self.waits_for_gpus = dealt is None
                if dealt is not None:
                    self.gpus = dealt
                    return
                self._show(reason=self._host.gpus.shortage(count))
                await _first_of(leaving, self._host.gpus_given_back())
        finally:
            leaving.cancel()

    def _start(self, launch: Launch, model_log: LogFile, proxy_log: LogFile) -> None:
        """Start both halves at once; connections made to the queue proxy from now on wait until it accepts them."""
        name, footing, processes = self.view.name, self._spec.footing, self._host.processes
        path = {"PATH": search_path(launch.environment.get("PATH"))}
        # A probe that is a command runs in the queue proxy, and expects the model's variables.
        probe_variables = launch.environment if launch.probe is not None and "exec" in launch.probe else {}
        with listen_on_loopback() as listener, listen_on_loopback() as admin:
            sockets = (listener.fileno(), admin.fileno())
            command = queue_proxy_command(self._spec, name, launch, *sockets)
            environment = {**os.environ, **probe_variables, **path}
            self._proxy = processes.start(name, "queue proxy", command, environment, log=proxy_log, keep=sockets)
            # From here on the sockets are open in the proxy only: when it dies, connections are refused and the
            # activator goes elsewhere, instead of waiting at a door that nobody will open.
            address = {"port": listener.getsockname()[1], "admin_port": admin.getsockname()[1]}
        self._model = processes.start(
            name,
            "model",
            (footing.executable, *launch.argv[1:]),
            {**os.environ, **launch.environment, **path, **self._host.gpu_environment(self.gpus)},
            directory=footing.working_directory,
            log=model_log,
        )
        self._show(phase=ReplicaPhase.STARTING, host="127.0.0.1", reason=self._why_new, **address)

    async def _serve(self) -> None:
        """Until it shall go, or one half is over, or readiness takes too long."""
        assert self._model is not None
        assert self._proxy is not None
        readiness = asyncio.create_task(self._watch_readiness())
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await _first_of(self._model.ended, self._proxy.ended, readiness, leaving)
        finally:
            leaving.cancel()
            readiness.cancel()
            await asyncio.wait({readiness})

    async def _watch_readiness(self) -> None:
        """Follow the queue proxy's word; returns when the model is not ready for longer than the policy allows."""
        assert self.view.admin_port is not None
        where = f"http://127.0.0.1:{self.view.admin_port}/ready"
        deadline = self._spec.policy.progress_deadline_seconds
        while await until_ready(self._host.http, where, deadline, self._not_yet):
            self._ready_since = self._ready_since or self._host.clock()
            self._show(phase=ReplicaPhase.READY, reason=None, ready_at=self.view.ready_at or self._host.wall_clock())
            while not (why := await why_not_ready(self._host.http, where)):  # noqa: ASYNC110 - nobody to set an event
                await asyncio.sleep(READY_CHECK_SECONDS)
            self._why_new = None
            self._show(phase=ReplicaPhase.STARTING, reason=f"its readiness probe fails: {why}")
        self._why_not = await why_not_ready(self._host.http, where)

    def _not_yet(self, why: str) -> None:
        """A port that nobody listens on shows in `explain` while it can be mended, not when the deadline is over."""
        self._show(reason="\n".join(filter(None, (f"not ready yet: {why}", self._why_new))))

    async def _drain(self) -> None:
        """Let routing stop, let the queue proxy finish what it has accepted, then end the model."""
        if self._proxy is None or self._model is None:
            return
        if self._ready_since is not None and self._proxy.running:
            await asyncio.wait({self._proxy.ended}, timeout=min(SETTLE_SECONDS, self._drain_left()))
        self._proxy.send(signal.SIGTERM)
        while self._proxy.running and self._drain_left() > 0:
            self._hurried.clear()
            hurried = asyncio.create_task(self._hurried.wait())
            await _first_of(self._proxy.ended, hurried, within=self._drain_left())
            hurried.cancel()
        await self._proxy.stop(0.0 if self._killed else _PROXY_GRACE)  # a second SIGTERM: end at once
        await self._model.stop(0.0 if self._killed else _MODEL_GRACE)

    def _drain_left(self) -> float:
        return max(0.0, self._drain_until - self._host.clock())

    async def _end(self) -> None:
        """Nothing of it runs any more at return, however it came to its end."""
        if self._model is not None and self._model.running:
            self._model.send(signal.SIGKILL)
        if self._proxy is not None and self._proxy.running:
            await self._proxy.stop(_PROXY_GRACE)  # it can still tell its clients the truth
        if self._model is not None:
            await self._model.ended
        while left := await self._host.processes.sweep(self.view.name):
            pids = ", ".join(str(entry.pid) for entry in left)
            self._show(reason=f"waiting for processes that cannot be killed: {pids}")
            await asyncio.sleep(1.0)

    def _what_ended(self, model_log: LogFile, proxy_log: LogFile) -> str:
        if self._model is not None and not self._model.running:
            return _explain(f"the model ended: {self._model.ended.result()}", model_log)
        if self._proxy is not None and not self._proxy.running:
            return _explain(f"the queue proxy ended: {self._proxy.ended.result()}", proxy_log)
        seconds = self._spec.policy.progress_deadline_seconds
        return _explain(f"the model was not ready within {seconds:g} s: {self._why_not}", model_log)

    def _failed(self, reason: str) -> Failure:
        self._show(phase=ReplicaPhase.FAILED, reason=reason)
        return Failure(reason, None if self._ready_since is None else self._host.clock() - self._ready_since)

    def _show(self, **changes: object) -> None:
        if self.leaving and changes.get("phase") is not ReplicaPhase.DRAINING:
            changes.pop("phase", None)
        view = replace(self.view, **changes)  # type: ignore[arg-type]
        if view != self.view:
            self.view = view
            self._changed()


async def _first_of(*events: asyncio.Future[Any], within: float | None = None) -> None:
    await asyncio.wait(events, timeout=within, return_when=asyncio.FIRST_COMPLETED)


def _explain(what: str, log: LogFile) -> str:
    log.take_over()
    lines = log.last_lines(_LINES_EXPLAINED)
    return "\n".join([what + ("; last lines of its log:" if lines else ", with nothing in its log"), *lines])
