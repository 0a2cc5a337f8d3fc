"""What compiled.txt names is what every decision of every service goes through, whole; and what is compiled of it."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

from compile_packages import with_constructors

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


@pytest.mark.parametrize("name", sorted(_LISTED))
def test_what_is_compiled_has_constructors_that_take_what_the_sources_take(name: str, tmp_path: Path) -> None:
    written = with_constructors((_REPOSITORY / name).read_text())
    assert len(written.splitlines()) == len((_REPOSITORY / name).read_text().splitlines())
    ours = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    theirs = _imported("written_for_the_compiler", tmp_path / "written_for_the_compiler.py", written)
    for kind in (kind for kind in vars(ours).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)):
        if kind.__module__ == ours.__name__:
            assert _taken(getattr(theirs, kind.__name__)) == _taken(kind)


def test_a_class_of_values_gets_a_constructor_and_equality_stays(tmp_path: Path) -> None:
    source = """from __future__ import annotations
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    \"\"\"A place.\"\"\"

    x: float
    y: float = 2.0
"""
    written = with_constructors(source)
    assert "def __init__(self, x: float, y: float = 2.0) -> None: self.x = x; self.y = y" in written
    module = _imported(
        "written_point", tmp_path / "written_point.py", written.replace("frozen=True", "unsafe_hash=True")
    )
    point = module.Point
    assert point(1.0) == point(1.0, 2.0) != point(2.0)
    assert hash(point(1.0)) == hash(point(1.0, 2.0))
    assert repr(point(1.0)) == "Point(x=1.0, y=2.0)"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("@dataclass(frozen=True)\nclass A:\n    x: float\n", "class A: an empty line"),
        ("@dataclass(kw_only=True)\nclass A:\n\n    x: float\n", "class A: no bases, and none of"),
        ("@dataclass()\nclass A:\n\n    x: ClassVar[float] = 1.0\n", "class A: no bases, and none of"),
        ("@dataclass()\nclass A:\n\n    x: float\n    def __post_init__(self): ...\n", "class A: no bases, and none"),
        ("@dataclass()\nclass A(B):\n\n    x: float\n", "class A: no bases, and none of"),
    ],
)
def test_a_class_of_which_something_would_be_lost_is_refused_by_name(source: str, why: str) -> None:
    with pytest.raises(SyntaxError, match=why):
        with_constructors(source)


def _imported(name: str, path: Path, source: str) -> ModuleType:
    # Only a native class that is frozen lets its own constructor write.
    path.write_text(source.replace("@dataclass(frozen=True", "@dataclass(unsafe_hash=True"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def _taken(kind: type) -> list[tuple[str, str]]:
    """Names and defaults of what it is made from."""
    return [(each.name, repr(each.default)) for each in inspect.signature(kind).parameters.values()]
