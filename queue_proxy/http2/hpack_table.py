"""The static table of HPACK, and how to find something in it."""

from __future__ import annotations

from typing import Final

Pair = tuple[bytes, bytes]

STATIC: Final[tuple[Pair, ...]] = tuple(
    (name.encode(), value.encode())
    for name, _, value in (
        line.strip().partition(" ")
        for line in """
        :authority
        :method GET
        :method POST
        :path /
        :path /index.html
        :scheme http
        :scheme https
        :status 200
        :status 204
        :status 206
        :status 304
        :status 400
        :status 404
        :status 500
        accept-charset
        accept-encoding gzip, deflate
        accept-language
        accept-ranges
        accept
        access-control-allow-origin
        age
        allow
        authorization
        cache-control
        content-disposition
        content-encoding
        content-language
        content-length
        content-location
        content-range
        content-type
        cookie
        date
        etag
        expect
        expires
        from
        host
        if-match
        if-modified-since
        if-none-match
        if-range
        if-unmodified-since
        last-modified
        link
        location
        max-forwards
        proxy-authenticate
        proxy-authorization
        range
        referer
        refresh
        retry-after
        server
        set-cookie
        strict-transport-security
        transfer-encoding
        user-agent
        vary
        via
        www-authenticate
        """.strip().splitlines()
    )
)
"""RFC 7541 appendix A."""

FIRST_DYNAMIC: Final = len(STATIC) + 1
"""Index of the newest entry of a connection's own table."""

INDEX_OF_PAIR: Final = {pair: at for at, pair in reversed(list(enumerate(STATIC, 1)))}
INDEX_OF_NAME: Final = {name: at for at, (name, _) in reversed(list(enumerate(STATIC, 1)))}
"""The first with this name."""
