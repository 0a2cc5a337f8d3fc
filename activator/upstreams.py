"""The connections of one service to its endpoints, made when an endpoint is first used and ended when it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from activator.endpoint_load import EndpointLoad, Standing
from queue_proxy.http import Upstream


class Upstreams:
    """Each endpoint's Upstream. `connect` makes one for a host and port."""

    def __init__(self, connect: Callable[[str, int], Upstream]) -> None:
        self._connect = connect
        self._upstreams: dict[EndpointLoad, Upstream] = {}

    def to(self, load: EndpointLoad) -> Upstream:
        """That endpoint's."""
        upstream = self._upstreams.get(load)
        if upstream is None:
            upstream = self._upstreams[load] = self._connect(load.endpoint.host, load.endpoint.port)
            upstream.name = load.endpoint.name
        return upstream

    def end_idle(self, removed: Iterable[EndpointLoad]) -> None:
        """Nothing more goes to those that are `removed` or drain: idle connections are ours to close, before the other
        side has to."""
        draining = [load for load in self._upstreams if load.standing is Standing.DRAINING]
        for load in (*removed, *draining):
            if upstream := self._upstreams.pop(load, None):
                upstream.close()

    def close(self) -> None:
        """End all of them."""
        for upstream in self._upstreams.values():
            upstream.close()
