"""Importing this before asyncio leaves OpenSSL out of a process that speaks no TLS: it is a seventh of a queue proxy's
memory and a twentieth of its start, and a proxy beside its model needs it for nothing but probes of scheme HTTPS.

asyncio does without `ssl` where an interpreter has none. uvloop asks it for some names while it loads, and uses them
only for connections that are made with a context; so for that moment a module with those names stands in. Afterwards
`import ssl` finds the real one: who sends spans by https loads it then. Only for the main module of a process.
"""

from __future__ import annotations

import sys
from types import ModuleType

_TYPES = ("SSLContext", "MemoryBIO")
_ERRORS = ("SSLError", "SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError", "CertificateError")
_NUMBERS = {"SSL_ERROR_WANT_READ": 2, "SSL_ERROR_WANT_WRITE": 3, "SSL_ERROR_SYSCALL": 5}


def _may_speak_tls(arguments: list[str]) -> bool:
    """Whether a flag could name https; a backslash can spell it in JSON in ways that only a parser sees."""
    return any("https" in argument.lower() or "\\" in argument for argument in arguments)


def _load_without() -> None:
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        import asyncio  # noqa: F401

        sys.modules["ssl"] = _stand_in()
        import uvloop  # noqa: F401
    finally:
        del sys.modules["ssl"]


def _stand_in() -> ModuleType:
    module = ModuleType("ssl")
    for name in _TYPES:
        setattr(module, name, type(name, (), {}))
    for name in _ERRORS:
        setattr(module, name, type(name, (OSError,), {}))
    for name, number in _NUMBERS.items():
        setattr(module, name, number)
    module.create_default_context = None  # type: ignore[attr-defined]
    return module


if "ssl" not in sys.modules and not _may_speak_tls(sys.argv[1:]):
    _load_without()
