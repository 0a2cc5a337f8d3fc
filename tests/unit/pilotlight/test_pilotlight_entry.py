"""The console script's first moments."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pilotlight import entry


@pytest.fixture
def own_interrupts() -> Iterator[None]:
    """What Ctrl-C does here is as it was afterwards."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_interrupts")
def test_the_command_line_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["pilotlight", "--help"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 0
    assert "explain" in capsys.readouterr().out


def ended_by_ctrl_c(code: str) -> tuple[int, str]:
    """Exit status and stderr of a process in which somebody presses Ctrl-C where `press()` is called."""
    begin = """
import os, signal, sys
from pilotlight import interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
def press(*_): os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_ctrl_c_during_imports_ends_it_though_python_drops_what_it_raises() -> None:
    code = "interrupts.end_at_once()\nimport weakref\nx = set()\nr = weakref.ref(x, press)\ndel x\nwhile True: pass"
    assert ended_by_ctrl_c(code) == (130, "")


def test_ctrl_c_unwinds_a_command() -> None:
    code = "interrupts.unwind()\ntry: press()\nexcept KeyboardInterrupt: sys.exit(5)"
    assert ended_by_ctrl_c(code) == (5, "")


def test_ctrl_c_ends_a_command_though_python_drops_what_it_raises() -> None:
    code = "interrupts._PATIENCE = 0.01\ninterrupts.unwind()\ntry: press()\nexcept: pass\nwhile True: pass"
    assert ended_by_ctrl_c(code) == (130, "")


def test_what_was_started_deaf_to_ctrl_c_stays_so() -> None:
    code = "signal.signal(signal.SIGINT, signal.SIG_IGN)\ninterrupts.end_at_once()\ninterrupts.unwind()\npress()"
    assert ended_by_ctrl_c(code) == (0, "")


def test_commands_that_handle_it_themselves_find_pythons_own_handler() -> None:
    code = "interrupts.end_at_once()\ninterrupts.as_usual()\nassert signal.getsignal(2) is signal.default_int_handler"
    assert ended_by_ctrl_c(code) == (0, "")


@pytest.mark.parametrize(("command", "usual"), [("status", True), ("simulate", False)])
def test_ctrl_c_is_pythons_own_again_where_a_command_does_not_see_to_it_itself(command: str, usual: bool) -> None:
    code = f"""
from pilotlight import cli
interrupts.end_at_once()
cli._run = lambda *_: signal.getsignal(2) is signal.default_int_handler
sys.exit(0 if cli.main(["{command}", "poisson"][:{1 if usual else 2}]) == {usual} else 1)
"""
    assert ended_by_ctrl_c(code) == (0, "")


def test_an_error_is_not_taken_for_ctrl_c_because_somebody_has_set_an_alarm() -> None:
    code = """
from pilotlight import cli
def run(*_): raise RuntimeError("broken")
cli._run = run
signal.setitimer(signal.ITIMER_REAL, 60.0)
sys.exit(cli.main(["status"]))
"""
    status, said = ended_by_ctrl_c(code)
    assert status == 1
    assert "RuntimeError: broken" in said


def test_ctrl_c_that_a_compiler_turned_into_another_error_is_ctrl_c() -> None:
    code = """
from pilotlight import cli
def run(*_):
    interrupts.unwind()
    try: press()
    except KeyboardInterrupt: pass
    raise RuntimeError("no compiled object yet")
cli._run = run
sys.exit(cli.main(["status"]))
"""
    assert ended_by_ctrl_c(code) == (130, "")
    assert ended_by_ctrl_c(code.replace("press()", "pass"))[0] == 1
