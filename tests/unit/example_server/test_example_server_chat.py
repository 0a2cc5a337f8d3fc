"""The example server's OpenAI API: whole and streamed answers say the same, and count their tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from aiohttp.test_utils import TestClient, TestServer

from pilotlight.example_server.engine import Engine
from pilotlight.example_server.options import Options
from pilotlight.example_server.server import build_application

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "light the burner"}]}


def chat_client() -> TestClient:  # type: ignore[type-arg]
    engine = Engine(Options(model="chat"), clock=lambda: 100.0)
    engine.loaded = True
    return TestClient(TestServer(build_application(engine)))


async def events_of(client: TestClient, body: Mapping[str, object]) -> list[str]:  # type: ignore[type-arg]
    answer = await client.post("/v1/chat/completions", json={**body, "stream": True})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    return [event.removeprefix("data: ") for event in (await answer.text()).split("\n\n") if event]


async def test_a_whole_answer_repeats_the_message_and_counts_its_tokens() -> None:
    async with chat_client() as client:
        body = await (await client.post("/v1/chat/completions", json=CHAT)).json()
    message = body["choices"][0]["message"]["content"]
    assert message.endswith("light the burner")
    assert "example server, not a model" in message
    assert body["choices"][0]["finish_reason"] == "stop"
    said = len(message.split())
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": said, "total_tokens": said + 3}


async def test_a_stream_says_the_same_as_a_whole_answer_and_ends_with_done() -> None:
    async with chat_client() as client:
        whole = await (await client.post("/v1/chat/completions", json=CHAT)).json()
        events = await events_of(client, {**CHAT, "stream_options": {"include_usage": True}})
    assert events[-1] == "[DONE]"
    *chunks, finish, usage = [json.loads(event) for event in events[:-1]]
    assert (
        "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
        == (whole["choices"][0]["message"]["content"])
    )
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_usage_is_streamed_only_when_asked_for() -> None:
    async with chat_client() as client:
        events = await events_of(client, CHAT)
    assert not any("usage" in event for event in events)


@pytest.mark.parametrize(
    ("bounds", "tokens", "reason"),
    [
        ({"max_tokens": 3}, 3, "length"),
        ({"max_completion_tokens": 4, "max_tokens": 9}, 4, "length"),
        ({"min_tokens": 50}, 50, "stop"),
        ({"min_tokens": 50, "max_tokens": 20}, 20, "length"),
    ],
)
async def test_token_bounds_are_kept(bounds: dict[str, int], tokens: int, reason: str) -> None:
    async with chat_client() as client:
        body = await (await client.post("/v1/chat/completions", json={**CHAT, **bounds})).json()
    assert body["usage"]["completion_tokens"] == tokens
    assert body["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "other"}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "message"),
        ({"messages": [{"role": "user"}]}, "content"),
        ({"messages": [{"role": "cook", "content": "x"}]}, "role"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": [1]}, "stream_options"),
    ],
)
async def test_wrong_fields_get_400_in_openais_form(change: dict[str, object], named: str) -> None:
    async with chat_client() as client:
        answer = await client.post("/v1/chat/completions", json={**CHAT, **change})
        body = await answer.json()
    assert answer.status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert named in body["error"]["message"]


async def test_the_list_of_models_has_the_one_that_is_served() -> None:
    async with chat_client() as client:
        listed = await (await client.get("/v1/models")).json()
        one = await client.get("/v1/models/chat")
        none = await client.get("/v1/models/other")
        assert [model["id"] for model in listed["data"]] == ["chat"]
        assert (one.status, none.status) == (200, 404)
