"""The built-in cold-start profiles, as data.

Figures are seconds, median / 95th percentile. They are put together from published measurements of vLLM and KServe
start-ups, of safetensors and streaming loaders, and of a production image-generation service; an uncached image has a
95th percentile of twice its median, as pulls of large images over a shared network have. Weights are read from where
the name says; a node that has them already (page cache) is not assumed to be faster, because often it is not.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulations.profiles.cold_start import ColdStartProfile, PhaseSeconds, ProfileError
from simulations.scenario import StartPhase

_Pair = tuple[float, float]


def _profile(
    name: str,
    about: str,
    gpu: str,
    *,
    weights: _Pair,
    engine: _Pair,
    schedule: _Pair = (0.0, 0.0),
    node: _Pair = (0.0, 0.0),
    image: _Pair = (0.0, 0.0),
    runtime: _Pair = (0.0, 0.0),
) -> ColdStartProfile:
    """`image` is the median of an image that is there, and of one that has to be pulled."""
    lognormal = PhaseSeconds.lognormal
    cached, pulled = image
    return ColdStartProfile(
        name=name,
        about=about,
        gpu=gpu,
        phases={
            StartPhase.SCHEDULE: lognormal(*schedule),
            StartPhase.NODE: lognormal(*node),
            StartPhase.IMAGE: lognormal(pulled, 2.0 * pulled),
            StartPhase.RUNTIME: lognormal(*runtime),
            StartPhase.WEIGHTS: lognormal(*weights),
            StartPhase.ENGINE: lognormal(*engine),
        },
        cached={StartPhase.IMAGE: lognormal(cached, 2.0 * cached)},
    )


_ALL = (
    _profile(
        "vision", "an image classifier or text encoder on a small GPU", "T4",
        schedule=(1, 3), node=(120, 240), image=(0.5, 25), runtime=(3, 6), weights=(0.5, 2), engine=(2, 4),
    ),
    _profile(
        "diffusion", "image generation, base model from remote storage", "A10G",
        schedule=(1, 3), node=(150, 300), image=(0.5, 60), runtime=(8, 15), weights=(22, 45), engine=(5, 10),
    ),
    _profile(
        "llm-8b-nvme", "a language model of 8 B parameters, weights on the node's disk", "H100",
        schedule=(1, 3), node=(180, 360), image=(1, 90), runtime=(12, 20), weights=(4.5, 6.3), engine=(25, 45),
    ),
    _profile(
        "llm-8b-object-store", "the same, weights from an object store by the default loader", "A10G",
        schedule=(1, 3), node=(180, 360), image=(1, 90), runtime=(12, 20), weights=(48, 60), engine=(25, 45),
    ),
    _profile(
        "llm-32b-nvme", "a language model of 32 B parameters, weights on the node's disk", "H100",
        schedule=(1, 5), node=(240, 480), image=(1, 120), runtime=(15, 25), weights=(20, 29), engine=(40, 70),
    ),
    _profile(
        "llm-70b", "a language model of 70 B parameters on 4 to 8 GPUs", "H100",
        schedule=(2, 10), node=(300, 600), image=(1, 180), runtime=(20, 35), weights=(60, 120), engine=(60, 120),
    ),
    _profile(
        "llm-8b-sleep-1", "an engine woken from sleep level 1: weights in the host's memory", "A100",
        weights=(0.8, 1.5), engine=(0.5, 1),
    ),
    _profile(
        "llm-8b-sleep-2", "an engine woken from sleep level 2: weights loaded again", "A100",
        weights=(2.6, 4), engine=(0.5, 1),
    ),
)  # fmt: skip

PROFILES: Mapping[str, ColdStartProfile] = {profile.name: profile for profile in _ALL}


def profile_named(name: str) -> ColdStartProfile:
    """Raises ProfileError, with the names that there are."""
    if name not in PROFILES:
        raise ProfileError(f"there is no profile {name!r:.60}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
