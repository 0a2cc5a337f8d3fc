"""Certificates over the years, on a clock of our own: at no moment is there one that somebody could not verify."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.certificates import begins, ends, is_for, issue_authority, issue_serving, issued_by
from admission.cluster import SecretContent
from admission.keeper import Keeper
from admission.rotation import Held, Lifetimes, held_in, next_held

NAMES = ("pilotlight-webhook.pilotlight-system.svc", "pilotlight-webhook.pilotlight-system")
DAY = 24 * 3600.0
TIMES = Lifetimes()
NOW = 1_800_000_000.0


def first(now: float = NOW) -> Held:
    held = next_held(None, NAMES, now, TIMES)
    assert held is not None
    return held


@dataclass
class Secret:
    """A Secret with versions, as the API server keeps it."""

    data: Mapping[str, bytes] = field(default_factory=dict)
    version: int = 0
    writes: int = 0
    told: bytes = b""

    async def read_secret(self) -> SecretContent:
        content = SecretContent(self.data, str(self.version))
        await asyncio.sleep(0)
        return content

    async def write_secret(self, data: Mapping[str, bytes], version: str) -> bool:
        if version != str(self.version):
            return False
        self.data, self.version, self.writes = dict(data), self.version + 1, self.writes + 1
        return True

    async def tell_authorities(self, bundle: bytes) -> None:
        self.told = bundle


def test_the_first_certificate_is_for_our_names_and_by_our_authority() -> None:
    held = first()
    assert is_for(held.serving.certificate, NAMES)
    assert issued_by(held.serving.certificate, held.bundle)
    assert next_held(held, NAMES, NOW, TIMES) is None


def test_what_is_stored_is_read_back() -> None:
    held = first()
    assert held_in(held.data()) == held


@pytest.mark.parametrize("missing", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_half_a_secret_is_none(missing: str) -> None:
    data = first().data()
    assert held_in({name: value for name, value in data.items() if name != missing}) is None
    assert held_in({**data, missing: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) is None


def test_a_key_of_another_certificate_is_not_taken() -> None:
    assert held_in({**first().data(), "tls.key": first().serving.key}) is None


def test_no_key_shows_in_a_representation() -> None:
    assert "PRIVATE" not in repr(first())


def test_a_server_that_is_called_otherwise_now_gets_a_new_certificate() -> None:
    renamed = next_held(first(), ("other.ns.svc",), NOW + 1, TIMES)
    assert renamed is not None
    assert is_for(renamed.serving.certificate, ("other.ns.svc",))


def test_after_a_sleep_of_years_everything_is_new_at_once() -> None:
    held = next_held(first(), NAMES, NOW + 10 * 365 * DAY, TIMES)
    assert held is not None
    assert len(held.authorities) == 1
    assert ends(held.serving.certificate) > NOW + 10 * 365 * DAY


def test_a_certificate_never_outlives_its_authority() -> None:
    authority = issue_authority(NOW, 10 * DAY)
    assert ends(issue_serving(authority, NAMES, NOW, 90 * DAY).certificate) == ends(authority.certificate)


def test_an_authority_signs_nothing_before_everybody_knows_it() -> None:
    held = first()
    now = NOW + TIMES.authority - TIMES.authority_left + DAY
    added = next_held(held, NAMES, now, TIMES)
    assert added is not None
    # The serving certificate is long over by now, so both are new here; take one that is not.
    renewed = Held(held.authorities, held.signer, issue_serving(held.signer, NAMES, now, TIMES.serving))
    added = next_held(renewed, NAMES, now, TIMES)
    assert added is not None
    assert added.serving == renewed.serving
    assert added.authorities[:1] == held.authorities
    assert next_held(added, NAMES, now + TIMES.known_after - 1, TIMES) is None
    signed = next_held(added, NAMES, now + TIMES.known_after, TIMES)
    assert signed is not None
    assert issued_by(signed.serving.certificate, added.authorities[1])
    assert signed.authorities == added.authorities


@settings(deadline=None, max_examples=4)
@given(st.floats(2, 25), st.integers(0, 2**31))
def test_over_ten_years_whoever_learned_of_us_an_hour_ago_can_verify_us(step_days: float, seed: int) -> None:
    held = first()
    known = held.bundle  # what the slowest API server knows: what was told at least `known_after` ago
    now = NOW
    while now < NOW + 10 * 365 * DAY:
        now += step_days * DAY
        for _ in range(4):  # each look may find one thing to do
            due = next_held(held, NAMES, now, TIMES)
            if due is None:
                break
            assert issued_by(due.serving.certificate, due.signer.certificate) or due.serving == held.serving
            assert any(issued_by(due.serving.certificate, pem) for pem in due.authorities)
            held = due
            assert any(issued_by(held.serving.certificate, pem) for pem in _split(known)), "unknown authority"
        assert begins(held.serving.certificate) <= now < ends(held.serving.certificate)
        known = held.bundle
        assert len(held.authorities) <= 2


def _split(bundle: bytes) -> list[bytes]:
    end = b"-----END CERTIFICATE-----\n"
    return [part + end for part in bundle.split(end) if part]


async def test_of_two_replicas_one_writes_and_both_serve_the_same() -> None:
    secret = Secret()
    keepers = [Keeper(secret, NAMES, TIMES, lambda: NOW) for _ in range(3)]
    assert not keepers[0].ready
    await asyncio.gather(*(keeper.look() for keeper in keepers))
    assert secret.writes == 1
    assert all(keeper.ready for keeper in keepers)
    held = held_in(secret.data)
    assert held is not None
    assert secret.told == held.bundle


async def test_at_rest_nothing_is_written() -> None:
    secret = Secret()
    now = NOW
    keeper = Keeper(secret, NAMES, TIMES, lambda: now)
    await keeper.look()
    for _ in range(40):
        now += DAY
        await keeper.look()
    assert secret.writes == 1


async def test_a_rotated_certificate_is_served_to_new_connections_without_a_restart() -> None:
    secret = Secret()
    now = NOW
    keepers = [Keeper(secret, NAMES, TIMES, lambda: now) for _ in range(2)]
    seen = []
    for _ in range(2):
        for keeper in keepers:
            await keeper.look()
            seen.append(_served(keeper))
        now += TIMES.serving - TIMES.serving_left + 1
    assert seen[0] == seen[1] != seen[2] == seen[3]


def _served(keeper: Keeper) -> bytes:
    """The certificate that a client is shown; a handshake without a network."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = keeper.context.wrap_bio(to_server, to_client, server_side=True)
    done = 0
    while done < 2:
        done = 0
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
    shown = ours.getpeercert(binary_form=True)
    assert shown is not None
    return shown
