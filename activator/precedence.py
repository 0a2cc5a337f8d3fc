"""Precedence of one request: the band and the tenant that its headers name, where its service's policy lets them.

Both headers can be written by anybody who can reach the service. So neither counts unless the policy says so, and that
is for services behind a gateway that sets or checks them.
"""

from __future__ import annotations

from typing import Protocol

from activator.lines import Band
from activator.messages import Precedence

PRIORITY_HEADER = b"pilotlight-priority"
_BANDS = {b"high": Band.HIGH, b"normal": Band.NORMAL, b"low": Band.LOW}
# A tenant's name is kept as long as its requests wait. Longer ones count by their beginning.
_LONGEST_TENANT = 128


class Headers(Protocol):
    """The head of a request."""

    def value(self, name: bytes) -> bytes | None:
        """The value of the first header of that name, None when there is none."""
        ...


def place_of(head: Headers, precedence: Precedence) -> tuple[Band, bytes]:
    """Band and tenant. A priority that is no word of ours is normal: a request is not refused for its place in line."""
    band, tenant = Band.NORMAL, b""
    if precedence.priority_header:
        word = head.value(PRIORITY_HEADER)
        if word is not None:
            band = _BANDS.get(word.lower(), Band.NORMAL)
    if precedence.tenant_header:
        tenant = (head.value(precedence.tenant_header.encode("ascii")) or b"")[:_LONGEST_TENANT]
    return band, tenant
