"""Of our own annotations those that say how requests are served: who waits, how long, and who goes first."""

from __future__ import annotations

from autoscaler.policy.amounts import Duration, Quantity, WholeNumber
from autoscaler.policy.key import our_key
from autoscaler.policy.scaling_policy import Switch
from autoscaler.policy.words import Choice, HeaderName

_DAY = 24 * 3600.0

REQUESTS = (
    our_key(
        "hold-requests",
        WholeNumber(1, 10**6),
        "hold.requests",
        "10000",
        "How many requests may wait in the activator; more are answered 503 or 429.",
    ),
    our_key(
        "hold-bytes", Quantity(2**10, 2**40), "hold.bytes", "256Mi", "How much memory bodies of held requests may take."
    ),
    our_key(
        "hold-no-endpoint",
        Duration(0.01, _DAY),
        "hold.no_endpoint_seconds",
        "10m",
        "How long a request may wait while no replica is ready; then it is answered 503 with Retry-After.",
    ),
    our_key(
        "hold-full",
        Duration(0.01, _DAY),
        "hold.full_seconds",
        "5m",
        "How long a request may wait while replicas are ready and full; then it is answered 429.",
    ),
    our_key(
        "priority-header",
        Choice(tuple(switch.value for switch in Switch)),
        "hold.priority_header",
        "off",
        "Whether a request's header `pilotlight-priority` (`high`, `normal`, `low`) decides who goes first; all of one "
        "priority go before any of the next. Only for services that strangers cannot reach.",
    ),
    our_key(
        "tenant-header",
        HeaderName(),
        "hold.tenant_header",
        "",
        "The request header that names a tenant: tenants take turns, so that none can starve another. It should be set "
        "or checked by a gateway.",
        otherwise="none: first come, first served",
    ),
    our_key(
        "queue-requests",
        WholeNumber(0, 10**6),
        "queue.requests",
        "10000",
        "How many requests that came directly to a replica may queue there beyond its `containerConcurrency`, with "
        "64 MiB of bodies together; 0: ten times `containerConcurrency`.",
        otherwise="0 under Knative's semantics",
    ),
    our_key(
        "queue-seconds",
        Duration(0, _DAY),
        "queue.seconds",
        "5m",
        "How long one may queue there; then it is answered 429; 0: no bound.",
        otherwise="0 under Knative's semantics",
    ),
    our_key(
        "timeout", Duration(0, _DAY), "timeouts.total", "0s", "How long a request may take once forwarded; 0: no bound."
    ),
    our_key(
        "response-start-timeout",
        Duration(0, _DAY),
        "timeouts.response_start",
        "0s",
        "How long a replica may take to the first byte of its answer; 0: no bound.",
    ),
    our_key(
        "idle-timeout", Duration(0, _DAY), "timeouts.idle", "0s", "How long a connection may be silent; 0: no bound."
    ),
)
