"""Who may connect as an activator: the API server is asked whose token it is.

An activator shows the token of its service account, made for us and nobody else (its audience), which the kubelet
renews and which dies with its pod. Answers are remembered for a minute, by a digest: activators that all dial a new
leader at once are known from when they last did only to themselves, but one that is cut off again and again costs one
review a minute. A token made for a pod also names it, and then speaks for that activator only.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.cluster.kubernetes.connection import ApiError, Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text, texts

AUDIENCE = "pilotlight-controller"

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_REVIEW_SECONDS = 3.0
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """How long answers are believed, in seconds, and what strangers may cost.

    known, unknown  how long a yes and a no are remembered
    remembered      answers; beyond that the oldest is forgotten
    at_once         reviews under way at the same time
    longest_token   bytes; real ones have about one thousand
    """

    known: float = 60.0
    unknown: float = 10.0
    remembered: int = 1_000
    at_once: int = 8
    longest_token: int = 16_384


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API server said of a token: `refusal` is empty for our activators' own. `pod` that it was made for."""

    refusal: str
    pod: str = ""


class TokenReviewer:
    """Lets in who runs as one service account, `namespace/name`."""

    def __init__(
        self,
        requests: Requests,
        service_account: str,
        clock: Callable[[], float],
        settings: ReviewSettings = ReviewSettings(),
    ) -> None:
        self._requests = requests
        self._user = f"system:serviceaccount:{service_account.replace('/', ':')}"
        self._clock = clock
        self._settings = settings
        self._remembered: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Verdict]] = {}
        self._gate = asyncio.Semaphore(settings.at_once)

    async def authenticate(self, authorization: str, activator: str) -> None:
        """Raises NotAuthenticatedError unless this is that activator's own Authorization header."""
        token = authorization[len(_BEARER) :].strip()
        if authorization[: len(_BEARER)].lower() != _BEARER or not token:
            raise NotAuthenticatedError(401, "an activator shows its service account's token: Authorization: Bearer …")
        if len(token) > self._settings.longest_token or not token.isascii():
            raise NotAuthenticatedError(401, "this is no token of a service account")
        verdict = await self._verdict(token)
        if verdict.refusal:
            raise NotAuthenticatedError(403, verdict.refusal)
        if verdict.pod and verdict.pod != activator:
            raise NotAuthenticatedError(
                403, f"the token is pod {verdict.pod}'s, which is not activator {activator:.80}"
            )

    async def _verdict(self, token: str) -> Verdict:
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        remembered = self._remembered.get(digest)
        if remembered is not None and now < remembered[0]:
            return remembered[1]
        under_way = self._under_way.get(digest)
        if under_way is None:
            under_way = self._under_way[digest] = asyncio.create_task(self._ask(token, digest))
            under_way.add_done_callback(lambda _: self._under_way.pop(digest, None))
        try:
            # Others may wait for the same answer: who asked first and goes away does not take it along.
            return await asyncio.shield(under_way)
        except ApiError as error:
            raise NotAuthenticatedError(503, f"nobody can tell now whose token this is: {error.message}") from error

    async def _ask(self, token: str, digest: bytes) -> Verdict:
        body: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        async with self._gate:
            answer = await self._requests.request("POST", _REVIEWS, body=body, within=_REVIEW_SECONDS)
        verdict = self._judge(inner(answer, "status"))
        settings = self._settings
        self._remembered[digest] = (
            self._clock() + (settings.unknown if verdict.refusal else settings.known),
            verdict,
        )
        self._remembered.move_to_end(digest)
        while len(self._remembered) > settings.remembered:
            self._remembered.popitem(last=False)
        return verdict

    def _judge(self, status: JsonObject) -> Verdict:
        user = inner(status, "user")
        name = text(user, "username")
        if status.get("authenticated") is not True:
            return Verdict("the API server does not know this token")
        if AUDIENCE not in texts(status, "audiences"):
            # An API server that knows no audiences leaves them out: then the token may be anybody's for anything.
            return Verdict(f"the token was not made for {AUDIENCE}")
        if name != self._user:
            return Verdict(f"{name:.200} is not {self._user}")
        pods = texts(inner(user, "extra"), _POD_NAME)
        return Verdict("", pods[0] if pods else "")
