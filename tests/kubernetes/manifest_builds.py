"""What `kubectl apply -k` would send: the base, the overlays and the components, built by kustomize."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cache import cache_root

MANIFESTS = Path(__file__).parents[2] / "manifests"
BUILDS = ("base", "overlays/kserve-standard", "overlays/ha")
COMPONENTS = tuple(sorted(path.name for path in (MANIFESTS / "components").iterdir()))
WORKLOADS = ("Deployment",)

Manifest = Mapping[str, Any]


def kubectl() -> str:
    """The one on PATH, else the one of the tests' cluster; skips the test where there is neither."""
    # Not from a directory that is still being filled.
    kept = sorted(path for path in cache_root().glob("kubernetes-*/kubectl") if not path.parent.suffix)
    found = shutil.which("kubectl") or next(map(str, kept), None)
    if found is None:
        pytest.skip("kubectl is not there: install it, or build the tests' cluster: python -m tests.cluster prepare")
    return found


def build(folder: Path) -> tuple[Manifest, ...]:
    """All objects of a kustomization."""
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    assert done.returncode == 0, done.stderr
    return tuple(item for item in yaml.safe_load_all(done.stdout) if item)


@cache
def built(name: str) -> tuple[Manifest, ...]:
    """A folder below manifests/."""
    return build(MANIFESTS / name)


@cache
def everything(folder: Path) -> tuple[Manifest, ...]:
    """The overlay for KServe with every component that there is, as a user would put them together in `folder`."""
    overlay = os.path.relpath(MANIFESTS / "overlays/kserve-standard", folder.resolve())
    others = [name for name in COMPONENTS if name != "webhook"]  # which the overlay has
    components = [os.path.relpath(MANIFESTS / "components" / name, folder.resolve()) for name in others]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [overlay], "components": components}))
    return build(folder)


def of_kind(items: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    return (item for item in items if item["kind"] in kinds)


def named(item: Manifest) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def pod_spec(item: Manifest) -> Manifest:
    spec: Manifest = item["spec"]["template"]["spec"]
    return spec


def labels(item: Manifest) -> Manifest:
    found: Manifest = item["spec"]["template"]["metadata"]["labels"]
    return found
