"""The demo's clients: a process of its own that sends requests, checks every answer, and writes down what came back.

One JSON line on standard output for each request, when it has ended. An answer is checked for what it says, not only
for its status: a scrambled, cut or misdirected one is as lost as none.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import aiohttp
import uvloop

from pilotlight.example_server.chat import read_chat, reply_to
from pilotlight.example_server.classifier import classify


@dataclass(frozen=True, slots=True)
class Burst:
    """`at_once` requests at `start` seconds after the beginning, then `per_second` (Poisson) for `seconds`."""

    service: str
    url: str
    model: str
    protocol: str
    start: float
    at_once: int
    per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one request. Times are seconds since 1970; `problem` is None when the answer was right.

    added  what the answer says passed between its replica's first readiness answer and its first request
    """

    service: str
    sent_at: float
    first_byte_at: float | None
    ended_at: float
    status: int | None
    problem: str | None
    replica: str | None
    added: float | None


class WrongAnswerError(Exception):
    """An answer with status 200 that does not say what it must."""


async def run_bursts(bursts: list[Burst], seed: int) -> None:
    """Send everything; returns when the last request has ended, having said how many were sent."""
    # No pool and no limit: each request has a connection of its own, so that none waits here for another.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        began = asyncio.get_running_loop().time()
        sources = (_burst(session, burst, began, random.Random(f"{seed}/{n}")) for n, burst in enumerate(bursts))  # noqa: S311
        print(json.dumps({"sent": sum(await asyncio.gather(*sources))}), flush=True)


async def _burst(session: aiohttp.ClientSession, burst: Burst, began: float, dice: random.Random) -> int:
    loop = asyncio.get_running_loop()
    moments = [burst.start] * burst.at_once
    moment = burst.start
    while burst.per_second and (moment := moment + dice.expovariate(burst.per_second)) < burst.start + burst.seconds:
        moments.append(moment)
    tasks = []
    for number, due in enumerate(moments):
        if (pause := began + due - loop.time()) > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(_request(session, burst, f"{burst.service}-{burst.start:g}-{number}", dice)))
    await asyncio.gather(*tasks)
    return len(tasks)


async def _request(session: aiohttp.ClientSession, burst: Burst, name: str, dice: random.Random) -> None:
    sent_at = time.time()
    status: int | None = None
    first_byte_at: float | None = None
    headers: Mapping[str, str] = {}
    path, body = _question(burst, name, dice)
    try:
        async with session.post(burst.url + path, json=body) as answer:
            status, headers = answer.status, answer.headers
            first_byte_at = time.time()
            raw = await answer.read()
        problem = None if status == 200 else f"status {status}: {raw[:120].decode(errors='replace')}"
        if problem is None:
            check_answer(burst, body, raw)
    except WrongAnswerError as error:
        problem = f"wrong answer: {error}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        problem = f"no answer: {type(error).__name__} {error}"
    added = headers.get("Example-Ready-To-Request-Seconds")
    ended = Ended(
        service=burst.service,
        sent_at=sent_at,
        first_byte_at=first_byte_at,
        ended_at=time.time(),
        status=status,
        problem=problem,
        replica=headers.get("Example-Replica"),
        added=None if added is None else float(added),
    )
    print(json.dumps(asdict(ended)), flush=True)


def _question(burst: Burst, name: str, dice: random.Random) -> tuple[str, dict[str, object]]:
    if burst.protocol == "openai":
        words = f"please answer {name} " + " ".join(str(dice.randrange(100)) for _ in range(6))
        messages = [{"role": "user", "content": words}]
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        return "/v1/chat/completions", {"model": burst.model, "messages": messages, **stream}
    rows = [[round(dice.uniform(-8, 8), 3) for _ in range(4)] for _ in range(2)]
    tensor = {"name": "input", "datatype": "FP32", "shape": [2, 4], "data": rows}
    return f"/v2/models/{burst.model}/infer", {"id": name, "inputs": [tensor]}


def check_answer(burst: Burst, question: dict[str, object], raw: bytes) -> None:
    """Compare an answer with what the question asks for. Raises WrongAnswerError."""
    try:
        if burst.protocol == "openai":
            _check_chat(burst.model, question, raw)
        else:
            _check_inference(question, json.loads(raw))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise WrongAnswerError(f"{type(error).__name__} {error} in {raw[-120:]!r}") from error


def _check_inference(question: dict[str, object], answer: dict[str, object]) -> None:
    inputs, outputs = question["inputs"], answer["outputs"]
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise WrongAnswerError("no outputs")
    expected = classify(inputs[0]["data"])
    if answer["id"] != question["id"]:
        raise WrongAnswerError(f"id {answer['id']!r} where {question['id']!r} was asked")
    if outputs[1]["data"] != list(expected.labels) or outputs[0]["data"] != [s for row in expected.scores for s in row]:
        raise WrongAnswerError("other numbers than the weights give")


def _check_chat(model: str, question: dict[str, object], raw: bytes) -> None:
    *events, done, end = raw.decode().split("\n\n")
    if (done, end) != ("data: [DONE]", ""):
        raise WrongAnswerError("the stream does not end with [DONE]")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    expected = reply_to(read_chat(question, model))
    if text != expected.text or chunks[-1]["usage"]["completion_tokens"] != len(expected.tokens):
        raise WrongAnswerError(f"said {text!r:.80}")


def main() -> int:
    """Reads `{"seed": N, "bursts": [...]}` from standard input and runs it."""
    plan = json.load(sys.stdin)
    uvloop.run(run_bursts([Burst(**burst) for burst in plan["bursts"]], int(plan["seed"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
