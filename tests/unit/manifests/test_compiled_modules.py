"""What compiled.txt names is what every decision of every service goes through, whole."""

from __future__ import annotations

from pathlib import Path

_REPOSITORY = Path(__file__).parents[3]
_LISTED = set((_REPOSITORY / "compiled.txt").read_text().split())
# It makes classes, once each, and has to know of each whether it is compiled.
_INTERPRETED = {"autoscaler/signals/value_type.py"}


def test_what_is_listed_is_there() -> None:
    assert {module for module in _LISTED if not (_REPOSITORY / module).is_file()} == set()


def test_nothing_that_decides_is_left_out() -> None:
    modules = {
        str(path.relative_to(_REPOSITORY))
        for folder in ("decide", "signals")
        for path in (_REPOSITORY / "autoscaler" / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    assert modules - _LISTED == _INTERPRETED
