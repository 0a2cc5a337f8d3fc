"""The pure parts of the cluster benchmarks: what is made of instants, and that one section leaves the other alone."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.kubernetes_page import table, with_section
from benchmarks.kubernetes_scale.live import Live, Start
from benchmarks.kubernetes_scale.processes import Evaluations, evaluations
from benchmarks.kubernetes_scale.replicas import stats
from benchmarks.kubernetes_scale.report import p95
from benchmarks.kubernetes_scale.report import verdicts as scale_verdicts
from benchmarks.kubernetes_wake.model import parse_journal
from benchmarks.kubernetes_wake.phases import Burst, Phase, Wake, spread, verdicts
from benchmarks.kubernetes_wake.report import OURS, THEIRS, Measured, judged, section
from queue_proxy.messages import parse_stats

WAKE = Wake(
    sent=100.0, decided=100.01, scheduled=100.05, started=100.5, proxy=100.6, address=101.4, listening=102.5,
    reached=102.504, answered=102.56,
)  # fmt: skip


def test_phases_of_a_chain_add_up_to_the_whole() -> None:
    phases = WAKE.phases()
    chain = (Phase.DECIDED, Phase.SCHEDULED, Phase.STARTED, Phase.LISTENING, Phase.REACHED, Phase.ANSWERED)
    assert sum(phases[phase] for phase in chain) == pytest.approx(phases[Phase.WHOLE])
    assert phases[Phase.BEFORE] + phases[Phase.REACHED] + phases[Phase.ANSWERED] == pytest.approx(phases[Phase.WHOLE])


def test_nothing_is_left_of_an_address_that_was_known_before_the_model_listened() -> None:
    phases = WAKE.phases()
    assert phases[Phase.LEFT] == pytest.approx(phases[Phase.REACHED])


def test_a_spread_is_of_ranks_that_were_measured() -> None:
    found = spread([number / 1000 for number in range(1, 21)])
    assert [found.p50, found.p95, found.most] == pytest.approx([10.5, 19.0, 20.0])
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def burst(seconds: float, lost: int = 0, most_at_once: int = 1) -> Burst:
    return Burst(seconds, lost, (1.0,), (500,), most_at_once)


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        (burst(6.0), 0),
        (burst(8.0), 1),
        (burst(6.0, lost=1), 1),
        (burst(6.0, most_at_once=2), 1),
    ],
)
def test_a_burst_is_judged_by_its_end_by_what_it_lost_and_by_the_limit(ours: Burst, missed: int) -> None:
    found = verdicts([WAKE], [WAKE], [ours], [burst(7.0)])
    assert sum(not verdict.met for verdict in found) == missed


def test_bursts_are_judged_once_and_only_where_both_systems_were_measured() -> None:
    measured = Measured()
    for kind in ("loads", "listens at once"):
        measured.add_wake(kind, OURS, WAKE)
        measured.add_wake(kind, THEIRS, WAKE)
    measured.add_burst(OURS, burst(6.0))
    measured.add_burst(THEIRS, burst(7.0))
    assert [len(each) for each in judged(measured).values()] == [5, 2]
    text = section(measured, "Measured somewhere.", 500)
    assert "6.00" in text
    assert "missed" not in text


def test_a_journal_is_what_the_model_wrote() -> None:
    journal = parse_journal(b"[1.5, 2.5, [3.5, 4.5], 1]")
    assert (journal.started, journal.listening, journal.reached, journal.most_at_once) == (1.5, 2.5, (3.5, 4.5), 1)


def test_a_section_replaces_itself_and_leaves_the_rest_to_the_byte() -> None:
    page = with_section(with_section("# Page\n", "wake", "old"), "scale", "kept")
    again = with_section(page, "wake", "new")
    assert again == page.replace("old", "new")
    assert with_section(again, "wake", "new") == again


def test_a_table_has_a_line_for_each_row() -> None:
    assert table(["what", "ms"], [["a", "1"]]) == "| what | ms |\n| --- | ---: |\n| a | 1 |"


def test_a_pass_is_what_each_service_has_taken_once() -> None:
    page = "# HELP x\npilotlight_evaluation_seconds_sum 0.5\npilotlight_evaluation_seconds_count 4000.0\n"
    assert evaluations(page) == Evaluations(0.5, 4000.0)
    assert Evaluations(0.5, 4000.0).milliseconds_a_pass(Evaluations(0.4, 2000.0), 1000) == pytest.approx(50.0)


def test_a_replica_of_the_benchmark_says_what_a_queue_proxy_could() -> None:
    said = stats("model-1", 20.0, 600)
    assert parse_stats(said.to_json()) == said
    assert [row.age for row in said.seconds] == [float(age) for age in range(20, 0, -1)]


@pytest.mark.parametrize(("passes", "cores", "met"), [([60.0] * 20, 0.9, 2), ([80.0] * 20, 0.9, 1), ([60.0], 1.1, 1)])
def test_scale_is_judged_by_its_passes_and_its_cores(passes: list[float], cores: float, met: int) -> None:
    start = Start(5.0, 4.0, 0)
    live = Live(1_000, 3_000, 30.0, start, start, cores, 0.1, 200.0, tuple(passes), Counter())
    assert sum(verdict.met for verdict in scale_verdicts(live)) == met
    assert p95(passes) == passes[0]
