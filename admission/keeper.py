"""Keeper: keeps the certificate that is served, the Secret and the webhook configurations in step.

Every replica does the same: look at the Secret, write what is due, serve by what stands there, tell the API server. Two
that write at once differ by the Secret's version, and the one that came second reads again. New connections get a new
certificate at once; nothing restarts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from admission.cluster import SecretContent
from admission.rotation import Held, Lifetimes, held_in, next_held
from autoscaler.cluster.kubernetes.api_error import ApiError

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0
_AGAIN_SECONDS = 1.0


class CertificateStore(Protocol):
    """Where certificates are kept, and who is told of them; `admission.cluster.WebhookCluster` is one."""

    async def read_secret(self) -> SecretContent:
        """The Secret. Raises ApiError."""

    async def write_secret(self, data: dict[str, bytes], version: str) -> bool:
        """Write it unless somebody else has; False says that somebody has. Raises ApiError."""

    async def tell_authorities(self, bundle: bytes) -> None:
        """Let the API server verify us by `bundle`. Raises ApiError."""


class Keeper:
    """`context` is for the server; it can serve once `ready`."""

    def __init__(
        self, store: CertificateStore, names: Sequence[str], times: Lifetimes, clock: Callable[[], float]
    ) -> None:
        """`names` are what the server is called; `clock` gives seconds since 1970."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._store = store
        self._names = tuple(names)
        self._times = times
        self._clock = clock
        self._serving: Held | None = None
        self._told = False

    @property
    def ready(self) -> bool:
        """A certificate is served, and the API server knows whose word to take for it."""
        return self._serving is not None and self._told

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
                pause = _LOOK_SECONDS
            except ApiError as error:
                _log.warning("certificates: %s", error)
                pause = _AGAIN_SECONDS if not self.ready else _LOOK_SECONDS / 4
            except Exception:
                # What is served goes on being served, and whoever watches for restarts would see none.
                _log.exception("certificates could not be looked after")
                pause = _LOOK_SECONDS / 4
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - so that replicas do not look at once

    async def look(self) -> None:
        """Bring everything in step, once. Raises ApiError."""
        held = await self._agreed()
        if self._serving is None or held.serving != self._serving.serving:
            _load(self.context, held)
        self._serving = held
        await self._store.tell_authorities(held.bundle)
        self._told = True

    async def _agreed(self) -> Held:
        """What the Secret holds once what is due is written, by us or by another replica."""
        while True:
            content = await self._store.read_secret()
            held = held_in(content.data)
            due = next_held(held, self._names, self._clock(), self._times)
            if due is None:
                assert held is not None
                return held
            if await self._store.write_secret(due.data(), content.version):
                _log.info("certificates written: %d authorities", len(due.authorities))
                return due


def _load(context: ssl.SSLContext, held: Held) -> None:
    """Serve by it from the next handshake on. The library reads files only, so it gets one that is in no folder."""
    descriptor = os.memfd_create("serving-certificate")
    try:
        os.write(descriptor, held.serving.certificate + held.serving.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
