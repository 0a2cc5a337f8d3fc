"""What the demo shows while it runs: a live table at a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotlight.demo.observer import Sample

_PHASE_STYLES = {"asleep": "dim", "waking": "yellow", "serving": "green", "draining": "cyan"}


@dataclass(frozen=True, slots=True)
class Tally:
    """What clients have so far of one service."""

    answered: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment: seconds since the load began, what is going on, and each service's newest sample."""

    seconds: float
    happening: str
    samples: Mapping[str, Sample]
    tallies: Mapping[str, Tally]


class LiveView:
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        """Draw this moment."""
        self._live.update(_table(picture), refresh=True)

    def say(self, line: str) -> None:
        """A line above the table."""
        self._live.console.print(line, highlight=False)


class PlainView:
    """One line whenever a service's phase, replicas or losses change: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to restore."""

    def show(self, picture: Picture) -> None:
        """Print what has changed."""
        for service, sample in picture.samples.items():
            tally = picture.tallies.get(service, Tally())
            state = (sample.phase, sample.wanted, sample.starting, sample.ready, tally.lost)
            if self._shown.get(service) == state:
                continue
            self._shown[service] = state
            self.say(
                f"{picture.seconds:5.1f} s  {service}: {sample.phase}, {sample.wanted} wanted, "
                f"{sample.starting} starting, {sample.ready} ready, {sample.in_flight} in flight, {sample.held} held, "
                f"{tally.answered} answered, {tally.lost} lost: {sample.why}"
            )

    def say(self, line: str) -> None:
        """A line by itself."""
        self._console.print(line, highlight=False, soft_wrap=True)


View = LiveView | PlainView


def view_for(console: Console) -> View:
    """The live table where there is a terminal to draw it on."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


def _table(picture: Picture) -> Group:
    """Numbers first, and below them each last decision's reason; 80 columns hold it all."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("service", no_wrap=True, min_width=12)
    table.add_column("state", no_wrap=True, min_width=8)
    table.add_column("replicas", no_wrap=True, min_width=8)
    for heading in ("want/start/ready", "in flight", "held", "answered", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    reasons = Table.grid(padding=(0, 1, 0, 0), expand=True)
    reasons.add_column(no_wrap=True, min_width=12)
    reasons.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for service, sample in picture.samples.items():
        table.add_row(*_row(service, sample, picture.tallies.get(service, Tally())))
        reasons.add_row(_short(service), Text(sample.why, "dim"))
    head = Text.assemble((f"{picture.seconds:5.1f} s  ", "bold"), picture.happening)
    return Group(head, Text(""), table, Text(""), reasons)


def _row(service: str, sample: Sample, tally: Tally) -> Sequence[Text | str]:
    flames = Text.assemble(
        ("●" * sample.ready, "green"), ("◐" * sample.starting, "yellow"), ("○" * sample.draining, "cyan")
    )
    return (
        _short(service),
        Text(sample.phase, _PHASE_STYLES.get(sample.phase, "")),
        flames,
        f"{sample.wanted} / {sample.starting} / {sample.ready}",
        str(sample.in_flight),
        Text(str(sample.held), "yellow" if sample.held else ""),
        str(tally.answered),
        Text(str(tally.lost), "bold red" if tally.lost else ""),
    )


def _short(service: str) -> str:
    return service.removeprefix("default/")


def now_after(began: float) -> float:
    """Seconds since `began` (both since 1970)."""
    return time.time() - began
