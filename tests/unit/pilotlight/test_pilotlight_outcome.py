"""The demo's numbers: which requests were lost, which were held by which wake, and where a wake's time went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.demo.load import Burst, Ended, WrongAnswerError, check_answer
from pilotlight.demo.observer import Observed, Sample, Wake
from pilotlight.demo.outcome import percentile, service_outcome, wake_outcomes
from pilotlight.demo.report.page import render_page, write_page
from pilotlight.demo.summary import summary_table
from pilotlight.errors import CommandError

CHAT = Burst("default/chat", "http://x", "chat", "openai", 0, 1, 0, 0)
OIP = Burst("default/m", "http://x", "m", "oip", 0, 1, 0, 0)
QUESTION: dict[str, object] = {"id": "r1", "inputs": [{"data": [[0, 0, 0, 0]]}]}


def request(sent_at: float, took: float = 0.1, **fields: object) -> Ended:
    known: dict[str, object] = {
        "service": "default/m",
        "sent_at": sent_at,
        "first_byte_at": sent_at + took,
        "ended_at": sent_at + took,
        "status": 200,
        "problem": None,
        "replica": "m-1",
        "added": 0.008,
    }
    return Ended(**{**known, **fields})  # type: ignore[arg-type]


def sample(at: float, starting: int = 0, ready: int = 0, draining: int = 0) -> Sample:
    return Sample(at, "serving", "steady", "why", ready, starting, ready, draining, 0, 0)


def wake(decided: float, ready: float, replica: str = "m-1") -> Wake:
    return Wake(decided, 1, replica, decided + 0.01, ready)


def test_a_wake_is_measured_from_the_first_request_that_waited_for_it() -> None:
    requests = [request(10.0, took=2.2), request(11.0, took=1.3), request(12.5)]
    (outcome,) = wake_outcomes("default/m", requests, [wake(10.02, 12.0)])
    assert outcome.held == 2
    assert outcome.decide == pytest.approx(0.02)
    assert outcome.start == pytest.approx(0.01)
    assert outcome.load == pytest.approx(1.97)
    assert outcome.hand_over == 0.008
    assert outcome.total == pytest.approx(2.008)


def test_each_wake_has_its_own_held_requests() -> None:
    requests = [request(10.0, took=2.1), request(13.0), request(40.0, took=1.5, replica="m-2", added=0.004)]
    first, second = wake_outcomes("default/m", requests, [wake(10.0, 12.0), wake(40.1, 41.0, "m-2")])
    assert (first.held, second.held) == (1, 1)
    assert second.decide == pytest.approx(0.1)
    assert second.hand_over == 0.004


def test_a_wake_that_never_became_ready_is_left_out() -> None:
    assert wake_outcomes("default/m", [], [Wake(10.0, 1, "m-1", None, None)]) == ()


def test_refused_requests_are_not_lost_and_failed_ones_are() -> None:
    requests = [request(1), request(2, status=429, problem="status 429"), request(3, status=503, problem="status 503")]
    requests += [request(4, status=None, problem="no answer"), request(5, problem="wrong answer")]
    outcome = service_outcome("default/m", requests, [], [])
    assert (outcome.requests, outcome.answered, outcome.refused) == (5, 1, 1)
    assert outcome.lost == ("status 503", "no answer", "wrong answer")


def test_replica_seconds_count_every_replica_that_exists() -> None:
    samples = [sample(0), sample(1, starting=2), sample(3, ready=2), sample(4, ready=1, draining=1), sample(6)]
    outcome = service_outcome("default/m", [], samples, [])
    assert outcome.replica_seconds == 2 * 2 + 2 * 1 + 2 * 2
    assert outcome.always_on_seconds == 2 * 6


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_covers_its_part(values: list[float], part: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, part)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= part * len(ordered) - 1e-9


def test_a_right_inference_passes() -> None:
    outputs = [{"data": [1.0, 0.5, -1.0]}, {"data": [0]}]
    check_answer(OIP, QUESTION, json.dumps({"id": "r1", "outputs": outputs}).encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b'{"id": "r2", "outputs": [{"data": [1.0, 0.5, -1.0]}, {"data": [0]}]}',
        b'{"id": "r1", "outputs": [{"data": [1.0, 0.5, -1.1]}, {"data": [0]}]}',
        b'{"id": "r1", "outputs": [{"data": [1.0, 0.5, -1.0]}, {"data": [1]}]}',
        b'{"id": "r1", "outputs": [{"data": [1.0, 0.5, -1.0]}, {"data": [0]}]}{}',
    ],
)
def test_a_wrong_inference_is_noticed(answer: bytes) -> None:
    with pytest.raises(WrongAnswerError):
        check_answer(OIP, QUESTION, answer)


@pytest.mark.parametrize("cut", [1, 8, 40, 200])
def test_a_cut_stream_is_noticed(cut: int) -> None:
    question: dict[str, object] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    chunks = [
        {"choices": [{"delta": {"content": "I"}}]},
        {"choices": [{"delta": {"content": " am"}}]},
        {"choices": [], "usage": {"completion_tokens": 2}},
    ]
    whole = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    check_answer(CHAT, question, whole)
    with pytest.raises(WrongAnswerError):
        check_answer(CHAT, question, whole[:-cut])


def test_the_page_stands_alone_and_no_text_can_break_out_of_its_data(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!--"
    observed = Observed(samples={"default/m": [Sample(1.0, evil, "", "", 0, 0, 0, 0, 0, 0)]})
    outcomes = [service_outcome("default/m", [request(1)], observed.samples["default/m"], [])]
    page = render_page(outcomes, [request(1)], observed, began=0.0)
    assert evil not in page
    assert page.count("</script>") == 2
    assert not [
        word
        for word in ("http://", "https://", "src=", "@import", "url(")
        if word in page.replace("http://www.w3.org/2000/svg", "")
    ]
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data)["services"][0]["samples"][0][-1] == evil
    target = tmp_path / "report.html"
    write_page(target, outcomes, [], observed, 0.0)
    assert target.read_text().startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [target]


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot write the report"):
        write_page(tmp_path / "nowhere" / "report.html", [], [], Observed(), 0.0)


def test_the_table_has_a_row_for_each_service() -> None:
    outcomes = [service_outcome(name, [], [], []) for name in ("default/a", "default/b")]
    assert summary_table(outcomes).row_count == 2
