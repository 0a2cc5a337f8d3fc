"""Reading the kernel's books: CPU, memory, steal."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmarks.dataplane.accounts import CpuAccount, HostAccount, cpu_of, parse_host, parse_schedstat, parse_ticks
from benchmarks.dataplane.accounts import resident_mib as resident

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def _process(proc: Path, pid: int, tasks: dict[int, str], user: int, system: int, kib: int) -> None:
    for task, schedstat in tasks.items():
        folder = proc / f"{pid}/task/{task}"
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(schedstat)
    (proc / f"{pid}/stat").write_text(f"{pid} (a (b) c) R 1 2 3 4 5 6 7 8 9 10 {user} {system} 0 0 20 0\n")
    (proc / f"{pid}/status").write_text(f"Name:\tx\nVmHWM:\t99 kB\nVmRSS:\t{kib} kB\nThreads:\t1\n")


def test_run_time_is_summed_over_all_threads_of_all_processes(tmp_path: Path) -> None:
    _process(tmp_path, 7, {7: "1000000000 500000000 12\n", 8: "250000000 0 3\n"}, 90, 30, 1024)
    _process(tmp_path, 9, {9: "2000000000 1 1\n"}, 10, 20, 2048)
    account = cpu_of([7, 9], tmp_path)
    assert account.run == pytest.approx(3.25)
    assert account.user == pytest.approx(100 * _TICK)
    assert account.system == pytest.approx(50 * _TICK)
    assert resident([7, 9], tmp_path) == pytest.approx(3.0)


def test_a_process_that_has_ended_is_an_error_and_not_zero(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cpu_of([1], tmp_path)


@pytest.mark.parametrize("text", ["", "1 2", "1 2 3 4", "a b c"])
def test_a_schedstat_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_schedstat(text)


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    assert parse_ticks("1 (x) y (z) S 1 1 1 0 -1 0 0 0 0 0 11 22 0 0 20 0 1") == (11 * _TICK, 22 * _TICK)


def test_steal_is_a_share_of_all_ticks_between_two_readings() -> None:
    earlier = parse_host("cpu  10 0 10 80 0 0 0 0 7 0\ncpu0 1 0 2 3 4 5 6 7 0 0\nintr 1\n", 0)
    later = parse_host("cpu  20 0 20 150 0 0 0 10 7 0\ncpu0 2 0 2 9 9 5 6 9 0 0\nintr 1\n", 0)
    assert earlier == HostAccount(100, 0, 14 * _TICK)
    assert later.busy - earlier.busy == pytest.approx(_TICK)
    assert later.stolen_share_since(earlier) == pytest.approx(0.1)


def test_the_real_books_show_what_this_process_runs() -> None:
    before = cpu_of([os.getpid()])
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    used = cpu_of([os.getpid()]).since(before)
    assert used.run >= 0.045
    assert resident([os.getpid()]) > 1


def test_accounts_add_up_and_subtract() -> None:
    one, two = CpuAccount(1, 2, 3), CpuAccount(10, 20, 30)
    assert (one + two).since(one) == two
