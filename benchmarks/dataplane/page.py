"""docs/performance.md, from readings. Pure, apart from `machine`, which asks what this one is."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.dataplane.aims import Verdict, added_ms, cpu_ratio, goodput_share, memory, wait_ratio
from benchmarks.dataplane.loads import PER_UNIT, SHAPES, Load
from benchmarks.dataplane.proxies import TITLES, Proxy
from benchmarks.dataplane.readings import Reading, Readings
from benchmarks.dataplane.summary import Spread, spread

_NOTHING = "Not measured in this run.\n"
_PLURAL = {"request": "requests", "event": "events", "10 MiB": "times 10 MiB", "call": "calls", "message": "messages"}


def machine() -> str:
    """This machine in general words: no name, no address."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    kind = model[1].strip() if model else platform.machine()
    guest = ", a virtual machine" if re.search(r"^flags.* hypervisor", info, re.MULTILINE) else ""
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores ({kind}{guest}), Linux {kernel}, CPython {platform.python_version()}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures. Nothing when there are no rows."""
    if not rows:
        return _NOTHING
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def verdicts(judged: Sequence[Verdict]) -> str:
    """The aims and whether they are met."""
    rows = []
    for verdict in judged:
        digits = 2 if verdict.unit == "×" else 1
        sign = "≥" if verdict.at_least else "≤"
        bound = f"{sign} {verdict.bound:.{digits}f}{verdict.unit}"
        measured = verdict.measured.text(digits) if verdict.measured else "–"
        answer = {None: "not measured", True: "met", False: "**not met**"}[verdict.met]
        rows.append([verdict.aim, bound, measured, answer])
    return table(("aim", "bound", "measured", ""), rows)


def page(readings: Readings, judged: Sequence[Verdict], where: str) -> str:
    """The whole page."""
    sections = [
        _HEAD.format(machine=where, noise=_noise(readings)),
        "## Aims\n\n" + _AIMS + verdicts(judged),
        "## CPU for one unit of work\n\n" + _CPU + "\n".join(_cpu_tables(readings)),
        "## Latency at a low rate\n\n" + _LATENCY + _latency_table(readings),
        "## Beyond the limit\n\n" + _BEYOND + _beyond_table(readings),
        "## Memory\n\n" + _MEMORY + _memory_table(readings),
        "## The floor\n\n"
        + _FLOOR.format(distance=_distance(readings), twice=_twice(readings))
        + _floor_table(readings),
        _REPRODUCE,
    ]
    return "\n".join(sections)


def _cpu_tables(readings: Readings) -> list[str]:
    """One for each load that was measured."""
    tables = [_cpu_table(readings, load) for load in PER_UNIT]
    return [one for one in tables if one is not None] or [_NOTHING]


def _cpu_table(readings: Readings, load: Load) -> str | None:
    shape = SHAPES[load]
    rows = []
    for proxy in Proxy:
        cpu = _spread(readings, load, proxy, lambda reading: reading.cpu_us)
        rate = _spread(readings, load, proxy, lambda reading: reading.answered_per_second * shape.units)
        if cpu is None or rate is None or proxy is Proxy.DIRECT:
            continue
        ratio = cpu_ratio(readings, load, proxy, Proxy.KNATIVE)
        rows.append([TITLES[proxy], cpu.text(1), f"{rate.median:.0f}", "–" if ratio is None else ratio.text(2)])
    header = (shape.title, f"us for one {shape.unit}", f"{_PLURAL[shape.unit]} a second", "to Knative")
    return table(header, rows) if rows else None


def _latency_table(readings: Readings) -> str:
    rows = []
    for proxy in Proxy:
        if proxy is Proxy.DIRECT:
            continue
        p50 = spread([1e3 * ms for ms in added_ms(readings, proxy, lambda reading: reading.p50_ms).values()])
        p99 = spread([1e3 * ms for ms in added_ms(readings, proxy, lambda reading: reading.p99_ms).values()])
        cpu = _spread(readings, Load.LATENCY, proxy, lambda reading: reading.cpu_us)
        if p50 is not None and p99 is not None and cpu is not None:
            rows.append([TITLES[proxy], p50.text(), p99.text(), cpu.text()])
    return table(("proxy", "added p50, us", "added p99, us", "CPU, us a request"), rows)


def _beyond_table(readings: Readings) -> str:
    rows = []
    for proxy in Proxy:
        good = _spread(readings, Load.OVERLOAD, proxy, lambda reading: reading.answered_per_second)
        line = _spread(readings, Load.LINE, proxy, lambda reading: reading.p99_ms)
        share, waits = goodput_share(readings, proxy), wait_ratio(readings, proxy)
        if good is None and line is None:
            continue
        behind = proxy is not Proxy.DIRECT
        rows.append(
            [
                TITLES[proxy],
                "–" if good is None else good.text(),
                "–" if share is None or not behind else f"{100 * share.median:.0f} %",
                "–" if line is None else line.text(),
                "–" if waits is None or not behind else waits.text(2),
            ]
        )
    header = (
        "proxy",
        "good answers a second, 150 clients",
        "of what is possible",
        "p99, ms, 100 clients",
        "wait to ideal",
    )
    return table(header, rows)


def _memory_table(readings: Readings) -> str:
    loads = (Load.BARE, Load.CROWD, Load.DOWNLOAD, Load.UPLOAD)
    rows = []
    for proxy in Proxy:
        everything = [reading for reading in readings.all if reading.proxy is proxy]
        fresh, most = spread([reading.fresh_mib for reading in everything]), memory(readings, proxy)
        if fresh is None or most is None or proxy is Proxy.DIRECT:
            continue
        after = [_spread(readings, load, proxy, lambda reading: reading.loaded_mib) for load in loads]
        rows.append([TITLES[proxy], fresh.text(), *("–" if one is None else one.text() for one in after), most.text()])
    return table(("proxy", "fresh", *(f"after `{load.value}`" for load in loads), "most"), rows)


def _floor_table(readings: Readings) -> str:
    rows = []
    for proxy in Proxy:
        cells = []
        for load in (Load.BARE, Load.HEADS):
            system = _spread(readings, load, proxy, lambda reading: reading.system_us)
            own = _spread(readings, load, proxy, lambda reading: reading.cpu_us - reading.system_us)
            cells += ["–", "–"] if system is None or own is None else [f"{system.median:.0f}", f"{own.median:.0f}"]
        if any(cell != "–" for cell in cells):
            rows.append([TITLES[proxy], *cells])
    return table(
        ("us a request", "bare: kernel", "bare: its own code", "14 headers: kernel", "14 headers: its own code"), rows
    )


def _distance(readings: Readings) -> str:
    """Our CPU against haproxy's, in words."""
    parts = []
    for load in (Load.BARE, Load.HEADS):
        ratio = cpu_ratio(readings, load, Proxy.OURS, Proxy.HAPROXY)
        parts.append(f"{'–' if ratio is None else ratio.text(2)} with `{load.value}`")
    return ", ".join(parts)


