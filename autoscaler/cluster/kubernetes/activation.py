"""Activation: who gets the connections of a service that cannot serve them all itself.

For each managed service there is one slice of ours (see `slices`). Here it is decided what it shall say, and it is made
to say so: level-triggered, that is from what is and what shall be, whatever happened in between; a slice that somebody
deletes or edits is put right, a Service that KServe made anew gets its slice again. Nothing is written while all is as
it shall be.

The order of things is what this is about, so that no request meets a closed door:

- The activator counts as in the path (`in_path`) only once the API server has taken the slice with the address of an
  activator that is ready, and `spread` has passed, in which every node and gateway hears of it. Zero replicas before
  that would be refusals; `check_may_sleep` stands in front of such an order.
- It counts as gone (`left`) once it has been out for as long; only then are clients moved over.
- A service that is no longer ours to scale, and that we have put to sleep, is started before its slice goes.

Ports are allotted only by who leads, from all that slices record, which a follower has read long before it leads.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from autoscaler.cluster.interface import ClusterError
from autoscaler.cluster.kubernetes.activation_settings import ActivationSettings
from autoscaler.cluster.kubernetes.activator_pods import Activators
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.path_state import PathState, Subject
from autoscaler.cluster.kubernetes.ports import PortBook, PortsExhaustedError
from autoscaler.cluster.kubernetes.slice_store import Store
from autoscaler.cluster.kubernetes.slice_writing import as_wanted, write_slices
from autoscaler.cluster.kubernetes.slices import SliceFacts, Wanted
from autoscaler.cluster.kubernetes.views import Path
from autoscaler.cluster.kubernetes.work_queue import WorkQueue
from autoscaler.cluster.kubernetes.write_turns import Urgency, WriteTurns

_log = logging.getLogger(__name__)
_AS_IT_IS = ActivationSettings()


@dataclass(eq=False, slots=True)
class _Followed:
    """One service, what was told of it, and what is under way."""

    state: PathState
    problem: str = ""
    told: Path = field(default_factory=lambda: Path(left=True))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked_at: float = 0.0
    spreading: asyncio.TimerHandle | None = None


class Activation:
    """The activator's place in the path of every service. See the module."""

    def __init__(
        self,
        store: Store,
        hand_back: Callable[[str], Awaitable[None]],
        changed: Callable[[str], None],
        turns: WriteTurns,
        settings: ActivationSettings = _AS_IT_IS,
    ) -> None:
        """`changed` is called with a service of which something that is shown here has changed; `hand_back` orders one
        replica of a service, and raises nothing but ApiError and ClusterError; `turns` bounds what is written."""
        self._store = store
        self._hand_back = hand_back
        self._changed = changed
        self._turns = turns
        self._settings = settings
        self._followed: dict[str, _Followed] = {}
        self._activators = Activators()
        self._book = PortBook(settings.ports)
        self._queue = WorkQueue(self._hurried, settings.first_pause, settings.longest_pause)
        self.leading = asyncio.Event()
        self.synced = store.synced
        store.slice_changed = self._slice_changed
        store.activators_changed = self._activators_changed

    # What is shown

    def path(self, service: str) -> Path:
        """How new connections of a service are led."""
        followed = self._followed.get(service)
        if followed is None:
            return Path(left=True)
        state = followed.state
        return Path(
            port=self._book.ports.get(service, 0),
            in_path=state.in_path(self._activators, self._now(), self._settings.spread),
            left=state.left(self._now(), self._settings.spread),
            ready_generation=state.ready_generation,
            policy=state.recorded_policy,
        )

    def released(self, service: str) -> bool:
        """Nothing of ours is in its path, nor will be: it may be forgotten."""
        followed = self._followed.get(service)
        return followed is None or (not followed.state.slices and self.path(service).left)

    def problem(self, service: str) -> str:
        """Why the activator cannot be in its path; empty when it can."""
        followed = self._followed.get(service)
        return "" if followed is None else followed.problem

    def check_may_sleep(self, service: str) -> None:
        """Raises ClusterError while connections to a service without replicas would be refused."""
        if not self.path(service).in_path:
            why = self.problem(service) or ("" if self._activators.ready else "no activator is ready")
            raise ClusterError(f"the activator is not in the path of new connections{why and ': '}{why}")

    # What comes in

    def service(self, service: str, subject: Subject | None) -> None:
        """A service is as told; None: there is no such InferenceService any more."""
        followed = self._followed.get(service)
        if followed is None:
            if subject is None:
                return
            followed = self._follow(service)
        elif followed.state.subject == subject:
            return
        followed.state.follow(subject, self._now())
        self._look(followed)
        self._queue.mark(service)

    async def put(self, service: str, in_path: bool) -> None:
        """Lead connections to the activator too, or to the pods alone, until told otherwise.

        Returns when it was its turn and the API server has taken it; it has then still to spread. Raises ClusterError.
        """
        followed = self._followed.get(service)
        if followed is None or followed.state.subject is None:
            raise ClusterError(f"there is no service {service}")
        followed.state.wish = in_path
        try:
            await self._make_so(service, followed, Urgency.PATH)
        except ApiError as error:
            raise ClusterError(error.message) from error
        if followed.problem:
            raise ClusterError(followed.problem)
        if in_path and not self._activators.endpoints:
            raise ClusterError("no activator is running")

    def record_policy(self, service: str, policy: str) -> None:
        """See Cluster.record_policy."""
        followed = self._followed.get(service)
        if followed is not None and followed.state.policy != policy:
            followed.state.policy = policy
            self._queue.mark(service)

    def activator_heard(self, activator: str, *, speaks: bool) -> None:
        """See Cluster.activator_heard."""
        self._store.activator_heard(activator, speaks=speaks)

    def _slice_changed(self, before: SliceFacts | None, after: SliceFacts | None) -> None:
        facts = after or before
        if facts is None:
            return
        followed = self._followed.get(facts.service) or self._follow(facts.service)
        if followed.state.hear(before, after):
            self._look(followed)
            self._queue.mark(facts.service)

    def _activators_changed(self, activators: Activators) -> None:
        if activators == self._activators:
            return
        self._activators = activators
        for followed in self._followed.values():
            self._look(followed)
        self._mark_all()

    def _follow(self, service: str) -> _Followed:
        followed = self._followed[service] = _Followed(PathState(service, self._now()))
        return followed

    # Leading

    async def run(self) -> None:
        """Follow slices and activators, for ever, whoever leads."""
        await self._store.run()

    async def lead(self) -> None:
        """Make it so, until cancelled."""
        await self.synced.wait()
        self._store.listen_anew()
        self._settle_ports()
        for followed in self._followed.values():
            # What an earlier term of ours had in mind is no news any more.
            followed.state.wish, followed.state.policy = None, ""
        self._mark_all()
        self.leading.set()
        try:
            await self._queue.work(self._look_after, self._turns.at_once)
        finally:
            self.leading.clear()

    def _settle_ports(self) -> None:
        """The book as the slices record it; what nobody has recorded is allotted."""
        self._book = PortBook(self._settings.ports)
        for service, followed in self._followed.items():
            for facts in followed.state.slices:
                if facts.port is not None:
                    self._book.record(service, facts.port, facts.created)
        for service, followed in self._followed.items():
            if followed.state.subject is not None and followed.state.subject.managed:
                self._allot(service, followed)
            self._look(followed)

    def _allot(self, service: str, followed: _Followed) -> int:
        try:
            return self._book.allot(service)
        except PortsExhaustedError as error:
            followed.problem = str(error)
            return 0

    async def _look_after(self, service: str) -> None:
        followed = self._followed.get(service)
        if followed is not None:
            await self._make_so(service, followed, Urgency.UPKEEP)

    async def _make_so(self, service: str, followed: _Followed, urgency: Urgency) -> None:
        """Write what is not as it shall be, when it is its turn. Raises ApiError, ClusterError."""
        state = followed.state
        self._check_leading()
        # Of a thousand services that a new controller looks at, those that are as they shall be wait for no turn.
        if followed.lock.locked() or not as_wanted(state, self._wanted(service, followed)):
            async with self._turns.turn(Urgency.DOOR if self._hurried(service) else urgency):
                await self._write(service, followed)
        if state.subject is None and not state.slices and self._followed.get(service) is followed:
            self._forget(service, followed)
        elif state.to_be_handed_back:
            _log.info("%s: may be scaled no longer, and sleeps: handed back awake", service)
            await self._hand_back(service)

    async def _write(self, service: str, followed: _Followed) -> None:
        # The turn comes first: who holds the lock never waits for others, however little urgent his own turn was.
        async with followed.lock:
            self._check_leading()
            await write_slices(
                self._store, followed.state, lambda: self._wanted(service, followed), lambda: self._look(followed)
            )

    def _check_leading(self) -> None:
        if not self.leading.is_set():
            raise ApiError(0, "NotLeading", "this controller does not lead", sent=False)

    def _hurried(self, service: str) -> bool:
        """Connections to it may be refused until its slice is written."""
        followed = self._followed.get(service)
        return followed is not None and followed.state.subject is not None and not _served(followed.state)

    def _wanted(self, service: str, followed: _Followed) -> tuple[Wanted, ...] | None:
        """What its slices shall say; nothing: there shall be none; None: they shall stay as they are."""
        state = followed.state
        followed.problem = ""
        if state.subject is None:
            rest = state.gone_at + self._settings.forget_after - self._now()
            if rest > 0.0:
                self._queue.mark_later(service, rest)
                return None
            return ()
        if state.target is None:
            return None  # the slice belongs to the Service, and goes with it
        followed.problem = state.target.problem
        if followed.problem and state.to_be_handed_back:
            return None
        if not state.subject.managed and not state.slices:
            return ()
        rest = state.leaves_at(self._settings.settle) - self._now()
        if 0.0 < rest < math.inf and state.names_activators:
            self._queue.mark_later(service, rest)
        port = self._allot(service, followed)
        return state.wanted(port, self._activators, self._now(), self._settings.settle) if port else None

    def _forget(self, service: str, followed: _Followed) -> None:
        if followed.spreading is not None:
            followed.spreading.cancel()
        self._queue.forget(service)
        self._book.forget(service)
        del self._followed[service]

    def _look(self, followed: _Followed) -> None:
        """Something may have changed: tell what is new, now and when it has spread."""
        service = followed.state.service
        followed.looked_at = self._now()
        followed.state.look(self._book.ports.get(service, 0), followed.looked_at)
        self._tell(service, followed)

    def _spread(self, service: str) -> None:
        followed = self._followed[service]
        followed.spreading = None
        self._tell(service, followed)

    def _tell(self, service: str, followed: _Followed) -> None:
        path = self.path(service)
        if followed.told != path:
            followed.told = path
            self._changed(service)
        # A hair later than that, so that what is due then is found to be due.
        rest = followed.looked_at + self._settings.spread + 0.001 - self._now()
        if followed.spreading is None and rest > 0.0 and not (path.in_path or path.left):
            followed.spreading = asyncio.get_running_loop().call_later(rest, self._spread, service)

    def _mark_all(self) -> None:
        """Who is led to activators, or has nobody else, is looked at now. To all others they are the fallback: those
        follow one after the other."""
        others = 0
        for service, followed in self._followed.items():
            if _served(followed.state, alone=True):
                others += 1
                self._queue.mark_within(service, others / self._settings.unhurried)
            else:
                self._queue.mark(service)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _served(state: PathState, *, alone: bool = False) -> bool:
    """By pods, with or without activators; `alone`: without."""
    return state.subject is not None and state.subject.ready > 0 and not (alone and state.names_activators)
