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

_READING = (b"GET", b"HEAD")
_HEALTH_PATH = re.compile(rb"/(metrics|health|healthz|livez|readyz|ping|v2/health/(live|ready)|v2/models/[^/]+/ready)")


def purpose(head: RequestHead) -> Purpose:
    """What a request is for. Only a GET or HEAD without a body that asks for no upgrade can be a scrape: scrapes
    take no slot, and work must not get past the limit by calling itself one. Of the target, the path counts."""
    # Both names are among those that the engine notes, so neither lookup walks over the lines.
    field = head.fields.get(b"user-agent")
    agent = b"" if field is None else field.value
    if agent.startswith(b"kube-probe/") or PROBE_HEADER in head.fields:
        return Purpose.PROBE
    if (
        head.method in _READING
        and (agent.startswith(b"Prometheus/") or _HEALTH_PATH.fullmatch(head.target.partition(b"?")[0]))
        and not (head.is_upgrade or head.chunked or head.content_length)
    ):
        return Purpose.SCRAPE
    return Purpose.WORK
