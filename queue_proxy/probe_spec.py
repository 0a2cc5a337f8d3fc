"""ProbeSpec: a Kubernetes readinessProbe, read strictly.

The proxy probes the model itself, so it is given the probe that the user wrote for the kubelet. A mistake in it
would otherwise show as a model that never becomes ready, minutes later and without a word why; so every mistake
is an error at start that names the field, the value and what is allowed. Meanings and defaults are Kubernetes'.

Ports must be numbers: the proxy cannot see the container's named ports. Left out, a port is the upstream's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


class ProbeSpecError(ValueError):
    """The probe is not one: the message names the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """GET `path`; an answer of 200..399 is a success. `headers` replace ours of the same name."""

    host: str
    port: int
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """An accepted connection is a success."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """`grpc.health.v1.Health/Check` of `service` that answers SERVING is a success. No TLS, as in Kubernetes."""

    host: str
    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """A command that exits with 0 is a success. It runs beside the proxy, not in the model's container."""

    command: tuple[str, ...]


Probe = HttpProbe | TcpProbe | GrpcProbe | ExecProbe


class ProbeSpec(NamedTuple):
    """What to ask, and how often and how patiently. Seconds, and numbers of results in a row.

    `period_seconds` applies once the model is ready: while it wakes it is asked as fast as it can answer, and
    initialDelaySeconds, which only guesses how long that takes, is not needed.
    """

    probe: Probe
    timeout_seconds: float = 1.0
    period_seconds: float = 10.0
    success_threshold: int = 1
    failure_threshold: int = 3


_KINDS: Final = ("httpGet", "tcpSocket", "grpc", "exec")
_NUMBERS: Final = (
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "initialDelaySeconds",
    "terminationGracePeriodSeconds",
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def default_probe(host: str, port: int) -> ProbeSpec:
    """What KServe adds when the user gives no probe: the model accepts connections."""
    return ProbeSpec(TcpProbe(host, port))


def parse_probe(text: str, host: str, port: int) -> ProbeSpec:
    """Read a readinessProbe in JSON. `host` and `port` are the upstream's. Raises ProbeSpecError."""
    try:
        body: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProbeSpecError(f"the probe is not JSON: {error}") from error
    fields = _object(body, "the probe")
    _known(fields, "", _KINDS + _NUMBERS)
    kinds = [kind for kind in _KINDS if fields.get(kind) is not None]
    if len(kinds) != 1:
        raise ProbeSpecError(f"the probe needs exactly one of {', '.join(_KINDS)}, and has {kinds or 'none'}")
    kind = kinds[0]
    return ProbeSpec(
        probe=_probe(kind, _object(fields[kind], kind), host, port),
        timeout_seconds=_seconds(fields, "timeoutSeconds", 1.0),
        period_seconds=_seconds(fields, "periodSeconds", 10.0),
        success_threshold=_count(fields, "successThreshold", 1),
        failure_threshold=_count(fields, "failureThreshold", 3),
    )


def _probe(kind: str, fields: Mapping[str, object], host: str, port: int) -> Probe:
    if kind == "exec":
        _known(fields, "exec.", ("command",))
        return ExecProbe(_command(fields.get("command")))
    if kind == "grpc":
        _known(fields, "grpc.", ("port", "service"))
        return GrpcProbe(host, _port(fields, kind, port), _text(fields, kind, "service", ""))
    if kind == "tcpSocket":
        _known(fields, "tcpSocket.", ("port", "host"))
        return TcpProbe(_text(fields, kind, "host", host), _port(fields, kind, port))
    _known(fields, "httpGet.", ("path", "port", "host", "scheme", "httpHeaders"))
    scheme = fields.get("scheme") or "HTTP"
    if scheme not in ("HTTP", "HTTPS"):
        raise ProbeSpecError(f"httpGet.scheme must be HTTP or HTTPS, not {scheme!r:.80}")
    return HttpProbe(
        host=_text(fields, kind, "host", host),
        port=_port(fields, kind, port),
        path=_path(_text(fields, kind, "path", "/")),
        headers=_headers(fields.get("httpHeaders") or []),
        tls=scheme == "HTTPS",
    )


def _path(path: str) -> str:
    if not path.isascii() or " " in path:
        raise ProbeSpecError(f"httpGet.path must be printable ASCII without spaces, not {path!r:.80}")
    return path if path.startswith("/") else "/" + path


def _headers(body: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(body, list):
        raise ProbeSpecError(f"httpGet.httpHeaders must be a list, not {body!r:.80}")
    headers = []
    for row in body:
        fields = _object(row, "httpGet.httpHeaders[]")
        name, value = fields.get("name"), fields.get("value", "")
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ProbeSpecError(f"httpGet.httpHeaders[].name must be a header name, not {name!r:.80}")
        if not isinstance(value, str) or _CONTROL.search(value):
            raise ProbeSpecError(f"httpGet.httpHeaders[].value of {name} must be one line of text, not {value!r:.80}")
        headers.append((name, value))
    return tuple(headers)


def _command(body: object) -> tuple[str, ...]:
    if not isinstance(body, list) or not body or not all(isinstance(word, str) and "\0" not in word for word in body):
        raise ProbeSpecError(f"exec.command must be a list of texts that is not empty, not {body!r:.80}")
    return tuple(body)


def _port(fields: Mapping[str, object], kind: str, default: int) -> int:
    value = fields.get("port")
    if value is None:
        return default
    if isinstance(value, str) and value.isdecimal() and len(value) <= 5:
        value = int(value)
    if isinstance(value, str):
        raise ProbeSpecError(f"{kind}.port must be a number here, not the name {value!r:.80} of a container port")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65_535:
        raise ProbeSpecError(f"{kind}.port must be within 1..65535, not {value!r:.80}")
    return value


def _text(fields: Mapping[str, object], kind: str, name: str, default: str) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str) or len(value) > 4_096 or _CONTROL.search(value):
        raise ProbeSpecError(f"{kind}.{name} must be one line of text, not {value!r:.80}")
    return value


def _seconds(fields: Mapping[str, object], name: str, default: float) -> float:
    value = fields.get(name)
    if value is None or value == 0:  # Kubernetes treats 0 as not set
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ProbeSpecError(f"{name} must be a positive number of seconds, not {value!r:.80}")
    return float(value)


def _count(fields: Mapping[str, object], name: str, default: int) -> int:
    value = fields.get(name)
    if value is None or value == 0:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProbeSpecError(f"{name} must be a whole number from 1, not {value!r:.80}")
    return value


def _known(fields: Mapping[str, object], prefix: str, names: tuple[str, ...]) -> None:
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise ProbeSpecError(f"{prefix}{unknown[0]} is not a field of a probe; known are {', '.join(names)}")


def _object(body: object, what: str) -> Mapping[str, object]:
    if not isinstance(body, Mapping):
        raise ProbeSpecError(f"{what} must be an object, not {body!r:.80}")
    return body
