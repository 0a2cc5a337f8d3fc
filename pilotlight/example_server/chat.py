"""What the pretended chat model says: words, deterministic, and honest about what they are worth."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from pilotlight.example_server.replies import BadRequestError

_PREFACE = "I am an example server, not a model, and can only repeat what you wrote:"
_MOST_TOKENS = 32_768
_MOST_MESSAGES = 1_024


@dataclass(frozen=True, slots=True)
class Chat:
    """One checked chat request. `most_tokens` is None when the client set no bound."""

    last_message: str
    prompt_tokens: int
    stream: bool
    include_usage: bool
    least_tokens: int
    most_tokens: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The words to say, one token each, with the spaces between them; and OpenAI's finish_reason."""

    tokens: tuple[str, ...]
    finish_reason: str

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.tokens)


def reply_to(chat: Chat) -> Reply:
    """The preface and the client's own words, over again until `least_tokens`, cut at `most_tokens`."""
    words = [*_PREFACE.split(), *chat.last_message.split()]
    wanted = max(len(words), chat.least_tokens)
    length = wanted if chat.most_tokens is None else min(wanted, chat.most_tokens)
    said = itertools.islice(itertools.cycle(words), length)
    tokens = tuple(word if index == 0 else f" {word}" for index, word in enumerate(said))
    return Reply(tokens=tokens, finish_reason="length" if length < wanted else "stop")


def read_chat(body: dict[str, object], model: str) -> Chat:
    """The fields of a chat completion request that this server knows. Raises BadRequestError naming the field."""
    if body.get("model") != model:
        raise BadRequestError(f"`model` must be {model!r}, not {body.get('model')!r:.80}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= _MOST_MESSAGES:
        raise BadRequestError(f"`messages` must be a list of 1 to {_MOST_MESSAGES} messages")
    texts = [_text(message) for message in messages]
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadRequestError("`stream_options` must be an object")
    most = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    return Chat(
        last_message=texts[-1],
        prompt_tokens=sum(len(text.split()) for text in texts),
        stream=_flag(body, "stream"),
        include_usage=_flag(options, "include_usage"),
        least_tokens=_tokens(body, "min_tokens") or 0,
        most_tokens=_tokens(body, most),
    )


def _text(message: object) -> str:
    if not isinstance(message, dict) or message.get("role") not in {"system", "developer", "user", "assistant", "tool"}:
        raise BadRequestError("each message must be an object with a `role` of system, user, assistant or tool")
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return " ".join(str(part["text"]) for part in content if isinstance(part.get("text"), str))
    raise BadRequestError("each message needs a `content`: a text, or a list of parts")


def _flag(body: dict[str, object], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"`{name}` must be true or false, not {value!r:.40}")
    return value is True


def _tokens(body: dict[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_TOKENS:
        raise BadRequestError(f"`{name}` must be a whole number between 1 and {_MOST_TOKENS}, not {value!r:.40}")
    return value