def _twice(readings: Readings) -> str:
    """What two hops cost against Knative's one where bytes pass through: ours, and those of the leanest proxies."""

    def cost(load: Load, proxy: Proxy, hops: int) -> str:
        # By medians and not by rounds: nginx, which changes little, is measured in few of them.
        own, one = (_spread(readings, load, which, lambda reading: reading.cpu_us) for which in (proxy, Proxy.KNATIVE))
        return "–" if own is None or one is None else f"{hops * own.median / one.median:.1f}"

    parts = []
    for load in (Load.EVENTS, Load.UPLOAD):
        ours, haproxy, nginx = cost(load, Proxy.CHAIN, 1), cost(load, Proxy.HAPROXY, 2), cost(load, Proxy.NGINX, 2)
        parts.append(f"{ours} with `{load.value}` (haproxy twice {haproxy}, nginx twice {nginx})")
    return " and ".join(parts)


def _noise(readings: Readings) -> str:
    """How quiet the machine was."""
    foreign = spread([100 * reading.foreign for reading in readings.all])
    stolen = spread([100 * reading.stolen for reading in readings.all])
    average = spread([reading.load_average for reading in readings.all])
    if foreign is None or stolen is None or average is None:
        return "nothing was measured"
    broken = sum(reading.broken for reading in readings.all)
    counts = {len(readings.of(load, proxy)) for load in Load for proxy in Proxy} - {0}
    rounds = f"{max(counts)} rounds" if len(counts) == 1 else f"{min(counts)} to {max(counts)} rounds"
    return (
        f"{rounds}; load average {average.text(1)}; stolen by the hypervisor {stolen.text(1)} % of the "
        f"time; other processes had the proxy's core {foreign.text(0)} % of a window; {broken} requests broke"
    )


