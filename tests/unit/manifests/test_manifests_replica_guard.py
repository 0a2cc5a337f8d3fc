"""The NetworkPolicy in docs/kubernetes.md that guards replicas admits what Pilotlight needs, and from where."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml

from admission.sidecar import ADMIN_PORT, REQUEST_PORT

PAGE = Path(__file__).parents[3] / "docs/kubernetes.md"


def test_the_policy_that_guards_replicas_names_our_ports_and_leaves_the_admin_port_to_us() -> None:
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    policy = yaml.safe_load(textwrap.dedent(block))
    requests, admin = policy["spec"]["ingress"]
    assert requests == {"ports": [{"port": REQUEST_PORT}]}
    assert admin["ports"] == [{"port": ADMIN_PORT}]
    assert [source["namespaceSelector"]["matchLabels"] for source in admin["from"]] == [
        {"kubernetes.io/metadata.name": "pilotlight-system"},
        {"pilotlight.dev/scrapes": "true"},
    ]
