"""The pretended engine: slots are kept and given back, faults happen as asked, and the metrics tell the truth."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pilotlight.example_server.engine import Engine, PretendedFailureError
from pilotlight.example_server.options import Distribution, Options, parse_options


def metrics_of(engine: Engine) -> dict[str, float]:
    families = text_string_to_metric_families(engine.metrics())
    return {sample.name: sample.value for family in families for sample in family.samples}


async def hold(engine: Engine, release: asyncio.Event, tokens: int = 0) -> None:
    async with engine.work(tokens):
        await release.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_beyond_the_slots_wait_and_are_reported_as_waiting() -> None:
    engine = Engine(Options(slots=2, kv_tokens=100), clock=lambda: 0.0)
    release = asyncio.Event()
    tasks = [asyncio.create_task(hold(engine, release, tokens=20)) for _ in range(5)]
    await settled()
    seen = metrics_of(engine)
    assert seen["vllm:num_requests_running"] == 2
    assert seen["vllm:num_requests_waiting"] == 3
    assert seen["vllm:kv_cache_usage_perc"] == 0.4
    release.set()
    await asyncio.gather(*tasks)
    assert metrics_of(engine)["vllm:num_requests_running"] == 0
    assert engine.counts.answered == 5


async def test_a_waiter_that_left_never_gets_a_slot() -> None:
    engine = Engine(Options(slots=1), clock=lambda: 0.0)
    release = asyncio.Event()
    first, second, third = (asyncio.create_task(hold(engine, release)) for _ in range(3))
    await settled()
    second.cancel()
    await settled()
    assert (engine.counts.running, engine.counts.waiting) == (1, 1)
    release.set()
    await asyncio.gather(first, third)
    assert (engine.counts.running, engine.counts.waiting, engine.counts.answered) == (0, 0, 2)


async def test_a_client_that_leaves_while_served_frees_its_slot() -> None:
    engine = Engine(Options(slots=1), clock=lambda: 0.0)
    task = asyncio.create_task(hold(engine, asyncio.Event(), tokens=9))
    await settled()
    task.cancel()
    await settled()
    assert (engine.counts.running, engine.counts.kv_tokens, engine.counts.failed) == (0, 0, 1)


async def test_error_rate_one_fails_every_request() -> None:
    engine = Engine(Options(error_rate=1.0), clock=lambda: 0.0)
    with pytest.raises(PretendedFailureError):
        async with engine.work():
            pass
    assert engine.counts.answered == 0


async def test_hang_rate_one_never_answers_but_can_be_left() -> None:
    engine = Engine(Options(hang_rate=1.0), clock=lambda: 0.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), engine.work():
            pytest.fail("a hanging request went on")
    assert engine.counts.running == 0


def test_the_wake_is_measured_from_the_first_ready_answer_to_the_first_request() -> None:
    now = [10.0]
    engine = Engine(Options(), clock=lambda: now[0])
    assert "example_first_ready_answer_seconds" not in metrics_of(engine)
    for moment in (10.0, 11.0):
        now[0] = moment
        engine.ready_answered()
        now[0] = moment + 0.5
        engine.request_arrived()
    seen = metrics_of(engine)
    assert (seen["example_first_ready_answer_seconds"], seen["example_first_request_seconds"]) == (10.0, 10.5)


def test_flags_become_options() -> None:
    options = parse_options(["--port=9", "--distribution=exponential", "--service-seconds=0.5", "--fail-start=always"])
    assert options.port == 9
    assert options.distribution is Distribution.EXPONENTIAL
    assert options.start_failures.always


def test_the_port_defaults_to_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert parse_options([]).port == 1234
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SystemExit):
        parse_options([])


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--port=70000", "65535"),
        ("--load-seconds=nan", "seconds"),
        ("--service-seconds=-1", "seconds"),
        ("--error-rate=2", "fraction"),
        ("--distribution=normal", "exponential"),
        ("--fail-start=2", "--start-counter"),
        ("--fail-start=0", "whole number"),
        ("--slots=many", "whole number"),
    ],
)
def test_wrong_flags_end_with_status_2_and_say_what_is_allowed(
    flag: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options([flag])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_the_second_start_fails_with_the_given_exit_code(tmp_path: Path) -> None:
    counter = tmp_path / "starts"
    counter.write_bytes(b".")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pilotlight.example_server"),
            *("--fail-start=2", "--fail-start-exit-code=42", f"--start-counter={counter}"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 42
    assert "on purpose" in ended.stderr
    assert counter.read_bytes() == b".."
