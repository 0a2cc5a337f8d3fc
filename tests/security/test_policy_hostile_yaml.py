"""Manifests by somebody who means harm: nothing runs, nothing grows without bound, nothing moves the cursor."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.policy.check import check
from autoscaler.policy.yaml_documents import read_documents

HEAD = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: chat}\n"


def _laughs(levels: int, each: str, repeat: str) -> str:
    first = each.format("")
    return f"a0: &a0 {first}\n" + "".join(f"a{n}: &a{n} {repeat.format(n=n - 1)}\n" for n in range(1, levels))


BOMBS = {
    "a billion laughs in lists": _laughs(
        30, "[lol, lol]", "[*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]"
    ),
    "a billion laughs in mappings": _laughs(30, "{{k: v}}", "{{a: *a{n}, b: *a{n}, c: *a{n}, d: *a{n}, e: *a{n}}}"),
    "merges of merges of nothing": _laughs(30, "{{}}", "{{<<: [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]}}"),
    "a chain of merges": _laughs(5_000, "{{k: v}}", "{{<<: *a{n}}}"),
    "a chain of aliases": _laughs(5_000, "[lol]", "[*a{n}]"),
    "deep lists": "[" * 200_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "- " * 200_000,
    "deep keys": "? " * 200_000,
    "the same key over and over": "a: 1\n" * 80_000,
    "many values": "[" + "1," * 300_000 + "]",
    "many documents": "---\na\n" * 60_000,
    "many tags": "%TAG !a! !b\n" * 10_000 + "---\na",
    "a long anchor": f"&{'a' * 500_000} b",
    "a long tag": f"!<{'a' * 500_000}> b",
    "a long number": f"a: {'9' * 500_000}",
    "a long fraction": f"a: 0.{'9' * 500_000}",
    "a long hexadecimal": f"a: 0x{'f' * 500_000}",
    "a long key": f"{'k' * 500_000}: 1",
    "unfinished quotes": "'" * 500_001,
}

_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from pathlib import Path
from autoscaler.policy.check import check
problems = check([Path(path) for path in sys.argv[1:]])
sys.stdout.write("\\n".join(map(str, problems)))
sys.exit(1 if problems else 0)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_within_a_gigabyte_and_seconds(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[bomb])
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    ended = subprocess.run([sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, timeout=100)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert (ended.returncode, ended.stderr) == (1, "")
    assert all(line.startswith(str(path)) for line in ended.stdout.splitlines())
    assert max(map(len, ended.stdout.splitlines())) < len(str(path)) + 500
    assert spent < 20


@pytest.mark.parametrize(
    "tagged",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple [1, 2]",
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {}']",
        "!custom {{a: b}}",
        "!!binary aGVsbG8=",
        "!!set {{a, b}}",
        "!!timestamp 2001-01-01",
    ],
)
def test_a_tag_builds_nothing_and_runs_nothing(tagged: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (document,) = read_documents(f"a: {tagged.format(marker)}")
    assert document.value is None
    assert "has no place in a Kubernetes object" in document.flaws[0].message
    assert not marker.exists()


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {k: *a}", "a: &a\n  <<: *a", "&a\n? *a\n: b"])
def test_nothing_can_contain_itself(text: str) -> None:
    assert "stands for nothing that is complete before it" in list(read_documents(text))[-1].flaws[0].message


@pytest.mark.parametrize(
    "number",
    [
        "1e999",
        "-1e999",
        "1e99999999",
        "9" * 5000,
        "0x" + "f" * 5000,
        "1" + "0" * 400,
        ".inf",
        "-.inf",
        ".nan",
        "0b" + "1" * 300,
    ],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_number_beyond_all_bounds_is_an_error_and_no_crash(number: str, quote: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    annotated = HEAD.replace(
        "{name: chat}", f"{{name: chat, annotations: {{pilotlight.dev/target: {quote}{number}{quote}}}}}"
    )
    path.write_text(f"{annotated}spec: {{predictor: {{maxReplicas: {number}}}}}\n")
    problems = [str(problem) for problem in check([path])]
    assert problems
    assert all(len(problem) < len(str(path)) + 500 for problem in problems)


def test_what_is_written_never_moves_the_cursor_or_adds_a_line(tmp_path: Path) -> None:
    evil = "\\e[2J\\x07\\r\\n\\u202e"
    path = tmp_path / "my.yaml"
    path.write_text(
        f'apiVersion: "{evil}"\nkind: "{evil}"\n---\n'
        f"apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
        f'metadata:\n  name: "{evil}"\n  namespace: "{evil}"\n'
        f'  annotations: {{"pilotlight.dev/{evil}": "{evil}", "{evil}": 3, pilotlight.dev/target: "{evil}"}}\n'
        f'spec: {{predictor: {{scaleMetric: "{evil}", "{evil}": 1, "{evil}": 2}}}}\n---\n'
        f"a: !<tag:{'%1b' * 9}[2J> b\n"
    )
    problems = [str(problem) for problem in check([path])]
    assert len(problems) == 9
    assert all(problem.isprintable() for problem in problems)


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    (problem,) = check([Path("/dev/zero")])
    assert "too large" in problem.message
