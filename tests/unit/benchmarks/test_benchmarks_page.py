"""From readings to verdicts and to the page."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dataplane.__main__ import main
from benchmarks.dataplane.accounts import CpuAccount
from benchmarks.dataplane.aims import Verdict, goodput_share, judge, wait_ratio
from benchmarks.dataplane.loads import PER_UNIT, SHAPES, Load
from benchmarks.dataplane.page import machine, page, table, verdicts
from benchmarks.dataplane.processes import SetupError
from benchmarks.dataplane.proxies import Proxy
from benchmarks.dataplane.readings import Reading, Readings
from benchmarks.dataplane.rounds import applies
from benchmarks.dataplane.wrk import Loaded

_READING = Reading(1, Load.BARE, Proxy.OURS, 40.0, 20.0, 0.0, 0.0, 1.0, 20.0, 25.0, 1000.0, 1.0, 2.0, 0)


def _reading(load: Load, proxy: Proxy, number: int = 1, **values: float) -> Reading:
    return replace(_READING, load=load, proxy=proxy, round=number, **values)  # type: ignore[arg-type]


def _verdict(readings: Readings, words: str) -> Verdict:
    (found,) = [verdict for verdict in judge(readings) if words in verdict.aim]
    return found


def test_cpu_is_for_one_unit_of_work_and_refusals_are_no_good_answers() -> None:
    loaded = Loaded(requests=100, seconds=2.0, refused=20, broken=1, p50_ms=1.0, p99_ms=2.0)
    used = CpuAccount(run=0.5, user=0.1, system=0.3)
    reading = Reading.of(1, Load.EVENTS, Proxy.OURS, loaded, used, 0.1, 0.0, 1.0, 20.0, 21.0)
    assert reading.cpu_us == pytest.approx(0.5 / (100 * 50) * 1e6)
    assert reading.system_us == pytest.approx(0.75 * reading.cpu_us)
    assert reading.answered_per_second == 40.0
    assert reading.broken == 1


def test_a_load_that_was_not_answered_at_all_is_an_error() -> None:
    with pytest.raises(SetupError, match="knative answered nothing under the load bare"):
        Reading.of(1, Load.BARE, Proxy.KNATIVE, Loaded(0, 2.0, 0, 9, 0.0, 0.0), CpuAccount(), 0.0, 0.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("ours", "met"), [(25.0, True), (25.1, False)])
def test_an_aim_is_met_up_to_its_bound(ours: float, met: bool) -> None:
    readings = Readings(
        [_reading(Load.BARE, Proxy.OURS, cpu_us=ours), _reading(Load.BARE, Proxy.KNATIVE, cpu_us=100.0)]
    )
    assert _verdict(readings, "of the queue proxy against Knative's: GET, no headers, 32").met is met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    judged = judge(Readings())
    assert all(verdict.met is None for verdict in judged)
    assert "not measured" in verdicts(judged)
    assert "met |" not in verdicts(judged)


def test_the_wait_in_strict_order_has_ratio_one() -> None:
    direct = _reading(Load.LINE, Proxy.DIRECT, p50_ms=20.0)
    readings = Readings([direct, _reading(Load.LINE, Proxy.OURS, p99_ms=200.0)])
    assert _verdict(readings, "wait in line").measured is not None
    assert wait_ratio(readings, Proxy.OURS).median == pytest.approx(1.0)  # type: ignore[union-attr]


def test_goodput_is_a_share_of_what_the_model_answers_alone_and_must_be_high() -> None:
    direct = _reading(Load.OVERLOAD, Proxy.DIRECT, answered_per_second=500.0)
    readings = Readings([direct, _reading(Load.OVERLOAD, Proxy.OURS, answered_per_second=400.0)])
    assert goodput_share(readings, Proxy.OURS).median == pytest.approx(0.8)  # type: ignore[union-attr]
    assert _verdict(readings, "overload").met is False


def test_memory_is_judged_after_the_load_that_makes_it_largest() -> None:
    readings = Readings(
        [_reading(Load.BARE, Proxy.OURS, loaded_mib=25.0), _reading(Load.CROWD, Proxy.OURS, loaded_mib=35.0)]
    )
    assert _verdict(readings, "resident memory").met is False


def test_a_proxy_without_a_limit_is_not_loaded_beyond_it() -> None:
    assert not applies(Load.OVERLOAD, Proxy.NGINX)
    assert applies(Load.OVERLOAD, Proxy.DIRECT)
    assert not applies(Load.BARE, Proxy.DIRECT)
    assert all(applies(load, Proxy.OURS) for load in Load)


def test_every_load_has_a_shape_and_every_shape_of_work_its_table() -> None:
    assert set(SHAPES) == set(Load)
    readings = Readings([_reading(load, Proxy.OURS) for load in Load])
    text = page(readings, judge(readings), "a machine")
    assert all(SHAPES[load].title in text for load in PER_UNIT)


def test_the_page_names_neither_paths_nor_hosts() -> None:
    readings = Readings([_reading(load, proxy) for load in Load for proxy in Proxy if applies(load, proxy)])
    text = page(readings, judge(readings), machine())
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert platform.node() not in text.split()


def test_a_table_without_rows_says_so() -> None:
    assert table(("a", "b"), []) == "Not measured in this run.\n"
    assert table(("a", "b"), [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_readings_come_back_as_they_were_written(tmp_path: Path) -> None:
    readings = Readings([_reading(Load.BARE, Proxy.OURS), _reading(Load.LINE, Proxy.DIRECT, number=4)])
    file = tmp_path / "readings.jsonl"
    readings.write(file)
    assert Readings.read(file).all == readings.all
    assert Readings.read(file).rounds == 4
    assert Readings.read(tmp_path / "none").rounds == 0


@pytest.mark.parametrize("text", ["not json\n", "[]\n", '{"load": "bare"}\n', '{"load": "no", "proxy": "knative"}\n'])
def test_a_file_of_something_else_is_refused_with_its_name(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "something"
    file.write_text(text)
    assert main(["--rounds", "0", "--readings", str(file)]) == 2
    assert f"{file} is not a file of readings" in capsys.readouterr().err


def test_missing_an_aim_shows_in_the_exit_status_and_in_the_page(tmp_path: Path) -> None:
    readings, written = tmp_path / "readings", tmp_path / "page.md"
    Readings([_reading(Load.BARE, Proxy.OURS, cpu_us=90.0), _reading(Load.BARE, Proxy.KNATIVE, cpu_us=100.0)]).write(
        readings
    )
    assert main(["--rounds", "0", "--readings", str(readings), "--write", str(written)]) == 1
    assert "**not met**" in written.read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--loads", "bare,none"], "'none' is none of bare, heads"),
        (["--proxies", "apache"], "'apache' is none of direct, queue-proxy"),
        (["--rounds", "-1"], "whole number"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
