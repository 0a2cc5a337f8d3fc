"""Profiles: the one ConfigMap that policies may come from, followed like everything else.

Whoever edits it edits the policies of many services at once, and no webhook looks at a ConfigMap. So a profile that
cannot be read any more, or is not there any more, stays as it was for the services that name it, until it is put right
or they name another; the mistake is shown with each of them and as trouble of the cluster.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator

from autoscaler.cluster.kubernetes.connection import Connection
from autoscaler.cluster.kubernetes.facts import InferenceServiceFacts
from autoscaler.cluster.kubernetes.reflector import Patience, Reflector, Resource
from autoscaler.policy.profiles import CONFIG_MAP, NO_PROFILES, Profiles, following, read_profiles

_log = logging.getLogger(__name__)


class ProfilesCopy:
    """`in_force` is what services go by; `changed` is called after it became another."""

    def __init__(self, connection: Connection, namespace: str, changed: Callable[[], None], patience: Patience) -> None:
        self.in_force = NO_PROFILES
        self._changed = changed
        self._named: Counter[str] = Counter()
        # By its name alone, for that is all that the controller may read.
        resource = Resource(f"/api/v1/namespaces/{namespace}/configmaps", field_selector=f"metadata.name={CONFIG_MAP}")
        self.reflector: Reflector[Profiles] = Reflector(connection, resource, read_profiles, self._written, patience)

    def named_by(self, before: InferenceServiceFacts | None, after: InferenceServiceFacts | None) -> None:
        """An InferenceService names a profile, or does not any more."""
        for facts, times in ((before, -1), (after, 1)):
            if facts is not None and facts.profile:
                self._named[facts.profile] += times
                if not self._named[facts.profile]:
                    del self._named[facts.profile]

    @property
    def in_trouble(self) -> Iterator[str]:
        """Profiles that somebody names and of which what is in force is old."""
        for name in sorted(self._named):
            profile = self.in_force.by_name.get(name)
            if profile is not None and profile.superseded_by:
                why = "; ".join(map(str, profile.superseded_by))
                yield f"profile {name} is in force as it was before: {why}"

    def _written(self, key: str, before: Profiles | None, after: Profiles | None) -> None:
        self.in_force = following(after or NO_PROFILES, self.in_force, self._named)
        for error in (after or NO_PROFILES).all_errors:
            _log.warning("ConfigMap %s: %s", key, error)
        _log.info("ConfigMap %s: %d profiles in force", key, len(self.in_force.by_name))
        self._changed()
