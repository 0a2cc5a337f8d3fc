"""Random numbers by counter: each block of a trace has its own stream, found without drawing the ones before it.

A trace is read again and again, from several places; drawing must not depend on who has drawn before. Philox is a
cipher on a counter: a key from the seed and what the numbers are for, the block's number as the counter.
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.)
"""

from __future__ import annotations

import hashlib

import numpy as np

MOST_SEED = 2**63 - 1


def stream(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """The numbers of `block` for `purpose`; different seeds, purposes and blocks are independent."""
    key = np.frombuffer(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:16], np.uint64)
    # The low half of the 256-bit counter counts draws within a block; it never runs into the next one.
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, block, 0], np.uint64)))
