"""The manifests' rights are exactly enough: nothing was forbidden in all these tests, and no rule is there in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.audit import service_account
from tests.kubernetes.installation import ACTIVATOR, CONTROLLER, NAMESPACE, WEBHOOK, Installation

_MANIFESTS = Path(__file__).parents[2] / "manifests"
_RULES = {
    CONTROLLER: _MANIFESTS / "base" / "controller-rights.yaml",
    WEBHOOK: _MANIFESTS / "components" / "webhook" / "webhook-rights.yaml",
}
# Those with a target of their own (`make test-long`): they use no right that the others do not.
_APART = (
    "test_faults_activators", "test_faults_control", "test_faults_partition", "test_faults_prometheus",
    "test_takeover_clock", "test_docs_", "test_canary_", "test_cluster_lifetime", "test_cluster_scale",
    "test_cluster_gateway", "test_activation_path",
)  # fmt: skip
# Rights that no test of this folder has a use for, and who has.
_NOT_USED_HERE = {
    CONTROLLER: {("scaledobjects", "watch")},  # KEDA is not installed, so a list says that there are none
    WEBHOOK: set[tuple[str, str]](),
}


@pytest.mark.parametrize("account", [CONTROLLER, ACTIVATOR, WEBHOOK])
def test_nothing_that_a_component_asked_for_was_forbidden(installed: Installation, account: str) -> None:
    user = service_account(NAMESPACE, account)
    assert installed.cluster.audit.forbidden(user, since=installed.began) == []


@pytest.mark.parametrize("account", [CONTROLLER, WEBHOOK])
def test_each_right_that_a_component_has_was_used(
    installed: Installation, account: str, request: pytest.FixtureRequest
) -> None:
    ran = {item.path.name for item in request.session.items}
    needed = {path.name for path in Path(__file__).parent.glob("test_*.py") if not path.name.startswith(_APART)}
    if missing := needed - ran:
        pytest.skip(f"only all tests of this folder use all rights; left out: {', '.join(sorted(missing))}")
    user = service_account(NAMESPACE, account)
    used = {(event.resource, event.verb) for event in installed.cluster.audit.events(installed.began, user)}
    assert _granted(account) - used == _NOT_USED_HERE[account]


def test_an_activator_asks_the_api_server_nothing(installed: Installation) -> None:
    assert list(installed.cluster.audit.events(installed.began, service_account(NAMESPACE, ACTIVATOR))) == []


def test_pods_say_where_they_are_and_none_is_refused(installed: Installation, request: pytest.FixtureRequest) -> None:
    if "test_end_to_end.py" not in {item.path.name for item in request.session.items}:
        pytest.skip("no pods were started for anybody; run test_end_to_end.py as well")
    counts = installed.metrics(CONTROLLER)
    news, known, refused = (
        counts[f'pilotlight_told_addresses_total{{outcome="{outcome}"}}'] for outcome in ("news", "known", "refused")
    )
    print(f"\naddresses of pods: {news:g} that were news, {known:g} that the API server knew")
    assert refused == 0, installed.logs(CONTROLLER)
    assert news + known > 0


def _granted(account: str) -> set[tuple[str, str]]:
    """Pairs of resource and verb."""
    return {
        (resource, verb)
        for role in yaml.safe_load_all(_RULES[account].read_text())
        for rule in role.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
