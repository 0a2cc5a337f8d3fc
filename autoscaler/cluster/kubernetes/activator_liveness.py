"""Which activators take connections, where it is known before their pods' conditions say it, or better than by them.

A pod that was told to end is not ready at once, and takes connections for some seconds still. And that a node is lost
Kubernetes says after forty seconds or more, in which connections to its activator would hang; the controller, to which
each activator speaks every second, knows it within some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from autoscaler.cluster.kubernetes.activator_pods import ActivatorPod

# An activator looks for who leads twice a second, and finds him when kube-proxy has.
_SILENCES_OF_A_BEGINNING = 5


class ActivatorLiveness:
    """Names of pods; `changed` is called when there are others. To be used within an event loop."""

    def __init__(self, changed: Callable[[], None], still_open: float, silent_after: float) -> None:
        """`still_open`: for how many seconds one that was told to end takes connections, at most; `silent_after`: for
        how many one may be without a connection to the controller, for it may be there again in a moment."""
        self._changed = changed
        self._still_open_seconds = still_open
        self._silent_after = silent_after
        self._first_heard_within = _SILENCES_OF_A_BEGINNING * silent_after
        self._closing: dict[str, asyncio.TimerHandle] = {}
        self._falling_silent: dict[str, asyncio.TimerHandle] = {}
        self._silent: set[str] = set()
        self._awaited: set[str] = set()
        self._beginning: asyncio.TimerHandle | None = None

    @property
    def still_open(self) -> Collection[str]:
        """Those that are ending and may take connections."""
        return self._closing.keys()

    @property
    def silent(self) -> Collection[str]:
        """Those whose connection to the controller ended without a word, and that have not come again."""
        return self._silent

    def pod_changed(self, before: ActivatorPod | None, after: ActivatorPod | None) -> None:
        """A pod is so now; None: there is none."""
        if before is None:
            return
        if after is None:
            _cancel(self._closing, before.name)
            self._speaks(before.name)
        elif after.ending and not before.ending:
            # Seen to happen; when it happened to one that was ending before, nobody knows.
            later = asyncio.get_running_loop().call_later(self._still_open_seconds, self._closed, after.name)
            self._closing[after.name] = later

    def heard(self, name: str, *, speaks: bool) -> None:
        """It is connected to the controller, or its connection has ended without a word."""
        if speaks:
            if self._speaks(name):
                self._changed()
        elif name not in self._silent and name not in self._falling_silent:
            later = asyncio.get_running_loop().call_later(self._silent_after, self._falls_silent, name)
            self._falling_silent[name] = later

    def listen_anew(self, names: Iterable[str], unnamed: Iterable[str]) -> None:
        """Who begins to lead has not heard anybody yet. Of those that there are, `names`, each has to be heard within
        some seconds; those that who led before did not name any more are silent until then."""
        for name in (*self._silent, *self._falling_silent):
            self._speaks(name)
        self._silent.update(unnamed)
        self._awaited = set(names) - self._silent
        if self._beginning is not None:
            self._beginning.cancel()
        # All at one moment: where nobody is heard, nobody is taken out for having been the first not to be.
        self._beginning = asyncio.get_running_loop().call_later(self._first_heard_within, self._are_missed)

    def _are_missed(self) -> None:
        self._silent |= self._awaited
        self._awaited = set()
        self._changed()

    def _speaks(self, name: str) -> bool:
        _cancel(self._falling_silent, name)
        self._awaited.discard(name)
        was_silent = name in self._silent
        self._silent.discard(name)
        return was_silent

    def _falls_silent(self, name: str) -> None:
        del self._falling_silent[name]
        self._silent.add(name)
        self._changed()

    def _closed(self, name: str) -> None:
        del self._closing[name]
        self._changed()


def _cancel(timers: dict[str, asyncio.TimerHandle], name: str) -> None:
    timer = timers.pop(name, None)
    if timer is not None:
        timer.cancel()
