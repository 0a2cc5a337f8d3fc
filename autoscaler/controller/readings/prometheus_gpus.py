"""What GPUs do, asked of Prometheus: one query for each quantity, for the devices of all services at once.

The client library is synchronous, so it asks in a thread of its own; a Prometheus that does not answer costs that
thread and nothing else. What comes back is bounded in time and size, because it is held whole in memory.

An instant query would stamp each value with the time of the query. So ranges are asked for: they come with the time
at which each value was scraped, and an exporter that died a minute ago is seen to have died.
"""

from __future__ import annotations

import io
import re
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from autoscaler.cluster.interface import GpuMetricsError
from autoscaler.cluster.side_thread import SideThread, StillAskingError
from autoscaler.controller.settings import PrometheusAddress
from autoscaler.signals.gpu import PodGpus, by_pod
from autoscaler.signals.gpu_series import OF_MEMORY, GpuSample, GpuTable, Quantity, read_samples

_RANGE = "2m"
_LONGEST_MESSAGE = 200
_LARGEST_TOKEN = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")


class PrometheusGpus:
    """A GpuSource. `seconds` bounds all queries of one reading together, `largest_answer` each answer, in bytes."""

    def __init__(
        self,
        address: PrometheusAddress,
        *,
        seconds: float = 8.0,
        largest_answer: int = 64 * 2**20,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = address
        self._seconds = seconds
        self._largest = largest_answer
        self._wall_clock = wall_clock
        self._table = GpuTable(address.prefix)
        self._queries = [_query(self._table.names(Quantity.UTILIZATION)), _query(self._table.names(*OF_MEMORY))]
        self._thread = SideThread[Mapping[str, PodGpus]]("ask Prometheus")

    async def pod_gpus(self, clock: Callable[[], float]) -> Mapping[str, PodGpus]:
        """See GpuSource."""
        try:
            return await self._thread.ask(lambda: self._ask(clock), self._seconds + 1.0)
        except TimeoutError:
            raise GpuMetricsError(f"{self._address.url} did not answer in time") from None
        except StillAskingError:
            raise GpuMetricsError(f"{self._address.url} has not answered the query before") from None

    def _ask(self, clock: Callable[[], float]) -> Mapping[str, PodGpus]:
        """In the thread. Raises GpuMetricsError, whose message never holds the token."""
        url, token = self._address.url, _token(self._address.token_file)
        with _BoundedSession(time.monotonic() + self._seconds, self._largest) as session:
            session.verify = True if self._address.ca_file is None else str(self._address.ca_file)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            try:
                # Nothing is tried again here: the next reading is.
                prometheus = PrometheusConnect(url, headers=headers, session=session, retry=Retry(0, read=False))
                to_our_clock = clock() - self._wall_clock()
                samples: list[GpuSample] = []
                for query in self._queries:
                    result: object = prometheus.custom_query(query)
                    samples += read_samples(self._table, result, to_our_clock)
            except GpuMetricsError as error:
                text = str(error).replace(token, "***") if token else str(error)
                raise GpuMetricsError(f"{url} {text}") from None
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise GpuMetricsError(f"{url} answered what is not Prometheus' ({type(error).__name__})") from None
            return by_pod(samples)


def _query(names: tuple[str, ...]) -> str:
    """Names that are written out are looked up; a pattern would be held against every name that Prometheus has."""
    return f'{{__name__=~"{"|".join(names)}"}}[{_RANGE}]'


def _token(path: Path | None) -> str:
    """Raises GpuMetricsError, which names the file and never what is in it."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            token = file.read(_LARGEST_TOKEN + 1).decode("ascii").strip()
    except OSError as error:
        raise GpuMetricsError(f"the token file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        token = ""
    if len(token) > _LARGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise GpuMetricsError(f"the token file {path} does not hold one token")
    return token


class _BoundedSession(requests.Session):
    """Requests that end at `deadline` (monotonic) and never read more than `largest` bytes, unpacked.

    It follows no redirect, which could lead the token elsewhere, and takes nothing from the environment: neither a
    proxy nor, from a .netrc, another Authorization.
    """

    def __init__(self, deadline: float, largest: int) -> None:
        super().__init__()
        self.trust_env = False
        self._deadline = deadline
        self._largest = largest

    def request(  # type: ignore[override]  # the library calls it with names
        self, method: str, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], **_: object
    ) -> requests.Response:
        """Ask, and read the answer to its end. Raises GpuMetricsError, also for any status but 200."""
        try:
            answer = super().request(
                method,
                url,
                params=params,
                headers=headers,
                timeout=self._left(),
                allow_redirects=False,
                stream=True,
                verify=self.verify,
            )
            with answer:
                body = self._body(answer)
        except (requests.Timeout, TimeoutError) as error:
            raise GpuMetricsError("did not answer in time") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise GpuMetricsError(f"cannot be asked: {_innermost(error)}") from error
        if answer.status_code != 200:
            raise GpuMetricsError(f"answered {answer.status_code}{_said(body)}")
        whole = requests.Response()
        whole.status_code = answer.status_code
        whole.encoding = "utf-8"
        whole.raw = io.BytesIO(body)
        return whole

    def _body(self, answer: requests.Response) -> bytes:
        """Piece by piece as it comes: who sends a byte a second must not hold us up for ever."""
        body = bytearray()
        while piece := answer.raw.read1(64 * 1024, decode_content=True):
            body += piece
            if len(body) > self._largest:
                raise GpuMetricsError(f"answered more than {self._largest} bytes")
            self._left()
        return bytes(body)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        return left


def _said(body: bytes) -> str:
    """What Prometheus says is wrong, as far as it is text that a log can take."""
    try:
        found = re.search(r'"error": ?"((?:[^"\\]|\\.)*)"', body[:10_000].decode())
    except UnicodeDecodeError:
        return ""
    text = "".join(sign for sign in found[1] if sign.isprintable())[:_LONGEST_MESSAGE] if found else ""
    return f": {text}" if text else ""


def _innermost(error: BaseException) -> str:
    """The cause, without the layers that repeat the whole query and the addresses of objects."""
    seen: set[int] = set()
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
