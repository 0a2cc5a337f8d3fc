"""wrk, the closed-loop load generator: its scripts, and what it says, read without loss."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dataplane.loads import BODY_BYTES, LARGE_BYTES, Script
from benchmarks.dataplane.processes import SetupError, said_by, tool

_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}\\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""

# 14 headers as an ingress sends them. Ids differ from request to request, as they do in life: 997 of them, a prime,
# so that no connection sees the same one again soon.
_HEADS = """
local heads = {}
local at = 0
init = function(args)
  for n = 1, 997 do
    heads[n] = wrk.format("GET", nil, {
      ["Host"] = "example.default.svc.cluster.local",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36",
      ["Accept"] = "application/json, text/plain, */*",
      ["Accept-Encoding"] = "gzip, deflate, br",
      ["Accept-Language"] = "en-GB,en;q=0.9",
      ["X-Forwarded-For"] = "10.4.2." .. (n % 250),
      ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-Host"] = "models.example.com",
      ["X-Envoy-Expected-Rq-Timeout-Ms"] = "15000",
      ["X-Request-Id"] = string.format("0f6a1c1e-6b1d-4d0a-9a53-%012d", n * 7919),
      ["Traceparent"] = string.format("00-%032x-%016x-01", n * 7919, n * 104729),
      ["Authorization"] = string.format("Bearer eyJhbGciOiJFUzI1NiJ9.%044d", n),
      ["Cache-Control"] = "no-cache",
      ["X-Tenant"] = "research"
    })
  end
end
request = function()
  at = at % 997 + 1
  return heads[at]
end
"""

_SCRIPTS = {
    Script.PLAIN: "",
    Script.HEADS: _HEADS,
    Script.BODIES: f'wrk.method = "POST"\nwrk.body = string.rep("x", {BODY_BYTES})\n',
    Script.CLOSE: 'wrk.headers["Connection"] = "close"\n',
    Script.UPLOAD: f'wrk.method = "POST"\nwrk.body = string.rep("x", {LARGE_BYTES})\n',
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load saw. `refused`: answers from 400 upwards; `broken`: connections that failed, answers that stayed out.

    `requests` counts every answer, refused ones too.
    """

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float


def parse(output: str) -> Loaded:
    """The line that our scripts make wrk print. Raises SetupError when there is none."""
    for line in reversed(output.splitlines()):
        if line.startswith('{"requests"'):
            return Loaded(**json.loads(line))
    raise SetupError(f"wrk did not say what it has seen: {output[-500:]}")


def script(kind: Script, folder: Path) -> Path:
    """The Lua file for it, written into `folder`."""
    file = folder / f"{kind.value}.lua"
    file.write_text(_SCRIPTS[kind] + _DONE)
    return file


def load(core: int, port: int, path: str, connections: int, seconds: int, lua: Path) -> Loaded:
    """Load for this many seconds from one thread on `core`. Raises SetupError when wrk fails."""
    command = (tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s")
    return parse(said_by(core, (*command, "-s", str(lua), f"http://127.0.0.1:{port}{path}"), seconds))
