"""An explanation in words says what is known and how old it is, what is not known, and what would change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.controller_api import Body
from pilotlight.explanation import explanation_lines, gist, what_changes_it

POLICY = {"target": 4.0, "target_utilization": 0.7, "stable_window_seconds": 6.0, "metric": "concurrency"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["service", "at", "phase", "decisions", "changes", "replicas", "wakes", "faults", "policy", "explanation", "ready"]
)


def service(**fields: object) -> Body:
    return Body({"service": "default/chat", "at": 1000.0, "phase": "serving", "ready": 2, **fields})


def text_of(body: Body) -> str:
    return "\n".join(explanation_lines(body))


def decision(**fields: object) -> dict[str, object]:
    return {"at": 990.0, "desired": 3, "reason": "scale_up", "replicas": {"wanted": 2}, "explanation": "more", **fields}


def test_the_winner_is_marked_and_readings_have_their_ages() -> None:
    candidates: list[dict[str, object]] = [
        {"signal": "concurrency-stable", "reading": {"known": 12.5, "age": 0.4}, "target": 2.8, "replicas": 5},
        {"signal": "backlog", "reading": {"missing": "activator/local unheard"}, "target": 0, "replicas": None},
        {"signal": "concurrency-panic", "reading": {"stale": 3.0, "age": 9.0}, "target": 2.8, "replicas": None},
    ]
    text = text_of(service(decisions=[decision(winner="concurrency-stable", candidates=candidates)]))
    winner, missing, stale = (next(line for line in text.splitlines() if str(c["signal"]) in line) for c in candidates)
    assert "→" in winner
    assert "asks for 5" in winner
    assert "12.5, 400 ms old" in winner
    assert "unknown: activator/local unheard" in missing
    assert "stale: was 3 9.0 s ago" in stale
    assert "→" not in missing + stale


@pytest.mark.parametrize("fields", [{"refused": [{"code": "Stopped", "message": "it was stopped"}]}, {"mode": "off"}])
def test_what_is_left_alone_is_not_said_to_go_anywhere(fields: dict[str, object]) -> None:
    text = text_of(service(decisions=[decision()], policy={"in_force": POLICY}, **fields))
    assert "  next" not in text
    assert "  signals" not in text


def test_limits_that_changed_the_number_are_named() -> None:
    limits = [{"name": "max-replicas", "before": 7, "after": 4}]
    assert "max-replicas: 7 → 4" in text_of(service(decisions=[decision(limits=limits)]))


def test_it_says_since_when_the_present_decision_holds() -> None:
    assert "(for 10.0 s, since" in text_of(service(explanation="all is well", changes=[decision()]))


def test_a_failed_start_shows_exit_code_and_log_lines() -> None:
    reason = "the model ended: exit code 3; last lines of its log:\nCUDA out of memory\nbye"
    text = text_of(service(replicas=[{"name": "chat-1", "phase": "failed", "reason": reason, "created_at": 995.0}]))
    assert "exit code 3" in text
    assert "CUDA out of memory" in text


def test_what_a_model_logs_cannot_drive_the_terminal() -> None:
    text = text_of(service(replicas=[{"name": "x", "phase": "failed", "reason": "\x1b[2J\x07boom\r"}]))
    assert "boom" in text
    assert not set("\x1b\x07\r") & set(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"phase": "asleep", "expected_wake_seconds": 2.5},
            ["the next request wakes it, which takes about 2.5 s here"],
        ),
        (
            {"ready": 2},
            [
                "more than 5.6 requests at a time, averaged over 6 s: one replica more",
                "at most 2.8 requests at a time, averaged over 6 s: one replica less",
            ],
        ),
        (
            {"ready": 1},
            ["more than 2.8 requests at a time, averaged over 6 s: one replica more", "6 s without a request: asleep"],
        ),
    ],
)
def test_what_would_change_it(fields: dict[str, object], said: list[str]) -> None:
    assert what_changes_it(service(policy={"in_force": {**POLICY, "min_replicas": 0}}, **fields)) == said


def test_at_the_maximum_no_more_is_promised() -> None:
    lines = what_changes_it(service(policy={"in_force": {**POLICY, "max_replicas": 2}}))
    assert lines[0] == "no more than these 2: maxReplicas"


def test_ages_do_not_make_two_explanations_differ() -> None:
    replica = {"name": "chat-1", "phase": "ready", "heard_seconds_ago": 0.2}
    before = gist(service(at=1000.0, replicas=[replica]))
    assert before == gist(service(at=1001.0, replicas=[{**replica, "heard_seconds_ago": 0.9}]))
    assert before != gist(service(at=1001.0, replicas=[{**replica, "phase": "draining"}]))


@given(st.dictionaries(NAMES, JSON))
def test_whatever_comes_is_explained_without_a_crash(body: dict[str, object]) -> None:
    assert explanation_lines(Body(body))


@pytest.mark.parametrize(("subject", "said"), [("", "recording: disk full"), ("chat-a", "recording chat-a: disk full")])
def test_a_fault_is_named_by_its_kind_and_by_its_subject_if_it_has_one(subject: str, said: str) -> None:
    text = text_of(service(faults=[{"kind": "recording", "subject": subject, "message": "disk full"}]))
    assert f"  faults      {said}" in text.splitlines()


GPUS: list[tuple[dict[str, object], dict[str, object], list[str]]] = [
    ({}, {}, []),
    ({"gpu_utilization": {"missing": "no NVIDIA driver"}}, {}, []),
    ({"gpu_utilization": {"known": 0.93, "age": 4.0}}, {}, ["93% of the time at work, 4.0 s old"]),
    ({"gpu_memory": {"known": 0.0, "age": 4.0}}, {}, ["0% of their memory in use, 4.0 s old"]),
    ({"gpu_utilization": {"stale": 0.5, "age": 300.0}}, {}, ["? of the time at work, 50% 5 min ago"]),
    (
        {"gpu_utilization": {"missing": "no NVIDIA driver"}},
        {"gpu_busy": 0.5},
        ["? of the time at work: no NVIDIA driver", "? of their memory in use: not read"],
    ),
]


@pytest.mark.parametrize(("readings", "policy", "said"), GPUS)
def test_what_gpus_do_is_said_where_it_is_known_or_looked_at(
    readings: dict[str, object], policy: dict[str, object], said: list[str]
) -> None:
    lines = explanation_lines(service(readings=readings, policy={"in_force": policy}))
    assert [line.removeprefix("  GPUs").strip() for line in lines if "at work" in line or "memory" in line] == said
