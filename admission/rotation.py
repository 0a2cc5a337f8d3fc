"""Rotation: what the Secret should hold next, from what it holds and the time. Pure, and the same in every replica.

The order matters, because the API server verifies us by what it was told before: a new authority is told first, and
only when everybody has had time to learn of it does it sign; the one before stays told until it ends. Whoever of the
replicas comes first writes the next content, the others find it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from admission.certificates import (
    CertificateError,
    Pair,
    begins,
    check_pair,
    ends,
    is_for,
    issue_authority,
    issue_serving,
    issued_by,
)

_DAY = 24 * 3600.0
_END = b"-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds. `known_after`: how long until everybody who verifies us knows an authority that was added."""

    authority: float = 730 * _DAY
    authority_left: float = 180 * _DAY
    serving: float = 90 * _DAY
    serving_left: float = 30 * _DAY
    known_after: float = 3600.0


@dataclass(frozen=True, slots=True)
class Held:
    """The Secret's content: the authorities to verify us by, the newest last and with its key, and what we serve by."""

    authorities: tuple[bytes, ...]
    signer: Pair
    serving: Pair

    @property
    def bundle(self) -> bytes:
        """What belongs into the webhook configurations."""
        return b"".join(self.authorities)

    def data(self) -> dict[str, bytes]:
        """As the entries of a Secret."""
        return {
            "ca.crt": self.bundle,
            "ca.key": self.signer.key,
            "tls.crt": self.serving.certificate,
            "tls.key": self.serving.key,
        }


def held_in(data: Mapping[str, bytes]) -> Held | None:
    """What a Secret holds; None when it holds nothing, or something that cannot be used."""
    try:
        bundle, key = data["ca.crt"], data["ca.key"]
        authorities = tuple(part + _END for part in bundle.split(_END) if part.strip())
        held = Held(authorities, Pair(authorities[-1], key), Pair(data["tls.crt"], data["tls.key"]))
        check_pair(held.signer)
        check_pair(held.serving)
        for authority in authorities:
            ends(authority)
    except (KeyError, IndexError, CertificateError):
        return None
    return held


def next_held(held: Held | None, names: Sequence[str], now: float, times: Lifetimes) -> Held | None:
    """What should be written now; None when everything is as it should be."""
    if held is None or ends(held.signer.certificate) <= now:
        return _anew(names, now, times)
    authorities = tuple(authority for authority in held.authorities if ends(authority) > now)
    newest, serving = held.signer.certificate, held.serving.certificate
    renewed = Held(authorities, held.signer, held.serving)
    usable = begins(serving) - _clock_slack(times) <= now < ends(serving)
    if not usable or not is_for(serving, names) or not any(issued_by(serving, authority) for authority in authorities):
        # Nobody can verify us as it is, so nothing is gained by waiting.
        return replace(renewed, serving=issue_serving(held.signer, names, now, times.serving))
    known = len(authorities) == 1 or now - begins(newest) >= times.known_after
    due = ends(serving) - now < times.serving_left and ends(newest) > ends(serving)
    if known and (due or not issued_by(serving, newest)):
        return replace(renewed, serving=issue_serving(held.signer, names, now, times.serving))
    if ends(newest) - now < times.authority_left:
        signer = issue_authority(now, times.authority)
        return Held((*authorities, signer.certificate), signer, held.serving)
    return renewed if authorities != held.authorities else None


def _anew(names: Sequence[str], now: float, times: Lifetimes) -> Held:
    signer = issue_authority(now, times.authority)
    return Held((signer.certificate,), signer, issue_serving(signer, names, now, times.serving))


def _clock_slack(times: Lifetimes) -> float:
    """What another replica's clock may be ahead of ours without its certificate being a mistake."""
    return times.known_after
