"""The page: whole, self-contained, and honest about what users give it."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from simulations.experiment import plan
from simulations.export import study_csv, study_json
from simulations.figures import CLAIRVOYANT, FIGURES, Unit, share_shown, shown
from simulations.report.frontier import Box, label_place
from simulations.report.page import page
from simulations.report.svg import Scale, TimeScale, clock, element, number
from simulations.study import NOT_MODELLED
from tests.unit.simulations.experiment.simulated_studies import experiment, interpreted, study

__all__ = ["interpreted"]
pytestmark = pytest.mark.usefixtures("interpreted")
_VOID = {"meta", "link", "br", "i"}


class _Checked(HTMLParser):
    """Notes elements that are not closed, and everything that would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value for key, value in attrs if key in ("src", "href") and value and value != "data:,"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulations.plant.plant.can_compile", lambda: False)
        patch.setattr("simulations.experiment.can_compile", lambda: False)
        planned = experiment(seeds=(1, 2), sweeps=("startup=0.5,2", "target=1,2"))
        return page(study(planned, planned.run(1), curve=True))


def test_the_page_is_whole_and_fetches_nothing(text: str) -> None:
    checked = _Checked()
    checked.feed(text)
    assert checked.open == []
    assert checked.fetched == []
    assert "script" not in checked.tags
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_what_is_written_by_users_is_text(text: str) -> None:
    assert "a &lt;small&gt; study" in text
    assert "<small>" not in text
    assert "an &amp; remark" in text


def test_every_chart_is_there(text: str) -> None:
    for heading in (
        "Cost against attainment",
        "Demand and supply over time",
        "How long requests took",
        "Where GPU-hours went",
        "What a start is made of",
        "What it depends on",
        "What is not modelled",
    ):
        assert f"<h2>{heading}</h2>" in text
    for missing in NOT_MODELLED:
        assert missing in text
    assert text.count('class="objective"') == 1
    assert 'class="bound"' in text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0"),
        (45.0, "45 s"),
        (300.0, "5 min"),
        (5400.0, "1 h 30 min"),
        (3725.0, "1 h 2 min 5 s"),
        (259_200.0, "3 d"),
    ],
)
def test_a_time_on_an_axis_has_its_unit(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_answers_that_come_whole_have_no_column_for_their_first_token(text: str) -> None:
    assert text.count("<th>latency, p99</th>") == 1
    assert "<th>time to first token, p99</th>" not in text


def test_no_place_is_not_a_number(text: str) -> None:
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)


def test_services_and_several_traces_have_charts_of_their_own() -> None:
    planned = experiment(seeds=(1,), policies=("fixed", "peak"), text="poisson:rate=1,span=3m,services=3")
    case = planned.cases[0]
    both = plan([case.setup, case.setup], [case.contenders, case.contenders], (1,), [])
    drawn = page(study(both, both.run(1)))
    for heading in ("Services", "Policies on traces", "Their cost"):
        assert f"<h2>{heading}</h2>" in drawn
    assert "Every service with fixed" in drawn
    _Checked().feed(drawn)


def test_json_holds_every_figure_with_its_interval() -> None:
    planned = experiment(seeds=(1, 2), policies=("kpa", "peak"))
    body = json.loads(study_json(study(planned, planned.run(1))))
    (trace,) = body["traces"]
    assert {policy["policy"] for policy in trace["policies"]} == {"kpa", "peak"}
    for policy in trace["policies"]:
        assert set(policy["figures"]) == {*(figure.key for figure in FIGURES), CLAIRVOYANT}
        usd = policy["figures"]["usd"]
        assert usd["low"] <= usd["mean"] <= usd["high"]
    assert trace["differences"][0]["usd_relative"]["method"] == "over seeds, Student t"
    assert "decision" not in json.dumps(body["traces"])
    assert len(trace["digest"]) == 64


def test_csv_has_a_row_for_each_figure() -> None:
    planned = experiment(seeds=(1, 2), policies=("kpa",), sweeps=("load=0.5,2",))
    rows = list(csv.reader(io.StringIO(study_csv(study(planned, planned.run(1))))))
    assert rows[0] == ["trace", "axis", "value", "policy", "service", "figure", "mean", "low", "high"]
    assert {len(row) for row in rows} == {9}
    assert [row[2] for row in rows if row[1] == "load" and row[5] == "usd"] == ["0.5", "2.0"]


def test_a_trace_that_ends_before_any_answer_is_compared_by_cost_alone() -> None:
    planned = experiment(
        seeds=(1, 2), policies=("pilotlight", "fixed:replicas=0"), text="poisson:rate=1,span=4s,seed=3"
    )
    done = study(planned, planned.run(1))
    (against,) = done.comparisons[0].against
    assert "cannot be compared" in against.sentence
    assert not re.search(r"\bnan\b", page(done).lower())


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100 %"), (0.99999, "99.999 %"), (0.9996, "99.96 %"), (0.9949, "99.49 %"), (0.5, "50.0 %"), (0.0, "0 %")],
)
def test_a_share_is_never_rounded_up_to_all(share: float, said: str) -> None:
    assert share_shown(share) == said


def test_what_cannot_be_counted_is_a_dash() -> None:
    assert shown(float("nan"), Unit.USD) == "–"
    assert share_shown(float("nan")) == "–"
    assert shown(0.0123, Unit.SECONDS) == "12.3 ms"


def test_scales_stay_within_their_ends_and_have_round_ticks() -> None:
    scale = Scale(0.0, 7.0, 100.0, 200.0)
    assert (scale(-1.0), scale(3.5), scale(99.0)) == (100.0, 150.0, 200.0)
    assert scale.ticks() == [0.0, 2.0, 4.0, 6.0]
    assert Scale(0.0, 11.0, 0.0, 1.0).ticks() == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert Scale(0.0, 11.0, 0.0, 1.0, whole=True).ticks() == [0.0, 5.0, 10.0]
    assert Scale(0.0, 1.0, 0.0, 1.0, whole=True).ticks() == [0.0, 1.0]
    assert Scale(0.05, 300.0, 0.0, 1.0, logarithmic=True).ticks() == [0.1, 1.0, 10.0, 100.0]
    assert TimeScale(0.0, 3600.0, 0.0, 1.0).ticks() == [600.0 * at for at in range(7)]


def test_labels_of_points_that_lie_together_do_not_cover_each_other() -> None:
    placed: list[Box] = []
    for _ in range(6):
        placed.append(label_place(400.0, 21.0, 120.0, placed))
    assert not any(one.covers(other) for at, one in enumerate(placed) for other in placed[:at])
    assert placed[0].left > 400.0
    assert label_place(980.0, 100.0, 120.0, []).right < 980.0
    assert (
        label_place(400.0, 100.0, 5000.0, []).left > 400.0
    )  # a label that has no place anywhere is shown all the same


def test_markup_is_escaped() -> None:
    assert element("a", title="\"<&'") == '<a title="&quot;&lt;&amp;&#x27;"/>'
    assert number(1.04) == "1"
