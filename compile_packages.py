"""Compiles with mypyc what compiled.txt lists, in the current directory, which is a copy of the packages.

What mypyc makes of a dataclass is a native class, but `dataclasses` writes the class's `__init__` at run time, and so
that is interpreted: half a microsecond for six fields, where one that is compiled takes a twelfth of it. Deciding on a
service makes some thirty such objects. So before it is compiled each is given one, which says the same. Only here: in
the sources it would be every field a second and a third time.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

_LIST = Path("compiled.txt")
_DECORATORS = ("value_type", "dataclass")
_FUTURE = "from __future__ import annotations"


def with_constructors(source: str) -> str:
    """The source of a module with an `__init__` in each dataclass that needs no more than its fields for that.

    Each takes the place of the empty line above the fields, and so every other line keeps its number, which tracebacks
    tell. What was frozen is so no longer, as nothing is that is compiled; mypy has seen the sources, in which it is.
    """
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or node.bases:
            continue
        decorator = next(filter(_is_of_dataclass, node.decorator_list), None)
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        if decorator is None or not fields or any(map(_is_made_anew, fields)):
            continue
        above = fields[0].lineno - 2
        if lines[above] or decorator.lineno != decorator.end_lineno:
            raise SyntaxError(
                f"class {node.name}: an empty line above its fields and a decorator of one line are needed"
            )
        lines[above] = _constructor(fields)
        lines[decorator.lineno - 1] = f"@__dataclass({_arguments(decorator)})"
    return "\n".join(lines).replace(_FUTURE, f"{_FUTURE}; from dataclasses import dataclass as __dataclass", 1) + "\n"


def _is_of_dataclass(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id in _DECORATORS


def _is_made_anew(field: ast.AnnAssign) -> bool:
    """Its default is made by a function."""
    return isinstance(field.value, ast.Call) and ast.unparse(field.value.func) == "field"


def _arguments(decorator: ast.expr) -> str:
    """Without slots, since a native class has its fields in place; and by value where it was frozen."""
    given = (
        {each.arg: ast.unparse(each.value) for each in decorator.keywords} if isinstance(decorator, ast.Call) else {}
    )
    given.pop("slots", None)
    if given.pop("frozen", "False") == "True" and given.get("eq", "True") == "True":
        given["unsafe_hash"] = "True"
    return ", ".join(f"{name}={value}" for name, value in given.items())


def _constructor(fields: list[ast.AnnAssign]) -> str:
    parameters = []
    for field in fields:
        default = "" if field.value is None else f" = {ast.unparse(field.value)}"
        parameters.append(f"{ast.unparse(field.target)}: {ast.unparse(field.annotation)}{default}")
    body = "; ".join(f"self.{name} = {name}" for name in (ast.unparse(field.target) for field in fields))
    return f"    def __init__(self, {', '.join(parameters)}) -> None: {body}"


def main() -> int:
    """Compile; returns mypyc's exit status, and prints what it says when that is not 0."""
    modules = _LIST.read_text().split()
    sources = {Path(module): Path(module).read_text() for module in modules}
    for path, source in sources.items():
        path.write_text(with_constructors(source))
    command = [sys.executable, "-m", "mypyc", "--ignore-missing-imports", *modules]
    done = subprocess.run(command, env={**os.environ, "CFLAGS": "-g0"}, capture_output=True, text=True, check=False)
    for path, source in sources.items():
        path.write_text(source)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")  # noqa: T201
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
