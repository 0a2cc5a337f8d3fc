"""docs/traces.md names every format, generator and profile that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulations.profiles.built_in import PROFILES
from simulations.traces.distributions import FAMILIES
from simulations.traces.notation import GENERATORS
from simulations.traces.opening import FORMATS

DOCS = (Path(__file__).parents[4] / "docs" / "traces.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The table below a line that begins like this, without its head, cells stripped."""
    lines = DOCS[DOCS.index(heading) :].splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("|"))
    end = next(at for at in range(begin, len(lines)) if not lines[at].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin + 2 : end]]


def test_every_format_is_described() -> None:
    assert {row[0].strip("`") for row in rows("## Formats")} == {form.name for form in FORMATS}


def test_every_generator_is_described_with_its_keys() -> None:
    described = {name: row[1] for row in rows("## Generators") for name in re.findall(r"`([a-z]+)`", row[0])}
    assert set(described) == set(GENERATORS)
    for name, family in GENERATORS.items():
        assert set(re.findall(r"([a-z-]+) \(", described[name])) == set(family.keys)


def test_every_distribution_is_described() -> None:
    for name, family in FAMILIES.items():
        if name != "fixed":
            assert f"`{name}({','.join(family.parameters)})`" in DOCS


@pytest.mark.parametrize("row", rows("The start-up time is"), ids=lambda row: row[0].strip("`"))
def test_the_median_of_every_profile_is_what_is_said(row: list[str]) -> None:
    total = PROFILES[row[0].strip("`")].total().quantile(0.5)
    assert total == pytest.approx(float(row[-1].removesuffix(" s")), rel=0.1)


def test_every_profile_is_described() -> None:
    assert {row[0].strip("`") for row in rows("The start-up time is")} == set(PROFILES)
