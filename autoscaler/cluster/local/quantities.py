"""Kubernetes quantities (`500m`, `2Gi`, `1e3`) as exact numbers.

Grammar: a signed decimal number followed by one of the suffixes m u n (thousandths and smaller), k M G T P E
(powers of 1000), Ki Mi Gi Ti Pi Ei (powers of 1024), or a decimal exponent. Fractions are exact, so that
`0.1` of anything compares as it reads.
"""

from __future__ import annotations

import re
from decimal import Decimal

from autoscaler.cluster.local.launch_error import LaunchError

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[eE]([+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i))?")
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    **{suffix: Decimal(1000**power) for power, suffix in enumerate("MGTPE", start=2)},
    **{f"{suffix}i": Decimal(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}


def parse_quantity(value: object, where: str) -> Decimal:
    """The number that a quantity stands for. YAML may have made a number of it already.

    Raises LaunchError when it is not a quantity or is negative; a limit below nothing means nothing.
    """
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 64 else None
    if match is None:
        raise LaunchError(f"{where} must be a quantity such as 2, 500m or 16Gi, not {value!r:.60}")
    number, exponent, suffix = match.groups()
    quantity = Decimal(number).scaleb(int(exponent)) if exponent else Decimal(number) * _SUFFIXES.get(suffix, 1)
    if quantity < 0:
        raise LaunchError(f"{where} must not be negative, not {value!r:.60}")
    return quantity


def show_bytes(quantity: Decimal) -> str:
    """Bytes for a person: the largest binary unit that leaves at least 1."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if quantity >= _SUFFIXES[suffix]:
            return f"{(quantity / _SUFFIXES[suffix]).quantize(Decimal('0.1')).normalize():f}{suffix}"
    return f"{quantity.normalize():f}"
