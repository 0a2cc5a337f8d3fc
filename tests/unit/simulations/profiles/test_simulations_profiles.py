"""Cold-start profiles: the medians they are named by, and replaced by what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulations.profiles.built_in import PROFILES, profile_named
from simulations.profiles.cold_start import PhaseSeconds, ProfileError
from simulations.profiles.measured import from_controller, read_profile, read_samples
from simulations.profiles.prices import PRICES, price_of, prices_with
from simulations.scenario import DrawnSeconds as Drawn
from simulations.scenario import Scenario, ServiceSpec, StartPhase


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("vision", 7),
        ("diffusion", 37),
        ("llm-8b-nvme", 44),
        ("llm-8b-object-store", 87),
        ("llm-32b-nvme", 77),
        ("llm-70b", 143),
        ("llm-8b-sleep-1", 1.3),
        ("llm-8b-sleep-2", 3.1),
    ],
)
def test_a_start_on_a_warm_node_takes_about_what_the_profile_is_known_for(name: str, seconds: float) -> None:
    assert profile_named(name).total().quantile(0.5) == pytest.approx(seconds, rel=0.1)


def test_a_lognormal_phase_has_the_median_and_the_percentile_it_was_given() -> None:
    phase = PhaseSeconds.lognormal(22, 45)
    assert phase.quantile(0.5) == pytest.approx(22, rel=0.001)
    assert phase.quantile(0.95) == pytest.approx(45, rel=0.001)


def test_an_image_that_has_to_be_pulled_and_a_new_node_take_longer() -> None:
    profile = profile_named("llm-8b-nvme")
    warm, cold, new = (
        profile.total(cached=c, node=n).quantile(0.5) for c, n in ((True, False), (False, False), (False, True))
    )
    assert warm + 60 < cold < new - 120


def test_scaling_scales_the_whole_start() -> None:
    profile = profile_named("vision")
    assert profile.scaled(4).total().samples.mean() == pytest.approx(4 * profile.total().samples.mean(), rel=0.02)
    assert profile.scaled(1.0) is not None
    with pytest.raises(ProfileError, match="more than 0 up to 1000, not by 0"):
        profile.scaled(0)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_simulated_and_has_a_price(name: str) -> None:
    draws = profile_named(name).draws(failure=0.1)
    Scenario(services=(ServiceSpec("s", Drawn(1.0), draws),))
    assert draws.failure == 0.1
    assert PROFILES[name].gpu in PRICES


def test_samples_replace_a_phase_and_leave_the_others(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_text("phase,seconds\nweights,1.5\nweights,2.5\nimage,7\n")
    base = profile_named("llm-8b-nvme")
    profile = read_samples(path, base)
    assert profile.phase(StartPhase.WEIGHTS, cached=True).samples.tolist() == [1.5, 2.5]
    assert profile.phase(StartPhase.IMAGE, cached=True).samples.tolist() == [7.0]
    assert profile.phase(StartPhase.ENGINE, cached=True) == base.phase(StartPhase.ENGINE, cached=True)


def test_samples_of_whole_starts_replace_all_phases(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_text("seconds,phase\n40,total\n50,total\n")
    profile = read_samples(path, profile_named("llm-70b"))
    assert set(np.unique(profile.total(node=True).samples)) == {40.0, 50.0}
    assert profile.gpu == "H100"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phase\nx\n", r"s\.csv:1: the header must have phase and seconds"),
        ("phase,seconds\nwarmup,1\n", r"s\.csv:2: phase is 'warmup'; there are schedule, node, image"),
        ("phase,seconds\nengine,x\n", r"s\.csv:2: seconds is 'x'; a finite number is needed"),
        ("phase,seconds\nengine,-1\n", r"s\.csv:2: seconds is -1; 0 to 1e\+06 are allowed"),
        ("phase,seconds\n", r"s\.csv: there is no sample in it"),
    ],
)
def test_a_bad_sample_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(ProfileError, match=message):
        read_samples(path)


def test_wakes_of_a_live_controller_become_samples() -> None:
    wakes = [
        {"decided_at": 100.0, "started_at": 101.0, "ready_at": 131.0, "first_request_at": 131.1, "seconds": 31.0},
        {"decided_at": 200.0, "started_at": 200.5, "ready_at": 250.5, "first_request_at": None, "seconds": 50.5},
        {"decided_at": 300.0, "started_at": 301.0, "ready_at": None, "first_request_at": None, "seconds": None},
    ]
    answer = {"service": "default/chat", "expected_wake_seconds": 50.5, "wakes": wakes}
    profile = from_controller(json.dumps(answer), base=profile_named("diffusion"))
    assert profile.phase(StartPhase.SCHEDULE, cached=True).samples.tolist() == [1.0, 0.5]
    assert profile.phase(StartPhase.ENGINE, cached=True).samples.tolist() == [30.0, 50.0]
    assert profile.total(node=True).quantile(1.0) <= 51.0
    assert profile.gpu == "A10G"


def test_starts_that_were_measured_phase_by_phase_count_before_single_wakes() -> None:
    samples = {"created": [9.0], "scheduled": [1.0, 0.5], "prepared": [20.0], "started": [3.0, "x", -1.0, True],
               "ready": [8.0, 7.0], "first-request": [99.0], "unknown": [5.0]}  # fmt: skip
    answer = {"service": "default/chat", "expected_wake_seconds": 70.0, "start_samples": samples, "wakes": []}
    profile = from_controller(json.dumps(answer))
    measured = {phase: profile.phase(phase, cached=True).samples.tolist() for phase in StartPhase}
    assert measured == {
        StartPhase.SCHEDULE: [1.0, 0.5],
        StartPhase.NODE: [0.0],
        StartPhase.IMAGE: [3.0],
        StartPhase.RUNTIME: [0.0],
        StartPhase.WEIGHTS: [20.0],
        StartPhase.ENGINE: [8.0, 7.0],
    }


def test_the_list_of_services_gives_what_starts_kept() -> None:
    services = [{"service": "a/b", "expected_wake_seconds": 12.5}, {"service": "a/c", "expected_wake_seconds": None}]
    for body in (services, {"services": services}):
        assert from_controller(json.dumps(body)).total().samples.max() == 12.5


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "null", "[1]", '{"wakes": 3}', '{"wakes": [{"decided_at": 5, "started_at": 1, "ready_at": 9}]}'],
)
def test_an_answer_without_a_measured_wake_is_an_error(text: str) -> None:
    with pytest.raises(ProfileError, match="no wake was measured"):
        from_controller(text)


def test_a_file_may_be_samples_or_a_controllers_answer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("phase,seconds\ntotal,40\n")
    assert read_profile(path).total().quantile(0.5) == 40.0
    path.write_text('\n{"expected_wake_seconds": 12.5}')
    assert read_profile(path).total().quantile(0.5) == 12.5
    with pytest.raises(ProfileError, match="No such file"):
        read_profile(tmp_path / "nothing")


def test_what_is_not_json_is_an_error() -> None:
    with pytest.raises(ProfileError, match="not JSON"):
        from_controller("{")


def test_prices_by_name_by_number_and_overridden() -> None:
    assert price_of("h100") == 3.0
    assert price_of("2.5") == 2.5
    assert price_of("H100", prices_with(["H100=9", "B200=5.5"])) == 9.0
    assert price_of("b200", prices_with(["B200=5.5"])) == 5.5
    for wrong in ("H999", "-1", "nan"):
        with pytest.raises(ProfileError, match="is not a price: dollars an hour"):
            price_of(wrong)
    with pytest.raises(ProfileError, match="is not a price"):
        prices_with(["H100"])


def test_an_unknown_profile_lists_those_there_are() -> None:
    with pytest.raises(ProfileError, match="there is no profile 'x'; there are vision, diffusion"):
        profile_named("x")
