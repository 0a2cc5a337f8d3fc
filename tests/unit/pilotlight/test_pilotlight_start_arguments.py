"""How long a start takes, as commands are told: by a time, a profile, samples, or samples over a profile."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pilotlight.errors import CommandError
from pilotlight.start_arguments import add_start_arguments, check_start, given_profile
from simulations.profiles.built_in import profile_named
from simulations.scenario import StartPhase


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_start_arguments(parser.add_argument_group("starts"), 0.1)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45", 45.0), ("45s", 45.0), ("800ms", 0.8), ("2m", 120.0), ("1.5h", 5400.0), ("1e1", 10.0)]
)
def test_a_start_is_a_time_as_others_are(text: str, seconds: float) -> None:
    assert parsed("--startup", text).startup == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["nan", "inf", "0", "50ms", "2d", "soon", "", "1e400", "45 seconds"])
def test_what_is_no_such_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=r"is not a time from 0\.1s to 1d, as in 45s, 800ms or 2m"):
        parsed("--startup", text)


@pytest.mark.parametrize(("flag", "value"), [("--profile", "vision"), ("--samples", "s.csv")])
def test_one_time_for_every_start_goes_with_nothing_else(flag: str, value: str) -> None:
    with pytest.raises(CommandError, match=f"leave {flag} out"):
        check_start(parsed("--startup", "45", flag, value))


def test_samples_stand_over_the_profile_that_is_given_and_alone_without_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_text("phase,seconds\nweights,1.5\n")
    alone, over = (
        given_profile(parsed("--samples", str(path))),
        given_profile(parsed("--samples", str(path), "--profile", "vision")),
    )
    assert alone.total().quantile(0.5) == 1.5
    assert over.phase(StartPhase.WEIGHTS, cached=True).quantile(0.5) == 1.5
    assert over.phase(StartPhase.ENGINE, cached=True) == profile_named("vision").phase(StartPhase.ENGINE, cached=True)
