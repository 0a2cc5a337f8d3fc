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

# Every request passes these; a name of the module costs less than an attribute of the enum.
_WORK = Purpose.WORK
_READING = (b"GET", b"HEAD")
# A look at its beginning spares most targets the whole expression.
_BEGINS_LIKE_HEALTH = (b"/metrics", b"/health", b"/livez", b"/readyz", b"/ping", b"/v2/")
_HEALTH_PATH = re.compile(
    rb"/(?:metrics|healthz?|livez|readyz|ping|v2/health/(?:live|ready)|v2/models/[^/?]+/ready)(?:\?.*)?", re.DOTALL
).fullmatch


def purpose(head: RequestHead) -> Purpose:
    """What a request is for. Only a GET or HEAD without a body that asks for no upgrade can be a scrape: scrapes
    take no slot, and work must not get past the limit by calling itself one. Of the target, the path counts."""
    found = head.note
    if found is None:
        found = head.note = _find_out(head)
    return found  # type: ignore[return-value]


def _find_out(head: RequestHead) -> Purpose:
    # Both names are among those that the engine notes, so neither lookup walks over the lines.
    fields = head.fields
    field = fields.get(b"user-agent")
    if PROBE_HEADER in fields or (field is not None and field.value.startswith(b"kube-probe/")):
        return Purpose.PROBE
    if head.method not in _READING:
        return _WORK
    is_reading = (field is not None and field.value.startswith(b"Prometheus/")) or (
        head.target.startswith(_BEGINS_LIKE_HEALTH) and _HEALTH_PATH(head.target) is not None
    )
    if is_reading and not (head.is_upgrade or head.chunked or head.content_length):
        return Purpose.SCRAPE
    return _WORK
