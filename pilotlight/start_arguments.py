"""The arguments with which a command is told how long a start takes: one time, a profile, or what was measured."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from pilotlight.errors import CommandError
from simulations.model_notation import ModelError, short_time
from simulations.profiles.built_in import PROFILES, profile_named
from simulations.profiles.cold_start import ColdStartProfile, ProfileError
from simulations.profiles.measured import read_profile

_USUAL = "llm-8b-nvme"
_MOST_SECONDS = 86_400.0


def add_start_arguments(group: argparse._ArgumentGroup, least: float) -> None:
    """--startup, of at least so many seconds, --profile and --samples."""
    group.add_argument(
        "--startup", type=_time(least), metavar="TIME", help="a start always takes so long: 45, 45s, 800ms, 2m"
    )
    group.add_argument("--profile", metavar="NAME", help=f"how starts are: {', '.join(PROFILES)} ({_USUAL})")
    group.add_argument(
        "--samples", type=Path, metavar="FILE",
        help="measured: CSV phase,seconds over the phases of --profile, if that is given, or what "
        "`pilotlight explain NAME --json` printed",
    )  # fmt: skip


def check_start(given: argparse.Namespace) -> None:
    """Raises CommandError for answers that contradict each other."""
    also = next((flag for flag in ("profile", "samples") if getattr(given, flag) is not None), None)
    if given.startup is not None and also is not None:
        raise CommandError(f"--startup says how long every start takes: leave --{also} out")


def given_profile(given: argparse.Namespace) -> ColdStartProfile:
    """The profile that is asked for, or the usual one, with what was measured. Raises CommandError."""
    try:
        profile = profile_named(given.profile or _USUAL)
        if given.samples is None:
            return profile
        return read_profile(given.samples, profile if given.profile else None)
    except ProfileError as error:
        raise CommandError(str(error)) from error


def _time(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = short_time("", "", text)
        except ModelError:
            value = math.nan
        if not least <= value <= _MOST_SECONDS:
            raise argparse.ArgumentTypeError(
                f"{text!r:.80} is not a time from {least:g}s to 1d, as in 45s, 800ms or 2m"
            )
        return value

    return parse
