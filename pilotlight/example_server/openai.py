"""OpenAI's chat completions, whole or streamed as server-sent events, with one model that only repeats."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from pilotlight.example_server.chat import Chat, Reply, read_chat, reply_to
from pilotlight.example_server.engine import Engine, PretendedFailureError
from pilotlight.example_server.replies import ENGINE, EXAMPLE, BadRequestError, read_object, whoami


def add_routes(router: web.UrlDispatcher) -> None:
    """Declare OpenAI's paths, and vLLM's `/health`."""
    router.add_get("/health", _health)
    router.add_get("/v1/models", _models)
    router.add_get("/v1/models/{model}", _model)
    router.add_post("/v1/chat/completions", _complete)


async def _health(request: web.Request) -> web.Response:
    engine = request.app[ENGINE]
    if engine.ready:
        engine.ready_answered()
    return web.Response(status=200 if engine.ready else 503)


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [_card(request.app[ENGINE])]})


async def _model(request: web.Request) -> web.Response:
    engine = request.app[ENGINE]
    asked = request.match_info["model"]
    if asked != engine.options.model:
        return _error(404, f"no model {asked!r:.80}; this server has {engine.options.model!r}")
    return web.json_response(_card(engine))


def _card(engine: Engine) -> dict[str, object]:
    return {"id": engine.options.model, "object": "model", "created": 0, "owned_by": "pilotlight", "note": EXAMPLE}


async def _complete(request: web.Request) -> web.StreamResponse:
    engine = request.app[ENGINE]
    engine.request_arrived()
    try:
        chat = read_chat(await read_object(request), engine.options.model)
    except BadRequestError as error:
        return _error(400, str(error))
    if not engine.loaded:
        return _error(503, "the example server is still loading")
    reply = reply_to(chat)
    try:
        async with engine.work(chat.prompt_tokens + len(reply.tokens)):
            await engine.serve()
            if chat.stream:
                return await _stream(request, engine, chat, reply)
            for _ in reply.tokens[1:]:
                await engine.next_token()
            engine.counts.generated_tokens += len(reply.tokens)
    except PretendedFailureError as error:
        return _error(500, str(error), whoami(engine))
    return web.json_response(_whole(engine, chat, reply), headers=whoami(engine))


def _whole(engine: Engine, chat: Chat, reply: Reply) -> dict[str, object]:
    message = {"role": "assistant", "content": reply.text}
    return {
        **_Head(engine.options.model).fields("chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        "usage": _usage(chat, reply),
    }


async def _stream(request: web.Request, engine: Engine, chat: Chat, reply: Reply) -> web.StreamResponse:
    """One event per token. A failure after the first byte ends the connection; nothing is appended to a 200."""
    response = web.StreamResponse(
        headers={**whoami(engine), "Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    head = _Head(engine.options.model)
    for index, token in enumerate(reply.tokens):
        if index:
            await engine.next_token()
        delta = {"content": token} if index else {"role": "assistant", "content": token}
        await response.write(head.chunk([{"index": 0, "delta": delta, "finish_reason": None}]))
        engine.counts.generated_tokens += 1
    await response.write(head.chunk([{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]))
    if chat.include_usage:
        await response.write(head.chunk([], usage=_usage(chat, reply)))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


@dataclass(frozen=True, slots=True)
class _Head:
    """What every chunk of one answer repeats."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def chunk(self, choices: list[dict[str, object]], **more: object) -> bytes:
        body = {**self.fields("chat.completion.chunk"), "choices": choices, **more}
        return b"data: " + json.dumps(body).encode() + b"\n\n"


def _usage(chat: Chat, reply: Reply) -> dict[str, int]:
    said = len(reply.tokens)
    return {
        "prompt_tokens": chat.prompt_tokens,
        "completion_tokens": said,
        "total_tokens": chat.prompt_tokens + said,
    }


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)
