"""`pilotlight simulate`: what would this policy have cost, and how would users have fared?"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pilotlight import interrupts
from pilotlight.errors import CommandError
from pilotlight.output_file import check_replaceable, place_of, write_whole
from pilotlight.simulate.output import console, print_assumptions, print_study
from pilotlight.simulate.services import declared
from pilotlight.simulate.world import LONG_TRACE, World, world
from pilotlight.start_arguments import check_start
from simulations.clairvoyance import clairvoyance
from simulations.comparison import compare
from simulations.contender import OWN, Contender, contender, distinct
from simulations.experiment import Experiment, ExperimentError, Outcome, plan
from simulations.export import study_csv, study_json
from simulations.policies.settings import PolicyError
from simulations.recorded import Recording, read_recording
from simulations.replay import ReplayError
from simulations.report.page import page
from simulations.scenario import ScenarioError
from simulations.study import Study, swept_policies
from simulations.sweep import Sweep, SweepError, parse_sweep
from simulations.traces.trace import TraceError

_USUAL = (OWN, "kpa", "peak")
_RECORDED = "recorded"
_STDOUT = Path("-")
_MOST_RUNS = 100_000
_GZIP_MAGIC = b"\x1f\x8b"


def run_simulate(given: argparse.Namespace) -> int:
    """Simulate and say what came of it. Raises CommandError."""
    interrupts.unwind()
    texts = _texts(given)
    check_start(given)
    _check_outputs(given)
    sweeps = _sweeps(given)
    _check_policies(given)
    recording = None if given.from_recording is None else _recording(given.from_recording)
    known = declared(given.files)
    worlds = [world(given, text, known, recording) for text in texts]
    contenders = [_contenders(given, each) for each in worlds]
    seeds = _seeds(given, worlds)
    try:
        experiment = plan([each.setup for each in worlds], contenders, seeds, sweeps)
    except SweepError as error:
        raise CommandError(f"--sweep {error}") from error
    except (PolicyError, TraceError, ScenarioError) as error:
        raise CommandError(str(error)) from error
    runs = len(experiment.cells())
    if runs > _MOST_RUNS:
        raise CommandError(f"that is {runs} runs; {_MOST_RUNS} are allowed: fewer --seeds, or fewer values to --sweep")
    study = _study(given, worlds, contenders, experiment, recording)
    out = console()
    talks = _STDOUT not in (given.json, given.csv)
    if talks:
        print_assumptions(study, out)
    study = _carried_out(given, study, experiment)
    if talks:
        print_study(study, out)
    _write(given, study, out)
    return 0


def _texts(given: argparse.Namespace) -> list[str]:
    if given.from_recording is not None:
        if given.traces:
            raise CommandError("--from-recording holds the trace: leave TRACE out")
        if given.format is not None:
            raise CommandError("--from-recording says what the format is: leave --format out")
        return [str(given.from_recording)]
    if not given.traces:
        raise CommandError("a TRACE is needed, or --from-recording FILE; `pilotlight simulate --help` has examples")
    if len(set(given.traces)) < len(given.traces):
        raise CommandError("a TRACE is given twice")
    return list(given.traces)


def _sweeps(given: argparse.Namespace) -> list[Sweep]:
    try:
        sweeps = [parse_sweep(text) for text in given.sweep]
    except SweepError as error:
        raise CommandError(f"--sweep {error}") from error
    names = [sweep.axis.name for sweep in sweeps]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CommandError(f"--sweep {twice} is given twice: put all its values into one")
    return sweeps


def _check_policies(given: argparse.Namespace) -> None:
    """Their names, before a long trace is read; what can be set is known with the services."""
    try:
        distinct([contender(text, {}) for text in given.policy])
    except PolicyError as error:
        raise CommandError(f"--policy {error}") from error


def _check_outputs(given: argparse.Namespace) -> None:
    """Before a long run: that they can be written, and that nothing is lost by it. Raises CommandError."""
    named = [(flag, path) for flag, path in _outputs(given) if path is not None]
    if sum(path == _STDOUT for _, path in named) > 1:
        raise CommandError("--json - and --csv -: stdout can take one of them")
    written = [(flag, path) for flag, path in named if path != _STDOUT]
    read = {place_of(path) for path in _inputs(given)}
    for flag, path in written:
        check_replaceable(path, flag)
        if place_of(path) in read:
            raise CommandError(f"{flag} {path}: is what the simulation reads, and would be lost")
    if len({place_of(path) for _, path in written}) < len(written):
        raise CommandError("two outputs have the same name")


def _inputs(given: argparse.Namespace) -> list[Path]:
    """Files that are read, as far as they are named."""
    beside = (given.from_recording, given.samples, given.durations, given.tokens)
    return [*map(Path, given.traces), *given.files, *(path for path in beside if path is not None)]


def _outputs(given: argparse.Namespace) -> list[tuple[str, Path | None]]:
    return [("--report", given.report), ("--json", given.json), ("--csv", given.csv)]


def _recording(path: Path) -> Recording:
    """What was recorded, decided again: if that differs, nothing that follows is about what was deployed."""
    try:
        with _text(path) as lines:
            recording = read_recording(lines, str(path))
    except ReplayError as error:
        raise CommandError(str(error)) from error
    except (EOFError, zlib.error) as error:
        raise CommandError(f"{path}: the gzip file is damaged or cut off: {error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: is not a recording: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    if not recording.decisions:
        raise CommandError(f"{path}: there is no decision in it")
    return recording


def _text(path: Path) -> TextIO:
    """A text file, packed with gzip or not."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8")


