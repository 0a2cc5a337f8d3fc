"""The API server's side of token reviews: tokens, and what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from autoscaler.cluster.kubernetes.api_error import ApiError
from autoscaler.cluster.kubernetes.json_object import JsonObject, inner, text

USER = "system:serviceaccount:pilotlight-system:pilotlight-activator"


def status(
    user: str = USER, audiences: object = ("pilotlight-controller",), pod: str = "", uid: str = "", known: object = True
) -> JsonObject:
    """What a review says of a token."""
    named = {"authentication.kubernetes.io/pod-name": pod, "authentication.kubernetes.io/pod-uid": uid}
    extra = {name: [value] for name, value in named.items() if value}
    listed = list(audiences) if isinstance(audiences, tuple) else audiences
    return {"authenticated": known, "audiences": listed, "user": {"username": user, "extra": extra}}


class Reviews:
    """Answers reviews after a tenth of a second."""

    def __init__(self, known: Mapping[str, JsonObject]) -> None:
        self.known = dict(known)
        self.asked: list[str] = []
        self.most_at_once = 0
        self.fails = False
        self._under_way = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        within: float = 5.0,
    ) -> JsonObject:
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
        assert body is not None
        assert inner(body, "spec")["audiences"] == ["pilotlight-controller"]
        token = text(inner(body, "spec"), "token")
        self.asked.append(token)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        await asyncio.sleep(0.1)
        self._under_way -= 1
        if self.fails:
            raise ApiError(0, "Timeout", "no answer")
        return {"status": self.known.get(token, {"error": "no such token"})}
