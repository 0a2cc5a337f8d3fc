"""The console script's first moments."""

from __future__ import annotations

import sys

import pytest

from pilotlight import entry


class InterruptedImport:
    """A finder during whose work somebody presses Ctrl-C."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pilotlight.cli":
            raise KeyboardInterrupt


def test_ctrl_c_during_the_first_imports_is_an_exit_status_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pilotlight.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [InterruptedImport(), *sys.meta_path])
    assert entry.main() == 130


def test_the_command_line_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["pilotlight", "--help"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 0
    assert "explain" in capsys.readouterr().out
