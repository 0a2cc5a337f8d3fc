"""Command line, histogram, the health protocol's bytes, and what counts as work."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.grpc_health import HealthError, ServingStatus, parse_reply
from queue_proxy.histogram import Histogram
from queue_proxy.http.head import parse_request
from queue_proxy.http_get import Request
from queue_proxy.listening_sockets import Address
from queue_proxy.probe_requests import Purpose, purpose
from queue_proxy.probe_spec import TcpProbe
from queue_proxy.settings import parse

NEEDED = ["--name", "chat-1", "--listen", "0.0.0.0:1", "--admin", "fd:7", "--upstream", "127.0.0.1:8080"]


def test_what_is_not_said_has_a_sensible_value() -> None:
    config = parse(NEEDED)
    assert (config.listen, config.admin) == (Address("0.0.0.0", 1), Address(fd=7))
    assert (config.limit, config.queue_requests, config.queue_seconds) == (None, 1000, 300.0)
    assert config.queue_bytes == 64 * 2**20
    assert config.drain_seconds == 30.0
    assert config.probe.probe == TcpProbe("127.0.0.1", 8080)
    assert config.engine_metrics is None


@pytest.mark.parametrize(
    ("flags", "limit", "depth"), [(["--limit", "3"], 3, 30), (["--limit", "3", "--queue-requests", "1"], 3, 1)]
)
def test_depth_follows_the_limit(flags: list[str], limit: int, depth: int) -> None:
    config = parse(NEEDED + flags)
    assert (config.limit, config.queue_requests) == (limit, depth)


def test_addresses_may_be_ipv6_and_pages_may_have_a_query() -> None:
    config = parse([*NEEDED, "--listen", "[::1]:80", "--engine-metrics", "http://127.0.0.1:8080/metrics?a=b"])
    assert config.listen == Address("::1", 80)
    assert config.engine_metrics == Request("127.0.0.1", 8080, "/metrics?a=b")


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--limit", "-1", "must be a whole number from 0"),
        ("--limit", "1e3", "must be a whole number from 0"),
        ("--limit", "٣", "must be a whole number from 0"),
        ("--limit", "--", "expected one argument"),
        ("--queue-seconds", "nan", "must be seconds within 0..1e9, not 'nan'"),
        ("--timeout", "-1", "must be seconds"),
        ("--idle-timeout", "inf", "must be seconds"),
        ("--listen", "8080", "must be HOST:PORT"),
        ("--listen", "h:70000", "must have a port within 0..65535"),
        ("--listen", "fd:x", "must be fd:N"),
        ("--upstream", "h:0", "must have a port within 1..65535"),
        ("--upstream", ":80", "must be HOST:PORT"),
        ("--name", "", "must be 1 to 253 printable characters"),
        ("--name", "a\nb", "must be 1 to 253 printable characters"),
        ("--engine-metrics", "https://h/", "must be http://HOST:PORT/PATH"),
        ("--engine-metrics", "http://u:p@h/", "must be http://HOST:PORT/PATH"),
        ("--engine-metrics", "http://h:x/", "must be http://HOST:PORT/PATH"),
        ("--engine-metrics", "http://h/a b", "must be http://HOST:PORT/PATH"),
    ],
)
def test_a_wrong_value_is_named_with_its_flag(
    flag: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*NEEDED, f"{flag}={value}"])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert f"argument {flag}: {words}" in errors


@given(st.lists(st.floats(0, 100), max_size=50))
def test_a_histogram_counts_each_value_in_every_bucket_above_it(values: list[float]) -> None:
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in values:
        histogram.observe(value)
    expected = [(str(bound), sum(value <= bound for value in values)) for bound in (0.1, 1.0, 10.0)]
    assert list(histogram.cumulative()) == [*expected, ("+Inf", len(values))]
    assert histogram.total == pytest.approx(sum(values))


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_that_do_not_ascend_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        Histogram(bounds)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", ServingStatus.UNKNOWN),
        (b"\x08\x00", ServingStatus.UNKNOWN),
        (b"\x08\x01", ServingStatus.SERVING),
        (b"\x08\x02", ServingStatus.NOT_SERVING),
        (b"\x08\x03", ServingStatus.SERVICE_UNKNOWN),
    ],
)
def test_health_replies_are_read(message: bytes, status: ServingStatus) -> None:
    assert parse_reply(struct.pack(">BI", 0, len(message)) + message) is status


@pytest.mark.parametrize(
    "reply", [b"", b"\0\0\0\0", b"\1\0\0\0\2\x08\x01", b"\0\0\0\0\2\x10\x01", b"\0\0\0\0\2\x08\x09", b"\0\0\0\0\1\x08"]
)
def test_what_is_no_health_reply_is_an_error(reply: bytes) -> None:
    with pytest.raises(HealthError):
        parse_reply(reply)


@pytest.mark.parametrize(
    ("line", "headers", "expected"),
    [
        ("GET /v1/chat", (), Purpose.WORK),
        ("POST /metrics", (), Purpose.WORK),
        ("GET /metrics/x", (), Purpose.WORK),
        ("GET /v1/models/m", (), Purpose.WORK),
        ("GET /metrics", (), Purpose.SCRAPE),
        ("HEAD /v2/health/ready?x=1", (), Purpose.SCRAPE),
        ("GET /v2/models/m/ready", (), Purpose.SCRAPE),
        ("GET /anything", ("User-Agent: Prometheus/2.53",), Purpose.SCRAPE),
        ("POST /v1/chat", ("User-Agent: Prometheus/2.53",), Purpose.WORK),
        ("GET /chat", ("User-Agent: Prometheus/2.53", "Connection: upgrade", "Upgrade: websocket"), Purpose.WORK),
        ("GET /health", ("Connection: upgrade", "Upgrade: websocket"), Purpose.WORK),
        ("GET /metrics", ("Content-Length: 1",), Purpose.WORK),
        ("GET /metrics", ("Content-Length: 0",), Purpose.SCRAPE),
        ("GET /metrics", ("Transfer-Encoding: chunked",), Purpose.WORK),
        ("GET /metrics", ("User-Agent: kube-probe/1.31",), Purpose.PROBE),
        ("POST /x", ("PILOTLIGHT-PROBE: activator",), Purpose.PROBE),
        ("POST /x", ("User-Agent: my kube-probe/1",), Purpose.WORK),
    ],
)
def test_probes_and_scrapes_are_told_from_work(line: str, headers: tuple[str, ...], expected: Purpose) -> None:
    raw = "\r\n".join([f"{line} HTTP/1.1", "Host: m", *headers])
    assert purpose(parse_request(raw.encode(), 100)) is expected
