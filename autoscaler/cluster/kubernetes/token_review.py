"""Who speaks to us: the API server is asked whose token it is.

An activator, and a queue proxy that tells where it is, show the token of their service account, made for us and nobody
else (its audience), which the kubelet renews and which dies with its pod. Answers are remembered for a minute, by a
digest: one that is cut off again and again costs one review a minute. A token made for a pod also names it, and then
speaks for that pod only.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.cluster.interface import NotAuthenticatedError
from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.connection import Requests
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text, texts

AUDIENCE = "pilotlight-controller"

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_REVIEW_SECONDS = 3.0
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """How long answers are believed, in seconds, and what strangers may cost.

    known, unknown  how long a yes and a no are remembered
    remembered      answers; beyond that the oldest is forgotten
    at_once         reviews under way at the same time
    in_line         that wait for one, with those under way; who comes then is told that nobody can tell now
    longest_token   bytes; real ones have about one thousand
    """

    known: float = 60.0
    unknown: float = 10.0
    remembered: int = 1_000
    at_once: int = 8
    in_line: int = 1_000
    longest_token: int = 16_384


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose a token is. `pod` and `pod_uid` name the pod that it was made for, where it was made for one.

    refusal  why it is nobody's: empty when it is somebody's
    """

    user: str = ""
    pod: str = ""
    pod_uid: str = ""
    refusal: str = ""


class TokenReviewer:
    """Knows whose token a header holds."""

    def __init__(
        self, requests: Requests, clock: Callable[[], float], settings: ReviewSettings = ReviewSettings()
    ) -> None:
        self._requests = requests
        self._clock = clock
        self._settings = settings
        self._remembered: OrderedDict[bytes, tuple[float, TokenOwner]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[TokenOwner]] = {}
        self._gate = asyncio.Semaphore(settings.at_once)

    async def owner(self, authorization: str) -> TokenOwner:
        """Whose token this Authorization header holds. Raises NotAuthenticatedError when it is nobody's."""
        token = authorization[len(_BEARER) :].strip()
        if authorization[: len(_BEARER)].lower() != _BEARER or not token:
            raise NotAuthenticatedError(401, "who comes here shows a service account's token: Authorization: Bearer …")
        if len(token) > self._settings.longest_token or not token.isascii():
            raise NotAuthenticatedError(401, "this is no token of a service account")
        owner = await self._owner(token)
        if owner.refusal:
            raise NotAuthenticatedError(403, owner.refusal)
        return owner

    async def _owner(self, token: str) -> TokenOwner:
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        remembered = self._remembered.get(digest)
        if remembered is not None and now < remembered[0]:
            return remembered[1]
        under_way = self._under_way.get(digest)
        if under_way is None:
            if len(self._under_way) >= self._settings.in_line:
                raise NotAuthenticatedError(503, "nobody can tell now whose token this is: too many are asked about")
            under_way = self._under_way[digest] = asyncio.create_task(self._ask(token, digest))
            under_way.add_done_callback(lambda _: self._under_way.pop(digest, None))
        try:
            # Others may wait for the same answer: who asked first and goes away does not take it along.
            return await asyncio.shield(under_way)
        except ApiError as error:
            raise NotAuthenticatedError(503, f"nobody can tell now whose token this is: {error.message}") from error

    async def _ask(self, token: str, digest: bytes) -> TokenOwner:
        body: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        async with self._gate:
            answer = await self._requests.request("POST", _REVIEWS, body=body, within=_REVIEW_SECONDS)
        owner = _owner_of(inner(answer, "status"))
        settings = self._settings
        self._remembered[digest] = (
            self._clock() + (settings.unknown if owner.refusal else settings.known),
            owner,
        )
        self._remembered.move_to_end(digest)
        while len(self._remembered) > settings.remembered:
            self._remembered.popitem(last=False)
        return owner


class ActivatorAuthenticator:
    """Lets in who runs as one service account, `namespace/name`: an Authenticator."""

    def __init__(self, reviewer: TokenReviewer, service_account: str) -> None:
        self._reviewer = reviewer
        self._user = f"system:serviceaccount:{service_account.replace('/', ':')}"

    async def authenticate(self, authorization: str, activator: str) -> None:
        """Raises NotAuthenticatedError unless this is that activator's own Authorization header."""
        owner = await self._reviewer.owner(authorization)
        if owner.user != self._user:
            raise NotAuthenticatedError(403, f"{owner.user:.200} is not {self._user}")
        if owner.pod and owner.pod != activator:
            raise NotAuthenticatedError(403, f"the token is pod {owner.pod}'s, which is not activator {activator:.80}")


def _owner_of(status: JsonObject) -> TokenOwner:
    user = inner(status, "user")
    if status.get("authenticated") is not True:
        return TokenOwner(refusal="the API server does not know this token")
    if AUDIENCE not in texts(status, "audiences"):
        # An API server that knows no audiences leaves them out: then the token may be anybody's for anything.
        return TokenOwner(refusal=f"the token was not made for {AUDIENCE}")
    extra = inner(user, "extra")
    pods, uids = texts(extra, _POD_NAME), texts(extra, _POD_UID)
    return TokenOwner(text(user, "username"), pods[0] if pods else "", uids[0] if uids else "")