def _spread(readings: Readings, load: Load, proxy: Proxy, value: Callable[[Reading], float]) -> Spread | None:
    return spread([value(reading) for reading in readings.of(load, proxy)])


_HEAD = """\
# Performance of the data path

Written by `make bench-dataplane`; do not edit. All figures are medians, with (lowest–highest) of all rounds.

Machine: {machine}.

How quiet it was: {noise}.

**How it is measured.** The proxy has one core to itself; load and upstream have another. Everything is on loopback. In
each round, for each load, each proxy in turn is started anew, warmed up for a second and then loaded. CPU is the
scheduler's run time of all threads of all processes of the proxy, divided by the units of work that were done. Our
queue proxy runs as in production, with limit, queue, all three time-outs, histograms and statistics; Knative's is built
from its published module and has the same limit and time-outs, and its metrics export, tracing and request log off, as
shipped. haproxy has the same limit; nginx and aiohttp have none. The activator gets its routes over its WebSocket and
limits too.

Where latency or goodput is measured, a window in which other processes had more than 5 % of the
proxy's core is taken again, twice at most, and the quietest counts. Figures less than 15 % apart should be read as
equal.
"""

_AIMS = """\
Ratios are taken within each round; the table gives their median, lowest and highest.

"""

_CPU = """\
Microseconds of one core. The last column is the ratio to Knative, round by round.

"""

_LATENCY = """\
500 requests a second, evenly spaced over 10 connections, in an open loop: a request that finds no free connection
counts from when it was due. Less the latency without a proxy in the same round. At this rate most of it is waking up,
twice; p99 is mostly the machine's own noise, and can come out below that of no proxy at all.

"""

_BEYOND = """\
The model takes 20 ms and the limit is 10. Left: 150 clients, and those that are refused try again at once, without
a pause: a retry storm. "Possible" is what the model answers to ten clients with no proxy in between. Right: 100 clients
in line; in strict order each waits for nine times the service time, so 1.00 is ideal.

"""

_MEMORY = """\
Resident, MiB, all processes of a proxy together.

"""

_FLOOR = """\
A request through any proxy is received, sent, received and sent: four system calls and a share of a poll, whatever
the language. nginx and haproxy, decades of C, show where that ends; how far we are is the ratio to haproxy:
{distance}. User and kernel time are told apart by ticks, to about 10 %.

Where bytes or events pass through, nearly all of it is the kernel's, and two proxies in a row move everything twice.
Activator and queue proxy together cost what one Knative proxy does times
{twice}.
So together they are held to be cheaper than one Knative proxy for requests and calls, and not for streams and large
bodies. A body is read and written 250 KB at a time already, and with an event goes one wake-up, one read and one write
in each of the two, of which none can be left out without holding an event back.

"""

_REPRODUCE = """\
## How to reproduce

    make bench-dataplane                           # all of it: about six minutes a round
    python -m benchmarks.dataplane --quick         # shows that it works; its figures mean little
    python -m benchmarks.dataplane --loads bare,heads --proxies queue-proxy,knative,haproxy --rounds 9

Packages and options are in `benchmarks/dataplane/README.md`. Use an idle machine with two cores or more.
"""
