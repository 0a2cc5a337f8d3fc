"""What the load generators say, and what the suite says when one is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activator.messages import EndpointState, parse_routes
from benchmarks.dataplane import configurations, control, processes, wrk
from benchmarks.dataplane.loads import BODY_BYTES, Script
from benchmarks.dataplane.open_loop import is_whole


def test_what_wrk_has_seen_is_read_from_its_last_line() -> None:
    output = (
        "Running 1s test\n  Requests/sec: 1\n"
        '\n{"requests": 9, "seconds": 1.5, "refused": 2, "broken": 1, "p50_ms": 0.5, "p99_ms": 7.25}\n'
    )
    assert wrk.parse(output) == wrk.Loaded(9, 1.5, 2, 1, 0.5, 7.25)


def test_wrk_that_says_nothing_is_an_error() -> None:
    with pytest.raises(processes.SetupError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1")


@pytest.mark.parametrize("kind", Script)
def test_every_script_says_what_it_has_seen(kind: Script, tmp_path: Path) -> None:
    assert "done = function" in wrk.script(kind, tmp_path).read_text()


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_with_the_last_byte_of_its_body(answer: bytes, whole: bool) -> None:
    assert is_whole(answer) is whole


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"]
)
def test_an_answer_that_would_not_count_ends_the_measurement(answer: bytes) -> None:
    with pytest.raises(ConnectionError):
        is_whole(answer)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_MORE_PLACES", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(processes.SetupError, match=r"nginx is not installed.*package nginx-light"):
        processes.tool("nginx")


def test_one_core_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    with pytest.raises(processes.SetupError, match="two cores"):
        processes.cores()


def test_the_stand_in_sends_a_table_that_an_activator_reads() -> None:
    (route,) = parse_routes(json.loads(control.table("default/example", 81, 82, 100))).routes
    (endpoint,) = route.endpoints
    assert (endpoint.port, endpoint.admin_port, endpoint.state) == (81, 82, EndpointState.READY)
    assert route.endpoint_capacity == 100


def test_the_upstream_answers_with_as_many_bytes_as_the_load_says() -> None:
    text = configurations.nginx_upstream(Path("/folder"), 80)
    piece = text.partition('set $piece "')[2].partition('"')[0]
    assert len(piece) * text.count("$piece$piece") * 2 == BODY_BYTES
    assert len(text.partition("return 200 '")[2].partition("'")[0]) == 205
