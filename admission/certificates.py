"""Certificates of the webhook: an authority of its own, and what the authority says of the server.

The API server talks only to a webhook whose certificate it can verify, by authorities that are written into the webhook
configuration. An authority of our own needs no other product and trusts nothing but this one server's name.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATED_SECONDS = 3600.0
"""How long before it is issued a certificate begins: clocks of other machines may be behind."""


class CertificateError(ValueError):
    """What is stored is no certificate, or no key, or the two do not belong together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM. The key never appears in a message."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(…)"


def issue_authority(now: float, seconds: float) -> Pair:
    """A new authority, valid for `seconds` from `now` (seconds since 1970)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pilotlight webhook authority {int(now)}")])
    certificate = (
        _begun(name, name, key.public_key(), now, seconds)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def issue_serving(authority: Pair, names: Sequence[str], now: float, seconds: float) -> Pair:
    """A certificate for a server that is called `names`. It never outlives its authority."""
    parent, signer = _loaded(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    seconds = min(seconds, parent.not_valid_after_utc.timestamp() - now)
    identifier = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begun(subject, parent.subject, key.public_key(), now, seconds)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pair(certificate, key)


def begins(certificate: bytes) -> float:
    """When it was issued. Raises CertificateError."""
    return _certificate(certificate).not_valid_before_utc.timestamp() + BACKDATED_SECONDS


def ends(certificate: bytes) -> float:
    """Until when it is valid. Raises CertificateError."""
    return _certificate(certificate).not_valid_after_utc.timestamp()


def is_for(certificate: bytes, names: Sequence[str]) -> bool:
    """Whether it names the server in all these ways. Raises CertificateError."""
    try:
        found = _certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    return set(names) <= set(found.value.get_values_for_type(x509.DNSName))


def issued_by(certificate: bytes, authority: bytes) -> bool:
    """Whether `authority` has signed it. Raises CertificateError."""
    try:
        _certificate(certificate).verify_directly_issued_by(_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def check_pair(pair: Pair) -> None:
    """Raises CertificateError unless the key is that of the certificate."""
    _loaded(pair)


def _loaded(pair: Pair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = _certificate(pair.certificate)
    try:
        key = serialization.load_pem_private_key(pair.key, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError("the key is not one") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateError("the key is not that of the certificate")
    return certificate, key


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateError("the certificate is not one") from error


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(certificate.public_bytes(pem), private)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, seconds: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now - BACKDATED_SECONDS))
        .not_valid_after(_moment(now + seconds))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