def _contenders(given: argparse.Namespace, each: World) -> tuple[Contender, ...]:
    try:
        named = [contender(text, each.policies) for text in given.policy or _usual(given, each)]
        if each.recorded is not None:
            named.insert(0, Contender(_RECORDED, _RECORDED, each.recorded))
        return distinct(named)
    except PolicyError as error:
        raise CommandError(f"--policy {error}") from error


def _usual(given: argparse.Namespace, each: World) -> Sequence[str]:
    """Without --policy: ours, what many run, and a peak by hand; of a recording ours where anything was changed."""
    if each.recorded is None:
        return _USUAL
    return (OWN,) if given.settings or given.files else ()


def _seeds(given: argparse.Namespace, worlds: Sequence[World]) -> range:
    if given.seeds is not None:
        count = given.seeds
    else:
        count = 1 if any(each.setup.trace.span >= LONG_TRACE for each in worlds) else 10
    return range(given.seed, given.seed + count)


def _reference(contenders: Sequence[Contender]) -> str:
    """Who is compared with the others: ours, or the first."""
    return next((each.label for each in contenders if each.label == OWN), contenders[0].label)


def _study(
    given: argparse.Namespace,
    worlds: Sequence[World],
    contenders: Sequence[Sequence[Contender]],
    experiment: Experiment,
    recording: Recording | None,
) -> Study:
    """Without results."""
    seeds = experiment.seeds
    names = " and ".join(each.setup.trace.name for each in worlds)
    labels = [each.label for each in contenders[0]]
    policies: dict[str, object] = {}
    for each, those in zip(worlds, contenders, strict=True):
        policies[each.setup.trace.name] = {one.label: one.canonical(each.setup.trace) for one in those}
    drawn = f"{len(seeds)} from {seeds[0]} on" if len(seeds) > 1 else str(seeds[0])
    several = len(worlds) > 1
    assumptions = [
        (f"{each.setup.trace.name}: {what}" if several else what, value)
        for each in worlds
        for what, value in each.assumptions
    ]
    return Study(
        title=f"{', '.join(labels)} on {names}",
        version=version("pilotlight"),
        seeds=seeds,
        config={
            "worlds": [each.config for each in worlds],
            "policies": policies,
            "sweeps": list(given.sweep),
            "seeds": list(seeds),
        },
        assumptions=(*assumptions, ("seeds", drawn), ("policies", ", ".join(labels))),
        remarks=(*(remark for each in worlds for remark in each.remarks), *_of_recording(recording, given)),
        comparisons=(),
        swept=(),
    )


def _of_recording(recording: Recording | None, given: argparse.Namespace) -> list[str]:
    if recording is None:
        return []
    same = f"{recording.identical} of {recording.decisions} recorded decisions"
    said = f"{same} come out the same in the simulator, byte for byte"
    if recording.first_different is None:
        return [said]
    where = f"{given.from_recording}:{recording.first_different}"
    return [f"{said}; the first that does not is {where}: this version decides differently from the one that recorded"]


def _carried_out(given: argparse.Namespace, study: Study, experiment: Experiment) -> Study:
    workers = given.workers or len(os.sched_getaffinity(0))
    cases = [case for case in experiment.cases if case.sweep is None]
    curve = any(path is not None for _, path in _outputs(given))
    try:
        outcomes = _run(experiment, workers)
        bounds = [clairvoyance(case.setup, curve=curve) for case in cases]
    except (ExperimentError, TraceError, PolicyError, ScenarioError) as error:
        raise CommandError(str(error)) from error
    reference = _reference(cases[0].contenders)
    swept = swept_policies(experiment, outcomes)
    left_out = [
        f"{sweep}: {label} has no setting that means this, and is left out" for sweep, label in _left_out(experiment)
    ]
    return Study(
        study.title,
        study.version,
        study.seeds,
        study.config,
        study.assumptions,
        (*study.remarks, *left_out),
        compare(experiment, outcomes, bounds, reference),
        swept,
    )


def _left_out(experiment: Experiment) -> dict[tuple[str, str], None]:
    """Axis and policy where a policy cannot be varied along it, each once."""
    bases: Mapping[int, set[str]] = {
        case.trace: {each.label for each in case.contenders} for case in experiment.cases if case.sweep is None
    }
    return {
        (case.sweep.axis.name, label): None
        for case in experiment.cases
        if case.sweep is not None
        for label in sorted(bases[case.trace] - {each.label for each in case.contenders})
    }


def _run(experiment: Experiment, workers: int) -> list[Outcome]:
    """With a bar on stderr, where somebody sees it."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        return experiment.run(workers)
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("", total=len(experiment.cells()))
        return experiment.run(workers, lambda done, _: progress.update(task, completed=done))


def _write(given: argparse.Namespace, study: Study, out: Console) -> None:
    for (flag, path), made in zip(_outputs(given), (page, study_json, study_csv), strict=True):
        if path == _STDOUT:
            sys.stdout.write(made(study))
        elif path is not None:
            write_whole(path, made(study), flag)
            if _STDOUT not in (given.json, given.csv):
                out.print(f"written: {path}")
