"""The randomness that counts instead of drawing, and buckets of durations."""

from __future__ import annotations

import math

from simulations.plant.codes import BUCKETS, LIFETIMES, LOWEST_OCTAVE, PER_OCTAVE, SAMPLED
from simulations.plant.records import State


def mixed(x: int) -> int:
    """32 bits that depend on all of the 32 bits of x (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> 16)) & 0xFFFFFFFF
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)


def counted(seed: int, a: int, b: int, c: int) -> int:
    """32 random bits that are a function of these four numbers alone, whatever was drawn before."""
    x = mixed((seed + 0x9E3779B9) & 0xFFFFFFFF)
    x = mixed(x ^ (a & 0xFFFFFFFF))
    x = mixed(x ^ (b & 0xFFFFFFFF))
    return mixed(x ^ (c & 0xFFFFFFFF))


def share(bits: int) -> float:
    """A number from 0 to below 1 from 32 bits."""
    return bits / 4294967296.0


def phase_seconds(p: State, s: int, start: int, phase: int) -> float:
    """What this phase takes in the start with this number."""
    first = p.sample_from[s * SAMPLED + phase]
    count = p.sample_from[s * SAMPLED + phase + 1] - first
    if count == 1:
        return p.samples[first]
    if p.services[s].starts_in_order:
        return p.samples[first + start % count]
    return p.samples[first + counted(p.world[0].seed, s, start, phase) % count]


def lifetime(p: State, s: int, start: int) -> float:
    """Seconds from readiness until the node of the start with this number is taken back."""
    first = p.sample_from[s * SAMPLED + LIFETIMES]
    count = p.sample_from[s * SAMPLED + LIFETIMES + 1] - first
    return p.samples[first + counted(p.world[0].seed, s, start, LIFETIMES) % count]


def bucket(seconds: float) -> int:
    """The bucket of a duration: linear in each octave, so that it needs no logarithm."""
    if seconds <= 0.0:
        return 0
    mantissa, exponent = math.frexp(seconds)  # mantissa in [0.5, 1)
    i = (exponent - 1 - LOWEST_OCTAVE) * PER_OCTAVE + int((mantissa - 0.5) * (2 * PER_OCTAVE))
    return min(BUCKETS - 1, max(0, i))
