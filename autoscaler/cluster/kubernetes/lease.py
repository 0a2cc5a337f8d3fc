"""The rules of leader election by a Lease, as Kubernetes' own components follow them. Pure.

Who holds the lease writes to it again and again; who does not, watches it being written. A candidate takes it over only
after it has seen the same record for as long as that record says that it is valid, *by the candidate's own clock*: what
time the holder believes it is, and whether its clock is right, decides nothing. Only clocks that run at very different
speeds could mislead, and for that there is the distance between `renew_deadline` and `duration`: the holder stops
acting so much earlier than anybody else may begin.

`now` is seconds of a clock that never goes back and does not stop while the machine sleeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, number, text


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Seconds.

    duration        how long a record is valid after it was last seen to change; whole seconds, as a Lease has it
    renew_deadline  after so long without a renewal the holder stops leading
    retry           between two tries to get or to renew it; up to a fifth longer, so that candidates do not keep step
    """

    duration: int = 5
    renew_deadline: float = 3.0
    retry: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < 1.2 * self.retry < self.renew_deadline < self.duration:
            raise ValueError(
                "a lease needs retry · 1.2 < renew deadline < duration, or its holder would lose it between two"
                f" renewals, or lead on after it; not {self.retry:g}, {self.renew_deadline:g} and {self.duration}"
            )


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says. No `holder`: it was given up. Times are RFC 3339, for people; `version` is its object's."""

    holder: str
    duration: int
    acquired: str
    renewed: str
    transitions: int
    version: str = ""

    def body(self, namespace: str, name: str) -> JsonObject:
        """The object; with `version`, one that replaces just that version."""
        metadata = {"namespace": namespace, "name": name}
        if self.version:
            metadata["resourceVersion"] = self.version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": self.duration,
                "acquireTime": self.acquired or None,
                "renewTime": self.renewed or None,
                "leaseTransitions": self.transitions,
            },
        }


def lease_record(lease: JsonObject) -> LeaseRecord:
    """Read a Lease; what is absent is nothing: nobody holds a Lease that names nobody."""
    spec = inner(lease, "spec")
    return LeaseRecord(
        holder=text(spec, "holderIdentity"),
        duration=max(0, number(spec, "leaseDurationSeconds")),
        acquired=text(spec, "acquireTime"),
        renewed=text(spec, "renewTime"),
        transitions=max(0, number(spec, "leaseTransitions")),
        version=text(inner(lease, "metadata"), "resourceVersion"),
    )


class Candidate:
    """What one candidate knows and may do."""

    def __init__(self, identity: str, settings: LeaseSettings) -> None:
        self.identity = identity
        self._settings = settings
        self._record: LeaseRecord | None = None
        self._observed_at = -math.inf
        self._renewed_at = -math.inf

    @property
    def holder(self) -> str:
        """Who holds it, as last seen; empty: nobody, or unknown."""
        return "" if self._record is None else self._record.holder

    @property
    def known(self) -> LeaseRecord | None:
        """The record as last seen."""
        return self._record

    def acts_until(self) -> float:
        """Until when we may act; in the past when we may not."""
        return self._renewed_at + self._settings.renew_deadline

    def see(self, record: LeaseRecord | None, now: float) -> None:
        """The Lease was read; None: there is none. A record that is another one than before is valid from now on."""
        if record is None or self._record is None or _content(record) != _content(self._record):
            self._observed_at = now
        self._record = record

    def bid(self, now: float, time: float) -> LeaseRecord | None:
        """What to write now to get or keep it; None while it is somebody else's. `time` is seconds since 1970."""
        record, stamp = self._record, _stamp(time)
        if record is None:
            return LeaseRecord(self.identity, self._settings.duration, stamp, stamp, 0)
        if record.holder == self.identity:
            return replace(record, duration=self._settings.duration, renewed=stamp)
        if record.holder and now < self._observed_at + record.duration:
            return None
        return LeaseRecord(self.identity, self._settings.duration, stamp, stamp, record.transitions + 1, record.version)

    def won(self, record: LeaseRecord, asked_at: float) -> None:
        """The API server took what we wrote. It counts from when we asked: others have not seen it before that."""
        self._record = record
        self._observed_at = self._renewed_at = asked_at

    def resign(self) -> LeaseRecord | None:
        """Lead no more, from this moment on. Returns what to write so that the next need not wait; None: not ours."""
        self._renewed_at = -math.inf
        record = self._record
        if record is None or record.holder != self.identity:
            return None
        return replace(record, holder="", duration=1)


def _content(record: LeaseRecord) -> LeaseRecord:
    # An object's version also changes with what says nothing of the lease.
    return replace(record, version="")


def _stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
