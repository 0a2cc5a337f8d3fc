"""The dashboard and the alerts ask for metrics that exist, in expressions that Prometheus reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

COMPONENTS = Path("manifests/components")
DASHBOARD = COMPONENTS / "grafana/pilotlight.json"
ALERTS = COMPONENTS / "prometheus/alerts.yaml"
KNOWN = set(re.findall(r"^\| `(pilotlight_\w+)` \|", Path("docs/metrics.md").read_text(), re.MULTILINE))


def expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load(ALERTS.read_text())["spec"]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    asked = {name for expression in expressions() for name in re.findall(r"pilotlight_\w+", expression)}
    unknown = {name for name in asked if re.sub("_(bucket|sum|count)$", "", name) not in KNOWN}
    assert asked
    assert not unknown


def test_services_of_one_name_in_two_namespaces_are_two_lines() -> None:
    """The controller has a namespace beside the name, the activator has both in one label."""
    controllers = [
        each for each in expressions() if re.search(r"by \([^)]*\bservice\b", each) and "_activator_" not in each
    ]
    assert controllers
    assert [each for each in controllers if not re.search(r"by \([^)]*\bnamespace\b", each)] == []


def test_panels_do_not_lie_on_each_other_and_their_numbers_have_units() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)


def test_prometheus_reads_every_alert(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there: apt-get install prometheus")
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": yaml.safe_load(ALERTS.read_text())["spec"]["groups"]}))
    checked = subprocess.run([promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_reads_every_panel(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there: apt-get install prometheus")
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    page = tmp_path / "rules.yaml"
    page.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", str(page)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
