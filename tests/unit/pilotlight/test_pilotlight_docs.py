"""What pages tell to type: a shell reads it, and every flag of `pilotlight` in it is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.command_line import command_line

# The design draws a tree of processes, which begins with a name as commands do.
PAGES = [Path("README.md"), *sorted(page for page in Path("docs").glob("*.md") if page.name != "design.md")]
COMMANDS = "up|status|explain|check|demo|replay|simulate|headroom|doctor|inject"


def typed(page: Path) -> Iterator[str]:
    """Lines of code that begin with `pilotlight`, without what stands behind them as an explanation."""
    for line in page.read_text().splitlines():
        found = re.match(rf"(?: {{4}})?(?:\.venv/bin/)?(pilotlight (?:{COMMANDS})\b.*)", line)
        if found:
            yield re.split(r"\s{2,}|\s[>|#]", found[1])[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_shell_reads_every_command(page: Path) -> None:
    lines = "\n".join(typed(page))
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    read = subprocess.run(
        ["bash", "-n"], input="\n".join([lines, *blocks]), text=True, capture_output=True, check=False
    )
    assert read.returncode == 0, read.stderr


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in typed(page)}))
def test_every_flag_that_is_told_exists(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        command_line().parse_args(shlex.split(line)[1:])
    except SystemExit:
        pytest.fail(capsys.readouterr().err)
