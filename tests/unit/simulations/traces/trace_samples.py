"""Small files of every format, for tests; all of them made up."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from autoscaler.decide.records import ReadingsRecord, StartRecord, record_line
from autoscaler.policy.scaling_policy import ScalingPolicy
from autoscaler.signals.observation import Observation, ReplicaCounts, Sample
from autoscaler.signals.reading import Known, Missing
from simulations.traces.trace import Requests, Trace, concatenated

MINUTES = ",".join(map(str, range(1, 6)))
QUANTILES = ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))


def everything(trace: Trace) -> Requests:
    """All requests of a small trace."""
    return concatenated(list(trace.chunks()))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def write_gzip(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def observation(at: float, samples: tuple[Sample, ...], service_seconds: float | None) -> Observation:
    return Observation(
        at=at,
        samples=samples,
        in_flight=Known(0.0, 0.0),
        held=Known(0.0, 0.0),
        queued=Missing("not asked"),
        engine_running=Missing("no engine"),
        engine_waiting=Missing("no engine"),
        kv_cache_usage=Missing("no engine"),
        replicas=ReplicaCounts(wanted=1, ready=1),
        service_seconds=service_seconds,
        wake_seconds=None,
        activator_confirmed=True,
        ever_ready=True,
    )


def recording() -> str:
    """Three seconds of two services; the second one takes one request back that it had counted twice."""
    lines = [record_line(StartRecord(service, ScalingPolicy())) for service in ("default/chat", "default/iris")]
    chat = observation(1001.0, (Sample(1000, 1.0, 4.0), Sample(1001, 1.0, 0.5)), 0.25)
    more = observation(1003.0, (Sample(1001, 0.0, 1.5), Sample(1002, 1.0, 1.0)), 0.5)
    iris = observation(1003.0, (Sample(1001, 1.0, 3.0), Sample(1002, 1.0, -1.0), Sample(1004, 0.0, 2.0)), None)
    lines += [record_line(ReadingsRecord("default/chat", reading)) for reading in (chat, more)]
    lines.append(record_line(ReadingsRecord("default/iris", iris)))
    return "\n".join(lines) + "\n"


def mooncake(count: int = 5) -> str:
    return "".join(
        json.dumps({"timestamp": 3000 * n, "input_length": 100 + n, "output_length": 7, "hash_ids": [1, 2, n]}) + "\n"
        for n in range(count)
    )


# One file of each format: its name, what is in it, the format, and the arrivals that are known for certain.
SAMPLES: dict[str, tuple[str, str, list[float] | None]] = {
    "plain.csv": ("arrival_s\n0.5\n2\n2\n3.25\n", "requests", [0.5, 2.0, 2.0, 3.25]),
    "own.csv": (
        "arrival_s,service,seconds,input_tokens,output_tokens,requests\n1,a,0.5,10,20,1\n2,b,,,,2\n",
        "requests",
        [1.0, 2.0, 2.0],
    ),
    "models.requests.csv": (
        "arrival_s,model,task,status,exec_s\n10,M0,T,SUCCEED,32.0\n11,M1,T,FAILED,\n12,M1,T,SUCCEED,5\n",
        "requests",
        [10.0, 12.0],
    ),
    "llm2023.csv": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 23:59:59.5000000,374,44\n2023-11-17 00:00:01.2500000,396,109\n",
        "azure-llm",
        [0.0, 1.75],
    ),
    "llm2024.csv": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,2399,6\n",
        "azure-llm",
        [0.0, 0.99007],
    ),
    "burst6.csv": (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,230,1317,API log\n",
        "burstgpt",
        [0.0, 40.0],
    ),
    "burst8.csv": (
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "19440110.0,1722ac82,43,GPT-4,906,446,1352,Conversation log\n19440161.0,d5983bf9,2,ChatGPT,36,29,65,API log\n",
        "burstgpt",
        [0.0, 51.0],
    ),
    "functions2021.csv": (
        "app,func,end_timestamp,duration\na1,f1,12.5,2.5\na1,f2,11.5,0.5\na2,f1,20,5\n",
        "azure-functions-2021",
        [0.0, 1.0, 5.0],
    ),
    "invocations_per_function_md.anon.d01.csv": (
        f"HashOwner,HashApp,HashFunction,Trigger,{MINUTES}\no,a,f,http,0,2,0,0,1\no,a,g,timer,1,0,0,0,0\n",
        "azure-functions-2019",
        None,
    ),
    "some.counts_60s.csv": ("function,0,1,2\nf0,3,0,1\nf1,0,0,0\n", "azure-functions-2019", None),
    "tweets.counts_1s.csv": ("count\n3\n0\n2\n", "counts-1s", None),
    "m.client_rates_600s.csv": (
        "client,bin_start_s,rate_rps,iat_cv,iat_family,shape,scale\n0,1200,0.5,2.0,G,0.25,8\n1,1800,0.2,1.5,W,0.7,1\n",
        "servegen-rates",
        None,
    ),
    "chunk-3-trace.csv": ("0,0.5,2.0,Gamma,0.25,8\n600,0.2,1.5,Weibull,0.7,1\n1200,0.0,,,,\n", "servegen", None),
    "run.jsonl": (recording(), "recording", None),
    "conversation.jsonl": (mooncake(), "mooncake", [0.0, 3.0, 6.0, 9.0, 12.0]),
    "access.log": (
        '10.0.0.1 - - [10/Oct/2023:13:55:36 +0000] "GET /a HTTP/1.1" 200 2326\n'
        '10.0.0.2 - bob [10/Oct/2023:13:55:40 +0000] "POST /b HTTP/1.1" 200 - "-" "curl/8"\n',
        "access-log",
        None,
    ),
    "apache.measured_requests.csv": (
        "send_s,batch,latency_s,output_tokens,status\n3.83,0,0.97,1,ok\n5.04,1,,,failed_or_unfinished\n",
        "measured-requests",
        [3.83, 5.04],
    ),
}


def assert_lawful(trace: Trace) -> int:
    """What every trace keeps; returns the number of requests."""
    last, rows = 0.0, 0
    for chunk in trace.chunks():
        assert 1 <= len(chunk) <= 65_536
        assert {len(chunk.service), len(chunk.input_tokens), len(chunk.output_tokens), len(chunk.seconds)} == {
            len(chunk)
        }
        assert chunk.arrival[0] >= last
        assert bool(np.all(np.diff(chunk.arrival) >= 0))
        assert 0 <= chunk.service.min() <= chunk.service.max() < len(trace.services)
        assert chunk.input_tokens.min() >= -1
        assert chunk.output_tokens.min() >= -1
        assert not bool(np.any(chunk.seconds < 0))
        last, rows = float(chunk.arrival[-1]), rows + len(chunk)
    assert last < trace.span
    assert len(trace.digest) == 64
    return rows
