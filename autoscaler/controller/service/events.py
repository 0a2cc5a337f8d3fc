"""Events of one service, for people who look at it in its cluster: changes of scale, and what is in the way.

Pure. A steady decision is no event; it is in `/explain`.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.cluster.interface import ServiceEvent, ServiceView
from autoscaler.controller.service.policy_in_force import PolicyInForce
from autoscaler.decide.decision import Decision


def of_order(decision: Decision) -> ServiceEvent:
    """Replicas were ordered."""
    before, after = decision.replicas.wanted, decision.desired
    if after == 0:
        reason = "PutToSleep"
    elif before == 0:
        reason = "Woken"
    else:
        reason = "ScaledUp" if after > before else "ScaledDown"
    return ServiceEvent(reason, "Scale", decision.explanation)


def of_refusals(before: ServiceView | None, after: ServiceView) -> Iterator[ServiceEvent]:
    """What newly stands in the way of scaling at all; and that nothing does any more."""
    known = () if before is None else before.refused
    for refusal in after.refused:
        if refusal not in known:
            yield ServiceEvent(refusal.code, "Refuse", f"Not scaled: {refusal.message}", warning=True)
    if known and not after.refused:
        yield ServiceEvent("MayBeScaled", "Accept", "Nothing stands in the way of scaling any more")


def of_policy(before: PolicyInForce, after: PolicyInForce) -> Iterator[ServiceEvent]:
    """A policy that cannot be read."""
    if after.mistakes and after.mistakes != before.mistakes:
        kept = "the one before stays in force" if after.policy is not None else "nothing is scaled"
        message = f"The policy cannot be read, {kept}: {'; '.join(after.mistakes)}"
        yield ServiceEvent("PolicyNotReadable", "ReadPolicy", message, warning=True)
