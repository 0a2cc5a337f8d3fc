"""docs/policies.md, made from the registry of policies: `python -m simulations.policies_reference`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from simulations.contender import ABOUT_OWN, OWN
from simulations.policies.registry import ALIASES, POLICIES, PolicyKind
from simulations.policies.settings import Key, Kind, words_of

_INTRODUCTION = f"""# Policies that `pilotlight simulate` compares

<!-- Written by `make docs` from simulations/policies/registry.py; change that, not this page. -->

`--policy NAME` or `--policy NAME:KEY=VALUE,…`; see [simulate](simulate.md). Each is what its source publishes, with the
defaults that are published there; where a source leaves something open, the module of the policy says what was taken.
All of them run in the same world: the same requests, starts and data path, and no reading that is newer than the
source of their metrics could have it.

## `{OWN}`

{ABOUT_OWN}.
[policy](policy.md) lists them, with their defaults.
"""

_BOUNDS = """
## Bounds

No policies: nobody can follow them, because they know the whole trace. They say how much of a cost could be saved.

- **Clairvoyant**, in every table and report: the cheapest plan in which no request ever waits, starts included. Each
  replica stays over a gap or ends and is started again for its next use, whichever is cheaper. Exact.
- **Clairvoyant with waiting**, the dashed curve in the report: requests may wait as long as the objective allows. A
  linear program with fractions of replicas, solved in windows, so a lower bound.
- **Sizing** in `pilotlight headroom`: what a steady load needs by occupancy, by square-root staffing and by Erlang C.
"""


def render() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(_section(kind) for kind in POLICIES.values()) + _BOUNDS


def _section(kind: PolicyKind) -> str:
    others = [f"`{alias}`" for alias, name in ALIASES.items() if name == kind.name]
    title = f"`{kind.name}`" + (f", or {', '.join(others)}" if others else "")
    rows = "\n".join(_rows(kind))
    return f"\n## {title}\n\n{_sentence(kind.about)}\nSource: {_sentence(kind.source, upper=False)}\n\n{rows}\n"


def _rows(kind: PolicyKind) -> Iterator[str]:
    yield "| key | meaning | allowed | default |"
    yield "|---|---|---|---|"
    for key in kind.keys:
        yield f"| `{key.name}` | {key.setting.about} | {_allowed(key)} | `{key.shown}` |"


def _allowed(key: Key) -> str:
    setting = key.setting
    if setting.kind is Kind.WORD:
        return ", ".join(f"`{word}`" for word in words_of(key))
    most = (
        ""
        if math.isinf(setting.most) or setting.most >= 1e9
        else f" to {setting.most:,g}"
        if setting.most < 1e6
        else f" to {setting.most:,.0f}"
    )
    unit = " s" if setting.kind is Kind.SECONDS else ""
    return f"{setting.kind.value}, {setting.least:g}{most}{unit}{'' if most else ' or more'}"


def _sentence(text: str, *, upper: bool = True) -> str:
    return (text[0].upper() if upper else text[0]) + text[1:] + "."


if __name__ == "__main__":
    sys.stdout.write(render())
