"""Compiles with mypyc what compiled.txt lists, in the current directory, which is a copy of the packages.

What mypyc makes of a dataclass is a native class, but `dataclasses` writes the class's `__init__` at run time, and so
that is interpreted: half a microsecond for six fields, where one that is compiled takes a twelfth of it. Deciding on a
service makes some thirty such objects. So before it is compiled each is given one, which says the same. Only here: in
the sources it would be every field a second and a third time.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

_LIST = Path("compiled.txt")
_DECORATORS = ("value_type", "dataclass")
# What a constructor that takes the fields and keeps them would not do.
_BEYOND = ("__init__", "__post_init__", "ClassVar", "InitVar", "KW_ONLY", "kw_only")


def with_constructors(source: str) -> str:
    """The source of a module with an `__init__` in each dataclass whose fields have no default that is made by `field`.

    Each takes the place of the empty line above the fields, and so every other line keeps its number, which tracebacks
    tell. Raises SyntaxError, naming the class, where that line is missing or something would be lost.
    """
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or not any(map(_makes_a_dataclass, node.decorator_list)):
            continue
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        if not fields or any(map(_is_made_anew, fields)):
            continue
        above = fields[0].lineno - 2
        text = "\n".join(lines[node.decorator_list[0].lineno - 1 : node.end_lineno])
        if node.bases or any(re.search(rf"\b{word}\b", text) for word in _BEYOND):
            raise SyntaxError(f"class {node.name}: no bases, and none of {', '.join(_BEYOND)} can be compiled")
        if lines[above]:
            raise SyntaxError(f"class {node.name}: an empty line above its fields is needed")
        lines[above] = _constructor(fields)
    return "\n".join(lines) + "\n"


def _makes_a_dataclass(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id in _DECORATORS


def _is_made_anew(field: ast.AnnAssign) -> bool:
    """Its default is made by a function."""
    return isinstance(field.value, ast.Call) and ast.unparse(field.value.func).endswith("field")


def _constructor(fields: list[ast.AnnAssign]) -> str:
    parameters = []
    for field in fields:
        default = "" if field.value is None else f" = {ast.unparse(field.value)}"
        parameters.append(f"{ast.unparse(field.target)}: {ast.unparse(field.annotation)}{default}")
    body = "; ".join(f"self.{name} = {name}" for name in (ast.unparse(field.target) for field in fields))
    # That nothing frozen may be written to holds outside of it.
    return f"    def __init__(self, {', '.join(parameters)}) -> None: {body}  # type: ignore[misc, unused-ignore]"


def main() -> int:
    """Compile. Returns an exit status; what mypyc finds wrong it prints, and ends the process."""
    if Path(".git").exists():
        print("error: this changes sources for a while: run it in a copy", file=sys.stderr)  # noqa: T201
        return 2
    modules = _LIST.read_text().split()
    sources = {Path(module): Path(module).read_text() for module in modules}
    written = {path: with_constructors(source) for path, source in sources.items()}
    try:
        for path, source in written.items():
            path.write_text(source)
        _compile(modules)
    finally:
        for path, source in sources.items():
            path.write_text(source)
        for left_over in ("build", ".mypy_cache"):
            shutil.rmtree(left_over, ignore_errors=True)
    return 0


def _compile(modules: list[str]) -> None:
    # Not by `python -m mypyc`: in the environment in which pip builds, that does not find what is installed there.
    from mypyc.build import mypycify
    from setuptools import setup

    # By no settings but these, whichever directory this one lies in: `make lint` is where types are held to ours.
    extensions = mypycify(["--config-file=", "--ignore-missing-imports", *modules], opt_level="3", debug_level="0")
    setup(name="compiled", ext_modules=extensions, script_args=["--quiet", "build_ext", "--inplace"])


if __name__ == "__main__":
    sys.exit(main())
