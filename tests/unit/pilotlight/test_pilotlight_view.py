"""The demo's view: everything fits into 80 columns at a terminal, and only changes are told elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from pilotlight.demo.observer import Sample
from pilotlight.demo.view import LiveView, Picture, PlainView, Tally, view_for

WAKING = Sample(1.0, "waking", "wake", "Wakes with 4: 84 requests are held.", 4, 3, 1, 0, 4, 84)


def picture(sample: Sample, seconds: float = 5.0, tally: Tally | None = None) -> Picture:
    name = "default/slow-starter"
    return Picture(seconds, "busy", {name: sample}, {name: tally or Tally(12, 0)})


def test_at_a_terminal_every_number_is_there_in_80_columns() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=30, color_system=None)
    with view_for(console) as view:
        assert isinstance(view, LiveView)
        view.show(picture(WAKING))
    text = out.getvalue()
    for word in (
        "slow-starter",
        "waking",
        "4 / 3 / 1",
        "●◐◐◐",
        "84",
        "12",
        "want/start/ready",
        "answered",
        "Wakes with 4",
    ):
        assert word in text
    assert "…" not in text


def test_elsewhere_one_line_is_printed_for_each_change() -> None:
    out = io.StringIO()
    with view_for(Console(file=out, width=80)) as view:
        assert isinstance(view, PlainView)
        view.show(picture(WAKING, 5.0))
        view.show(picture(WAKING, 5.25, Tally(13, 0)))
        view.show(picture(WAKING, 5.5, Tally(14, 1)))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "4 wanted, 3 starting, 1 ready, 4 in flight, 84 held" in lines[0]
    assert "1 lost" in lines[1]
