"""Logs are bounded, keep their last lines at hand, and outlive the processes that write them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from autoscaler.cluster.local.log_file import LogFile, rotated


def test_a_log_never_takes_more_than_twice_its_limit(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", limit_bytes=1000)
    for number in range(500):
        log.write(f"line {number:04d} of many\n".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert (tmp_path / "a.log").read_bytes().endswith(b"line 0499 of many\n")


def test_the_last_lines_survive_rotation_and_say_nothing_that_a_terminal_would_obey(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", limit_bytes=64)
    for number in range(100):
        log.write(f"\x1b[31mline {number}\x07\r\n\n".encode())
    assert log.last_lines(3) == ("[31mline 97", "[31mline 98", "[31mline 99")
    log.close()


def test_the_last_lines_are_bounded_in_memory(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    log.write(b"x" * 1_000_000)
    assert sum(map(len, log.last_lines(10))) <= 8192
    log.close()


def test_only_the_user_can_read_a_log(tmp_path: Path) -> None:
    LogFile(tmp_path / "a.log").close()
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_a_log_outlives_a_file_that_somebody_removed(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", limit_bytes=10)
    log.write(b"first\n")
    (tmp_path / "a.log").unlink()
    log.write(b"second line\n")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"second line\n"
    assert not rotated(tmp_path / "a.log").exists()


async def test_what_a_process_left_in_the_pipe_is_read_at_the_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    writer = log.open_pipe(asyncio.get_running_loop())
    os.write(writer, b"last words\n")
    os.close(writer)
    log.take_over()
    assert log.last_lines(1) == ("last words",)
    log.close()


async def test_a_second_process_may_write_after_the_first_though_a_stray_still_holds_its_pipe(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    stray = log.open_pipe(asyncio.get_running_loop())
    os.write(stray, b"one\n")
    second = log.open_pipe(asyncio.get_running_loop())
    os.write(second, b"two\n")
    log.close()
    os.close(stray)
    os.close(second)
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\n"
