"""A recording is whole lines or nothing, and ends nothing but itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoscaler.controller.recorder import Recorder, RecorderError


def test_each_line_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl")
    recorder.write('{"a":1}', '{"b":2}')
    assert recorder.path.read_text() == '{"a":1}\n{"b":2}\n'
    recorder.close()


def test_a_restarted_controller_appends(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"a":1}\n')
    recorder = Recorder(path)
    recorder.write('{"b":2}')
    recorder.close()
    assert path.read_text() == '{"a":1}\n{"b":2}\n'


@pytest.mark.parametrize("whole", ["", '{"a":1}\n', '{"a":1}\n' * 20_000])
@pytest.mark.parametrize("half", ['{"b', "x" * 200_000])
def test_half_a_line_of_a_killed_controller_is_cut_off(tmp_path: Path, whole: str, half: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(whole + half)
    recorder = Recorder(path)
    recorder.write('{"c":3}')
    recorder.close()
    assert path.read_text() == whole + '{"c":3}\n'


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl")
    recorder.close()
    assert recorder.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"no-such-folder/run\.jsonl: No such file or directory"):
        Recorder(tmp_path / "no-such-folder" / "run.jsonl")


def test_a_full_disk_ends_the_recording_after_its_last_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "run.jsonl")
    recorder.write('{"a":1}')
    real = os.pwrite
    room = [3]

    def nearly_full(file: int, data: bytes, offset: int) -> int:
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = real(file, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", nearly_full)
    recorder.write('{"b":2}')
    assert recorder.problem is not None
    assert "No space left on device" in recorder.problem
    recorder.write('{"c":3}')
    recorder.close()
    assert recorder.path.read_text() == '{"a":1}\n'


def test_a_real_full_device_is_reported() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    recorder = Recorder(Path("/dev/full"))
    recorder.write('{"a":1}')
    assert recorder.problem == "stopped recording to /dev/full: No space left on device"
