"""Lines of the request log, and what becomes of them when a disk is full."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from queue_proxy.observability.record import RequestOutcome, RequestRecord
from queue_proxy.observability.request_log import RequestLog, line_of


def record(path: bytes = b"/a", agent: bytes = b"") -> RequestRecord:
    outcome = RequestOutcome.REFUSED
    return RequestRecord("", "", b"GET", path, agent, 503, outcome, 10, 20, 5.0, None, None, 5.25, None)


def test_what_is_not_known_is_null_and_a_request_that_was_never_sent_waited_to_its_end() -> None:
    line = line_of(record(), "activator", 1_000.0)
    nothing = {name for name, value in line.items() if value is None}
    assert nothing == {"service", "replica", "first_byte_seconds", "trace_id", "user_agent"}
    assert (line["time"], line["wait_seconds"]) == ("1970-01-01T00:16:45.000Z", 0.25)


def test_no_byte_that_a_client_sends_can_end_a_line_or_begin_a_field(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = RequestLog("activator", str(file), time.monotonic)
    hostile = b'/\x85\xe2\x80\xa8","status":200,"x":"\\'
    assert log.write([record(hostile, b'a"\x85\xff'), record()]) == 0
    first, second = file.read_text().split("\n")[:-1]
    assert json.loads(first)["status"] == 503
    assert json.loads(first)["path"].encode("latin-1") == hostile
    assert json.loads(second)["path"] == "/a"
    assert first.isascii()


def test_on_a_full_disk_lines_are_lost_whole_and_the_next_begins_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "log"
    log = RequestLog("activator", str(file), time.monotonic)
    assert log.write([record(b"/first")]) == 0
    line = file.stat().st_size
    room = [line + 10]
    write = os.write

    def write_as_there_is_room(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("os.write", write_as_there_is_room)
    assert log.write([record(b"/secon"), record(b"/third"), record(b"/fourt")]) == 2
    assert log.write([record(b"/fifth")]) == 1
    room[0] = 10_000
    assert log.write([record(b"/sixth")]) == 0
    whole = [json.loads(line)["path"] for line in file.read_text().splitlines() if line.endswith("}")]
    assert whole == ["/first", "/secon", "/sixth"]
    assert [entry.getMessage() for entry in caplog.records] == [
        "the request log cannot be written: No space left on device"
    ]
