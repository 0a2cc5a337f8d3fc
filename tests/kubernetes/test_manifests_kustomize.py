"""What is applied to a cluster is right in itself: whatever names something else names something that is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from pilotlight.doctor.rights import RULES, Rule
from tests.kubernetes.manifest_builds import (
    BUILDS,
    COMPONENTS,
    MANIFESTS,
    WORKLOADS,
    Manifest,
    built,
    everything,
    labels,
    named,
    of_kind,
    pod_spec,
)


@pytest.fixture(scope="session", params=[*BUILDS, "everything"])
def items(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, ...]:
    if request.param == "everything":
        return _everything(tmp_path_factory.getbasetemp())
    return built(request.param)


@cache
def _everything(base: Path) -> tuple[Manifest, ...]:
    folder = base / "everything"
    folder.mkdir()
    return everything(folder)


@pytest.fixture
def workloads(items: tuple[Manifest, ...]) -> list[Manifest]:
    found = list(of_kind(items, *WORKLOADS))
    assert len(found) >= 2
    return found


def test_no_object_is_there_twice_and_all_are_in_our_namespace(items: tuple[Manifest, ...]) -> None:
    keys = [(item["kind"], item["metadata"]["name"]) for item in items]
    assert len(keys) == len(set(keys))
    anywhere = {"Namespace", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration",
                "ValidatingWebhookConfiguration"}  # fmt: skip
    for item in items:
        where = item["metadata"].get("namespace")
        assert where == (None if item["kind"] in anywhere else "pilotlight-system"), named(item)


def test_pods_keep_to_the_restricted_standard(items: tuple[Manifest, ...], workloads: list[Manifest]) -> None:
    namespaces = list(of_kind(items, "Namespace"))
    assert all(item["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted" for item in namespaces)
    for workload in workloads:
        spec = pod_spec(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
        for volume in spec.get("volumes", []):
            assert set(volume) & {"projected", "emptyDir", "secret", "configMap"}, volume
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not any("hostPort" in port for port in container["ports"])


def test_every_container_is_probed_on_a_port_of_its_own_and_is_bounded(workloads: list[Manifest]) -> None:
    for workload in workloads:
        for container in pod_spec(workload)["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in ports, (named(workload), probe)
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"], "a limit on CPU throttles what holds requests"


def test_images_have_one_version_which_is_ours(workloads: list[Manifest]) -> None:
    version = re.search(r'^version = "(.+)"', Path("pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    images = {container["image"] for workload in workloads for container in pod_spec(workload)["containers"]}
    assert images == {f"pilotlight:{version[1]}"}


def test_each_component_goes_on_while_one_of_its_pods_is_away(
    items: tuple[Manifest, ...], workloads: list[Manifest]
) -> None:
    budgets = [item["spec"]["selector"]["matchLabels"] for item in of_kind(items, "PodDisruptionBudget")]
    for workload in workloads:
        assert workload["spec"]["replicas"] >= 2
        assert any(selector.items() <= labels(workload).items() for selector in budgets), named(workload)


def test_selectors_find_what_they_are_meant_for(items: tuple[Manifest, ...], workloads: list[Manifest]) -> None:
    for workload in workloads:
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels(workload).items(), named(workload)
    selectors = [
        (item, item["spec"].get("podSelector", item["spec"].get("selector")) or {})
        for item in of_kind(items, "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "Service")
    ]
    assert selectors
    for item, selector in selectors:
        pairs = selector.get("matchLabels", {} if {"matchExpressions"} & selector.keys() else selector)
        found = [workload for workload in workloads if pairs.items() <= labels(workload).items()]
        assert found, f"{named(item)} selects nothing"


def test_network_policies_and_services_name_ports_that_are_there(
    items: tuple[Manifest, ...], workloads: list[Manifest]
) -> None:
    for policy in of_kind(items, "NetworkPolicy"):
        pairs = policy["spec"]["podSelector"].get("matchLabels", {})
        names = {
            port["name"]
            for workload in workloads
            if pairs.items() <= labels(workload).items()
            for container in pod_spec(workload)["containers"]
            for port in container["ports"]
        }
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert isinstance(port["port"], int) or port["port"] in names, named(policy)


def test_whoever_runs_as_a_service_account_finds_it_and_its_rights(
    items: tuple[Manifest, ...], workloads: list[Manifest]
) -> None:
    accounts = {item["metadata"]["name"] for item in of_kind(items, "ServiceAccount")}
    assert {pod_spec(workload)["serviceAccountName"] for workload in workloads} <= accounts
    roles = {(item["kind"], item["metadata"]["name"]) for item in of_kind(items, "Role", "ClusterRole")}
    bound = set()
    for binding in of_kind(items, "RoleBinding", "ClusterRoleBinding"):
        bound.add((binding["roleRef"]["kind"], binding["roleRef"]["name"]))
        for subject in binding["subjects"]:
            assert subject["name"] in accounts
            assert subject["namespace"] == "pilotlight-system"
    assert bound == roles


def test_secrets_and_config_maps_that_are_named_are_there_or_may_be_absent(
    items: tuple[Manifest, ...], workloads: list[Manifest]
) -> None:
    there = {(item["kind"], item["metadata"]["name"]) for item in of_kind(items, "Secret", "ConfigMap")}
    # Somebody else's to make, and read as empty while it is not there.
    there.add(("ConfigMap", "pilotlight-profiles"))
    for role in of_kind(items, "Role", "ClusterRole"):
        for rule in role["rules"]:
            kind = {"secrets": "Secret", "configmaps": "ConfigMap"}.get(rule["resources"][0])
            if kind:
                assert rule["resourceNames"], f"{named(role)} may see every {kind}"
                assert {(kind, name) for name in rule["resourceNames"]} <= there
    for workload in workloads:
        for volume in pod_spec(workload).get("volumes", []):
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in there
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there


def test_nobody_may_do_everything_and_only_the_controller_writes_outside_our_namespace(
    items: tuple[Manifest, ...],
) -> None:
    for role in of_kind(items, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]], named(role)
            writes = set(rule["verbs"]) - {"get", "list", "watch"}
            if role["kind"] == "ClusterRole" and role["metadata"]["name"] != "pilotlight-controller" and writes:
                assert rule.get("resourceNames"), named(role)


def test_the_doctor_asks_for_exactly_the_rights_that_are_granted() -> None:
    granted: dict[str, dict[tuple[str, str, str, bool], set[str]]] = {}
    for role in of_kind(built("overlays/kserve-standard"), "Role", "ClusterRole"):
        of_account = granted.setdefault(role["metadata"]["name"], {})
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [""]):
                        key = (group, resource, name, role["kind"] == "Role")
                        of_account.setdefault(key, set()).update(rule["verbs"])
    asked = {account: {_key(rule): set(rule.verbs) for rule in rules} for account, rules in RULES.items()}
    assert asked == granted


def _key(rule: Rule) -> tuple[str, str, str, bool]:
    return rule.group, rule.resource, rule.name, rule.in_namespace


@cache
def _help(command: tuple[str, ...]) -> str:
    argv = [sys.executable, "-m", "pilotlight.entry", *command[1:]] if command[0] == "pilotlight" else [
        sys.executable, *command[1:]
    ]  # fmt: skip
    done = subprocess.run([*argv, "--help"], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "COLUMNS": "200"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_flag_is_one_that_the_component_knows(workloads: list[Manifest]) -> None:
    for workload in workloads:
        for container in pod_spec(workload)["containers"]:
            known = set(re.findall(r"--[a-z][a-z-]*", _help(tuple(container["command"]))))
            given = {argument.partition("=")[0] for argument in container.get("args", []) if argument.startswith("--")}
            assert given <= known, f"{named(workload)}: {given - known}"


def test_every_variable_in_arguments_is_in_the_environment(workloads: list[Manifest]) -> None:
    for workload in workloads:
        for container in pod_spec(workload)["containers"]:
            used = set(re.findall(r"\$\((\w+)\)", " ".join([*container["command"], *container.get("args", [])])))
            assert used <= {entry["name"] for entry in container.get("env", [])}, named(workload)


def test_scrapes_ask_ports_that_are_there(items: tuple[Manifest, ...], workloads: list[Manifest]) -> None:
    for workload in workloads:
        annotations = workload["spec"]["template"]["metadata"].get("annotations", {})
        numbers = {str(port["containerPort"]) for one in pod_spec(workload)["containers"] for port in one["ports"]}
        if annotations.get("prometheus.io/scrape") == "true":
            assert annotations["prometheus.io/port"] in numbers, named(workload)


def test_the_webhooks_lead_to_their_own_service(items: tuple[Manifest, ...]) -> None:
    services = {item["metadata"]["name"]: item for item in of_kind(items, "Service")}
    for configuration in of_kind(items, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            leads = webhook["clientConfig"]["service"]
            assert leads["namespace"] == "pilotlight-system"
            assert leads["port"] in {port["port"] for port in services[leads["name"]]["spec"]["ports"]}
            assert webhook["failurePolicy"] == "Ignore"
            assert webhook["sideEffects"] == "None"
            assert webhook["timeoutSeconds"] <= 10


def test_every_component_is_in_the_test_of_all_of_them() -> None:
    assert set(COMPONENTS) >= {"webhook", "prometheus", "grafana"}
    for path in MANIFESTS.rglob("*.yaml"):
        if "examples" not in path.parts:
            assert list(yaml.safe_load_all(path.read_text())), path
