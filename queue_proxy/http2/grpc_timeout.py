"""The caller's deadline: a call that was held here is passed on with what is left of its `grpc-timeout`.

A model that is told the whole of it would go on working, in a slot that others wait for, on what its caller has given
up already.
"""

from __future__ import annotations

import math
import re
from typing import Final

GRPC_TIMEOUT: Final = b"grpc-timeout"
WORTH_TELLING_SECONDS: Final = 0.01
"""Held for less, a call is passed on as it came: its head need not be written anew."""

_LEAST_MS: Final = 1
_VALUE: Final = re.compile(rb"([0-9]{1,8})([HMSmun])").fullmatch
_MS_OF_UNIT: Final = {b"H": 3_600_000.0, b"M": 60_000.0, b"S": 1_000.0, b"m": 1.0, b"u": 1e-3, b"n": 1e-6}
_COARSER: Final = ((b"m", 1), (b"S", 1_000), (b"M", 60_000), (b"H", 3_600_000))
_MOST: Final = 10**8
"""A value has eight digits at most (gRPC over HTTP/2, "Requests")."""


def lessened(value: bytes, seconds: float) -> bytes:
    """`value` less `seconds`, rounded up, and a millisecond at least. What is no timeout stays as it is.

    Rounded down, a model would break off what its caller still waits for; and 0 would be refused as no timeout at all.
    """
    match = _VALUE(value)
    if match is None:
        return value
    left = max(math.ceil(int(match[1]) * _MS_OF_UNIT[match[2]] - seconds * 1_000.0), _LEAST_MS)
    unit, ms = next((unit, ms) for unit, ms in _COARSER if left <= (_MOST - 1) * ms)
    return b"%d%b" % (-(-left // ms), unit)
