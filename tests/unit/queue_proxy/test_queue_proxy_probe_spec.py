"""What a readinessProbe may say, and what is said about one that is wrong; and how verdicts add up."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_proxy.probe_spec import (
    ExecProbe,
    GrpcProbe,
    HttpProbe,
    Probe,
    ProbeSpec,
    ProbeSpecError,
    TcpProbe,
    default_probe,
    parse_probe,
)
from queue_proxy.probes import Verdict
from queue_proxy.readiness import Judgement


@pytest.mark.parametrize(
    ("body", "probe"),
    [
        ({"tcpSocket": {}}, TcpProbe("10.0.0.1", 8080)),
        ({"tcpSocket": {"port": 9, "host": "h"}}, TcpProbe("h", 9)),
        ({"tcpSocket": {"port": "9000"}}, TcpProbe("10.0.0.1", 9000)),
        ({"grpc": {"port": 9}}, GrpcProbe("10.0.0.1", 9)),
        ({"grpc": {"port": 9, "service": "s"}}, GrpcProbe("10.0.0.1", 9, "s")),
        ({"exec": {"command": ["a", "b"]}}, ExecProbe(("a", "b"))),
        ({"httpGet": {}}, HttpProbe("10.0.0.1", 8080)),
        (
            {"httpGet": {"path": "v2/health/ready", "port": 1, "scheme": "HTTPS", "httpHeaders": [{"name": "A"}]}},
            HttpProbe("10.0.0.1", 1, "/v2/health/ready", (("A", ""),), tls=True),
        ),
        ({"httpGet": {"port": 1}, "tcpSocket": None, "initialDelaySeconds": 600}, HttpProbe("10.0.0.1", 1)),
    ],
)
def test_probes_mean_what_they_mean_to_a_kubelet(body: object, probe: Probe) -> None:
    assert parse_probe(json.dumps(body), "10.0.0.1", 8080) == ProbeSpec(probe)


def test_numbers_that_are_zero_are_not_set() -> None:
    body = {"tcpSocket": {}, "timeoutSeconds": 0, "periodSeconds": 0, "successThreshold": 0, "failureThreshold": 0}
    assert parse_probe(json.dumps(body), "h", 1) == default_probe("h", 1)


def test_numbers_are_taken() -> None:
    body = {"tcpSocket": {}, "timeoutSeconds": 2, "periodSeconds": 3, "successThreshold": 4, "failureThreshold": 5}
    assert parse_probe(json.dumps(body), "h", 1) == ProbeSpec(TcpProbe("h", 1), 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the probe must be an object"),
        ("{}", "exactly one of httpGet, tcpSocket, grpc, exec, and has none"),
        ('{"httpGet": {}, "grpc": {}}', r"has \['httpGet', 'grpc'\]"),
        ('{"httpget": {}}', "httpget is not a field of a probe; known are httpGet"),
        ('{"tcpSocket": {"ports": 1}}', "tcpSocket.ports is not a field"),
        ('{"tcpSocket": 80}', "tcpSocket must be an object, not 80"),
        ('{"tcpSocket": {"port": 0}}', "tcpSocket.port must be within 1..65535, not 0"),
        ('{"tcpSocket": {"port": "70000"}}', "tcpSocket.port must be within 1..65535, not 70000"),
        ('{"tcpSocket": {"port": true}}', "tcpSocket.port must be within"),
        ('{"grpc": {"port": "grpc"}}', "grpc.port must be a number here, not the name 'grpc'"),
        ('{"httpGet": {"scheme": "FTP"}}', "httpGet.scheme must be HTTP or HTTPS, not 'FTP'"),
        ('{"httpGet": {"path": "/a b"}}', "httpGet.path must be printable ASCII without spaces"),
        (r'{"httpGet": {"path": "/a\r\nx: y"}}', "httpGet.path must be one line"),
        (r'{"httpGet": {"httpHeaders": [{"name": "A", "value": "b\r\nc: d"}]}}', "value of A must be one line"),
        ('{"httpGet": {"httpHeaders": [{"name": "A B"}]}}', "name must be a header name, not 'A B'"),
        ('{"httpGet": {"httpHeaders": {}}, "periodSeconds": -1}', "periodSeconds must be a positive number"),
        ('{"exec": {"command": "true"}}', "exec.command must be a list of texts"),
        ('{"exec": {"command": []}}', "exec.command must be a list of texts"),
        ('{"exec": {"command": [1]}}', "exec.command must be a list of texts"),
        ('{"grpc": {}, "timeoutSeconds": -1}', "timeoutSeconds must be a positive number of seconds, not -1"),
        ('{"grpc": {}, "timeoutSeconds": NaN}', "timeoutSeconds must be a positive number"),
        ('{"grpc": {}, "periodSeconds": "10"}', "periodSeconds must be a positive number of seconds, not '10'"),
        ('{"grpc": {}, "failureThreshold": 1.5}', "failureThreshold must be a whole number from 1, not 1.5"),
        ('{"grpc": {}, "successThreshold": true}', "successThreshold must be a whole number"),
    ],
)
def test_a_mistake_in_a_probe_is_named(text: str, words: str) -> None:
    with pytest.raises(ProbeSpecError, match=words):
        parse_probe(text, "h", 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["httpGet", "exec", "grpc", "tcpSocket", "port", "path", "command", "httpHeaders", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_but_a_probe_error_ever_comes_out(body: object) -> None:
    with contextlib.suppress(ProbeSpecError):
        assert parse_probe(json.dumps(body), "h", 1).timeout_seconds > 0


UP, DOWN = Verdict(True), Verdict(False, "down")


@pytest.mark.parametrize(
    ("success", "failure", "verdicts", "states"),
    [
        (1, 3, "+", "+"),
        (2, 3, "+-++", "---+"),
        (1, 3, "+--+---", "++++++-"),
        (1, 1, "+-+-", "+-+-"),
        (3, 2, "+++-+--+++", "--++++---+"),
    ],
)
def test_thresholds_count_verdicts_in_a_row(success: int, failure: int, verdicts: str, states: str) -> None:
    judgement = Judgement(ProbeSpec(TcpProbe("h", 1), success_threshold=success, failure_threshold=failure))
    seen = ""
    for verdict in verdicts:
        before = judgement.ready
        changed = judgement.take(UP if verdict == "+" else DOWN)
        assert changed == (judgement.ready != before)
        seen += "+" if judgement.ready else "-"
    assert seen == states


def test_why_not_ready_is_the_last_failure_and_empty_while_ready() -> None:
    judgement = Judgement(default_probe("h", 1))
    assert judgement.why == "not asked yet"
    judgement.take(DOWN)
    assert judgement.why == "down"
    judgement.take(UP)
    assert judgement.why == ""
