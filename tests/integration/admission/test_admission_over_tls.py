"""The webhook over real TLS: reviews as the API server sends them, and everything that nobody should send."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from admission.cluster import SecretContent
from admission.keeper import Keeper
from admission.rotation import Lifetimes
from admission.server import MOST_BYTES, webhook_application
from admission.webhooks import Surroundings

NAME = "pilotlight-webhook.pilotlight-system.svc"
UNTIL_RENEWED = Lifetimes().serving - Lifetimes().serving_left
ISVC = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "chat", "namespace": "team", "annotations": {"pilotlight.dev/scaling": "on"}},
    "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "m"}]}},
}


@dataclass
class Api:
    """What the API server keeps for the webhook."""

    data: Mapping[str, bytes] = field(default_factory=dict)
    bundle: bytes = b""
    broken: bool = False

    async def read_secret(self) -> SecretContent:
        return SecretContent(self.data, "1")

    async def write_secret(self, data: Mapping[str, bytes], version: str) -> bool:
        self.data = data
        return True

    async def tell_authorities(self, bundle: bytes) -> None:
        self.bundle = bundle

    async def surroundings(self, namespace: str, *, runtimes: bool) -> Surroundings:
        if self.broken:
            raise RuntimeError("a bug")
        return Surroundings()


@dataclass
class Webhook:
    """One that serves; `now` is its clock."""

    api: Api
    keeper: Keeper
    port: int = 0
    now: float = 1_800_000_000.0

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Verifies as the API server does: by the bundle in the configuration, and by the Service's name."""
        context = ssl.create_default_context(cadata=self.api.bundle.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connector = aiohttp.TCPConnector(ssl=context, force_close=True)
        async with aiohttp.ClientSession(f"https://127.0.0.1:{self.port}", connector=connector) as session:
            yield session

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        async with self.client() as session, session.post(path, data=io.BytesIO(body), server_hostname=NAME) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    api = Api()
    served = Webhook(api, Keeper(api, (NAME,), Lifetimes(), lambda: served.now))
    served.now = time.time() - UNTIL_RENEWED  # so that its first renewal is due just now
    await served.keeper.look()
    runner = web.AppRunner(webhook_application(api, "pilotlight:1", lambda: served.keeper.ready), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=served.keeper.context)
    await site.start()
    served.port = runner.addresses[0][1]
    yield served
    await runner.cleanup()


def review(body: object, **request: object) -> bytes:
    asked = {"uid": "u-1", "operation": "CREATE", "kind": {"kind": "InferenceService"}, "object": body, **request}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}).encode()


async def test_a_review_is_answered_with_a_patch(webhook: Webhook) -> None:
    status, body = await webhook.post("/mutate", review(ISVC))
    response = json.loads(body)["response"]
    assert (status, response["uid"], response["allowed"], response["patchType"]) == (200, "u-1", True, "JSONPatch")


async def test_a_mistake_is_denied(webhook: Webhook) -> None:
    bad = json.loads(json.dumps(ISVC))
    bad["metadata"]["annotations"]["pilotlight.dev/target"] = "many"
    status, body = await webhook.post("/validate", review(bad))
    assert status == 200
    assert json.loads(body)["response"]["allowed"] is False
    assert "pilotlight.dev/target" in json.loads(body)["response"]["status"]["message"]


async def test_a_client_that_expects_another_name_is_not_served(webhook: Webhook) -> None:
    async with webhook.client() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.post("/mutate", data=b"{}", server_hostname="other.svc")


async def test_whoever_learned_the_authorities_before_a_rotation_verifies_after_it(webhook: Webhook) -> None:
    before = webhook.api.bundle
    first = webhook.api.data["tls.crt"]
    webhook.now += UNTIL_RENEWED + 1
    await webhook.keeper.look()
    assert webhook.api.bundle == before
    assert webhook.api.data["tls.crt"] != first
    assert (await webhook.post("/validate", review(ISVC)))[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 1_000_000, 400),
        (review(ISVC, uid=None), 400),
        (b'"' + b"a" * MOST_BYTES, 413),
        (review({"a": "x" * 3_000_000}), 200),
        (review("DEEP").replace(b'"DEEP"', b"[" * 600 + b"]" * 600), 200),
    ],
    ids=["empty", "half", "deep", "no uid", "huge", "large", "nested"],
)
@pytest.mark.parametrize("path", ["/mutate", "/validate"])
async def test_hostile_bodies_are_answered(webhook: Webhook, path: str, body: bytes, status: int) -> None:
    answered, text = await webhook.post(path, body)
    assert answered == status
    assert b"Traceback" not in text
    assert (await webhook.post("/validate", review(ISVC)))[0] == 200


async def test_a_bug_of_ours_lets_everything_pass(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    webhook.api.broken = True
    for path in ("/mutate", "/validate"):
        response = json.loads((await webhook.post(path, review(ISVC)))[1])["response"]
        assert response["allowed"] is True
        assert "RuntimeError" in response["warnings"][0]


async def test_many_reviews_at_once_are_all_answered(webhook: Webhook) -> None:
    answers = await asyncio.gather(*(webhook.post("/mutate", review(ISVC, uid=f"u{n}")) for n in range(50)))
    assert [json.loads(body)["response"]["uid"] for _, body in answers] == [f"u{n}" for n in range(50)]


async def test_kubelet_sees_whether_it_is_ready(webhook: Webhook) -> None:
    async with webhook.client() as session:
        for path in ("/healthz", "/readyz"):
            assert (await session.get(path, server_hostname=NAME)).status == 200
        assert (await session.get("/mutate", server_hostname=NAME)).status == 405
