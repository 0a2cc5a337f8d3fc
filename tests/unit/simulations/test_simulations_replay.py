"""Replay: the same bytes by the same policy, differences by another, and errors that say where."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from autoscaler.decide.decider import Decider
from autoscaler.decide.records import (
    DecisionRecord,
    PolicyRecord,
    ReadingsRecord,
    StartRecord,
    record_line,
)
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Sample
from autoscaler.signals.reading import Known, Missing
from simulations.replay import ReplayError, replay
from tests.unit.decide.decide_scenarios import START, observation

POLICY = ScalingPolicy(target=10.0)
SERVICES = ("default/chat", "default/iris", "team/slow")


def recording(steps: int = 60, seed: int = 7) -> list[str]:
    """Three services, interleaved; one changes its policy, one is restarted."""
    rng, lines = random.Random(seed), list[str]()
    deciders = {service: Decider(service, POLICY) for service in SERVICES}
    wanted = dict.fromkeys(SERVICES, 1)
    lines += [record_line(StartRecord(service, POLICY)) for service in SERVICES]
    for step in range(steps):
        for service in rng.sample(SERVICES, 3):
            if step == 20 and service == SERVICES[0]:
                changed = replace(POLICY, target=5.0, stable_window_seconds=30.0)
                lines.append(record_line(PolicyRecord(service, changed)))
                deciders[service].change_policy(changed)
            if step == 40 and service == SERVICES[1]:
                lines.append(record_line(StartRecord(service, POLICY)))
                deciders[service] = Decider(service, POLICY)
            at = START + 2.0 * step + rng.random()
            load = rng.random() * 80.0
            seen = observation(
                at,
                samples=(Sample(int(at) - 1, load, load / 3, 0.1),),
                in_flight=Known(load) if rng.random() < 0.9 else Missing("chat-2: ready, but not heard of yet"),
                wanted=wanted[service],
                ready=wanted[service],
                service_seconds=rng.random(),
            )
            decision = deciders[service].step(seen)
            wanted[service] = decision.desired
            lines += [record_line(ReadingsRecord(service, seen)), record_line(DecisionRecord(decision))]
    return [f"{line}\n" for line in lines]


def changed(lines: list[str], index: int, **fields: object) -> list[str]:
    """The recording with fields of one decision changed."""
    body = json.loads(lines[index])
    body["decision"].update(fields)
    line = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return [*lines[:index], f"{line}\n", *lines[index + 1 :]]


def decision_at(lines: list[str], nth: int) -> int:
    return [i for i, line in enumerate(lines) if '"kind":"decision"' in line][nth]


def test_a_recording_decides_again_to_the_same_bytes() -> None:
    result = replay(recording())
    assert (result.decisions, result.identical, result.differences) == (180, 180, ())
    assert (result.services, result.undecided, result.truncated) == (SERVICES, 0, None)


def test_lines_may_come_from_any_iterable_once() -> None:
    def once() -> Iterator[str]:
        yield from recording()

    assert replay(once()).identical == 180


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"desired": 77}, "desired 77 → "),
        ({"explanation": "because"}, "as before, other explanation"),
        ({"phase": "draining", "excess_burst_capacity": 12345}, "other phase, excess_burst_capacity"),
    ],
)
def test_one_changed_decision_is_found_with_its_line(fields: dict[str, object], why: str) -> None:
    lines = recording()
    index = decision_at(lines, 30)
    result = replay(changed(lines, index, **fields))
    (difference,) = result.differences
    assert difference.line == index + 1
    assert difference.service in SERVICES
    assert why in difference.why
    assert result.identical == 179


def test_one_changed_reading_is_found() -> None:
    lines = recording()
    index = next(i for i, line in enumerate(lines) if i > 100 and '"kind":"readings"' in line)
    body = json.loads(lines[index])
    body["readings"]["samples"][0][1] += 500.0
    lines[index] = json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"
    result = replay(lines)
    assert result.differences
    assert {difference.service for difference in result.differences} == {body["service"]}


def test_another_policy_shows_what_it_would_have_said_of_its_service_only() -> None:
    result = replay(recording(), {"default/chat": replace(POLICY, max_replicas=1)})
    assert result.differences
    assert {difference.service for difference in result.differences} == {"default/chat"}
    assert all(difference.now.desired <= 1 for difference in result.differences)


def test_a_last_line_that_is_cut_off_is_said_and_the_rest_is_replayed() -> None:
    lines = recording()
    lines[-1] = lines[-1][:100]
    result = replay(lines, name="run.jsonl")
    assert result.identical == 179
    assert result.undecided == 1
    assert result.truncated is not None
    assert result.truncated.startswith(f"run.jsonl:{len(lines)}: the last line is cut off")


def test_a_cut_off_line_anywhere_else_is_an_error() -> None:
    lines = recording()
    lines[50] = lines[50][:100] + "\n"
    with pytest.raises(ReplayError, match=r"run\.jsonl:51: not JSON"):
        replay(lines, name="run.jsonl")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", "a record must be an object"),
        ("{}", "kind is missing"),
        ('{"kind":"start"}', "service is missing"),
        ('{"kind":"stop","service":"default/chat"}', "kind must be start, policy, readings or decision"),
        ('{"kind":"start","service":"a/b","version":9,"policy":{}}', "version 9 of this format is not known"),
        ('{"kind":"start","service":"a/b","version":1,"policy":{"target":-1}}', "policy"),
        ('{"kind":"readings","service":"default/chat","readings":{}}', "readings.at is missing"),
        ('{"kind":"readings","service":"a/b","readings":NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"kind":"decision","service":"a/b","decision":[]}', "decision must be an object"),
        ("\x00", "not JSON"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(line: str, says: str) -> None:
    lines = recording(2)
    with pytest.raises(ReplayError) as error:
        replay([*lines, line + "\n"], name="run.jsonl")
    assert str(error.value).startswith(f"run.jsonl:{len(lines) + 1}: ")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("at", "soon", "readings.at must be a number, not 'soon'"),
        ("held", {"known": True, "age": 0.0}, "readings.held.known must be a number"),
        ("held", {"guessed": 1.0}, "readings.held must say known, stale or missing"),
        ("samples", [[1, 2.0]], "readings.samples[0] must be [second, concurrency, rps, waiting]"),
        ("replicas", {"wanted": -1}, "readings.replicas"),
        ("ever_ready", 1, "readings.ever_ready must be true or false"),
        ("surprise", 1, "readings.surprise is not a field"),
    ],
)
def test_a_bad_reading_is_named_by_its_path(field: str, value: object, says: str) -> None:
    lines = recording(2)
    index = next(i for i, line in enumerate(lines) if '"kind":"readings"' in line)
    body = json.loads(lines[index])
    body["readings"][field] = value
    lines[index] = json.dumps(body) + "\n"
    with pytest.raises(ReplayError) as error:
        replay(lines)
    assert says in str(error.value)


def test_what_comes_before_its_start_is_an_error() -> None:
    lines = recording(2)
    with pytest.raises(ReplayError, match="nothing started"):
        replay(lines[3:])


def test_a_decision_without_readings_is_an_error() -> None:
    lines = recording(2)
    index = decision_at(lines, 0)
    with pytest.raises(ReplayError, match="no readings for this decision"):
        replay([*lines[: index - 1], *lines[index:]])


def test_a_policy_for_a_service_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(ReplayError, match=r"policy for a/b.*default/chat, default/iris, team/slow"):
        replay(recording(2), {"a/b": POLICY})


def test_an_empty_recording_is_a_recording_of_nothing() -> None:
    assert replay([]).decisions == 0
    assert replay(["\n", ""]).services == ()


def test_lines_are_ascii_sorted_and_without_spaces() -> None:
    for line in recording(3):
        assert line.isascii()
        assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")) + "\n"


def test_numbers_are_written_the_same_whatever_type_they_came_as() -> None:
    whole, real = (
        record_line(
            ReadingsRecord("a/b", observation(at, held=Known(value), samples=(Sample(1, value, value, value),)))
        )
        for at, value in ((START, 3), (float(START), 3.0))
    )
    assert whole == real
