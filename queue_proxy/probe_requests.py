"""Requests that are not work: probes, which we answer ourselves, and scrapes, which pass uncounted.

Both come every few seconds for as long as a replica lives. Counted as load they would keep it alive for ever.
"""

from __future__ import annotations

import re
from enum import Enum

from queue_proxy.http import RequestHead


class Purpose(Enum):
    """WORK is counted. A PROBE asks whether the replica is ready. A SCRAPE reads metrics or health of the model."""

    WORK = "work"
    PROBE = "probe"
    SCRAPE = "scrape"


PROBE_HEADER = b"pilotlight-probe"
"""A request that carries this header is a probe, whatever its path and agent."""

_HEALTH_PATH = re.compile(rb"/(metrics|health|healthz|livez|readyz|ping|v2/health/(live|ready)|v2/models/[^/]+/ready)")


def purpose(head: RequestHead) -> Purpose:
    """What a request is for. A path counts as a scrape only with GET or HEAD and up to a query."""
    # Both names are among those that the engine notes, so neither lookup walks over the lines.
    agent = head.fields.get(b"user-agent")
    if agent is not None:
        if agent.value.startswith(b"kube-probe/"):
            return Purpose.PROBE
        if agent.value.startswith(b"Prometheus/"):
            return Purpose.SCRAPE
    if PROBE_HEADER in head.fields:
        return Purpose.PROBE
    if head.method in (b"GET", b"HEAD") and _HEALTH_PATH.fullmatch(head.target.partition(b"?")[0]):
        return Purpose.SCRAPE
    return Purpose.WORK
