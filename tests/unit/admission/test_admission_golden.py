"""Files before and after: `python -m tests.unit.admission.test_admission_golden` writes the second half anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from admission.files import change_file, read_file_content
from admission.inject import InjectionSettings, inject, remove

FOLDER = Path(__file__).parent / "golden"
BEFORE = sorted(path for path in FOLDER.iterdir() if ".injected" not in path.name)


def after(path: Path) -> Path:
    return path.with_suffix(f".injected{path.suffix}")


def injected(path: Path, text: str) -> str:
    """The text, and the remarks as comments below it."""
    content = read_file_content(path.name, text)
    settings = InjectionSettings("pilotlight:1", runtimes=content.runtimes)
    changed = change_file(content, lambda body, source: inject(body, settings, source))
    assert not changed.errors
    return changed.text


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: path.stem)
def test_a_file_becomes_exactly_this(path: Path) -> None:
    assert injected(path, path.read_text()) == after(path).read_text()


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: path.stem)
def test_injecting_again_changes_nothing(path: Path) -> None:
    assert injected(path, after(path).read_text()) == after(path).read_text()


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: path.stem)
def test_removing_gives_the_file_back_byte_for_byte(path: Path) -> None:
    changed = change_file(read_file_content(path.name, after(path).read_text()), lambda body, _: remove(body))
    assert changed.text == path.read_text()


if __name__ == "__main__":
    for file in BEFORE:
        after(file).write_text(injected(file, file.read_text()))
