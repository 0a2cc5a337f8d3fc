"""What an hour of a GPU costs, in US dollars, unless the user says otherwise.

On-demand list prices differ by a factor of three between providers and fall from year to year; these are in the middle
of what was asked in 2026. They turn GPU-hours into a number that people can compare, no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from simulations.profiles.cold_start import ProfileError

PRICES: Mapping[str, float] = {
    "H200": 3.5,
    "H100": 3.0,
    "A100": 1.5,
    "A10G": 1.0,
    "L4": 0.8,
    "T4": 0.5,
    "V100": 3.06,
}
DEFAULT_GPU = "H100"
_MOST = 10_000.0


def prices_with(overrides: Iterable[str]) -> Mapping[str, float]:
    """The prices with those of `overrides`, each GPU=USD, in their place. Raises ProfileError."""
    prices = dict(PRICES)
    for text in overrides:
        gpu, equals, price = text.partition("=")
        prices[gpu.strip()] = usd(price) if equals and gpu.strip() else usd("")
    return prices


def price_of(text: str, prices: Mapping[str, float] = PRICES) -> float:
    """The price of a GPU by its name, or a number of dollars. Raises ProfileError."""
    by_name = {name.lower(): price for name, price in prices.items()}
    return by_name[text.lower()] if text.lower() in by_name else usd(text, known=prices)


def usd(text: str, known: Mapping[str, float] = PRICES) -> float:
    """A number of dollars an hour. Raises ProfileError."""
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not 0.0 <= price <= _MOST:
        names = ", ".join(known)
        raise ProfileError(f"{text!r:.40} is not a price: dollars an hour, 0 to {_MOST:g}, or one of {names}")
    return price
