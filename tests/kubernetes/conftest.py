"""What the tests of this folder share: one real cluster, brought up once, and each test inside its network."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.inference_server_image import inference_server_image
from tests.cluster.product_image import product_image
from tests.kubernetes.installation import Installation

_HERE = Path(__file__).parent
_SECONDS = 300.0
# Of those that act on an installation: nodes and the control plane fail after all else, which is felt by everybody; and
# what was allowed and forbidden is known at the end.
_AT_THE_END = (("test_faults_", "test_takeover_"), ("test_rights",))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder last, so that the cluster's processes do not take time from tests that need none.

    Those that bring up clusters of their own come before those that share one, as there is one at a time. Those that
    act on an installation come after those that run parts of Pilotlight themselves, because of these, too, one acts at
    a time; and the last of them look at what all others have caused.
    """
    ours = {item for item in items if _HERE in item.path.parents}

    def stage(item: pytest.Item) -> int:
        if item not in ours:
            return 0
        names = getattr(item, "fixturenames", ())
        late = (place for place, files in enumerate(_AT_THE_END, 4) if item.path.name.startswith(files))
        return next(late, 1 + ("cluster" in names) + ("installed" in names))

    items.sort(key=stage)
    for item in ours:
        if item.get_closest_marker("timeout") is None:
            # Bringing up the cluster has deadlines of its own, and the first run ever builds what it consists of.
            item.add_marker(pytest.mark.timeout(_SECONDS, func_only=True))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of two nodes with the product's image on them.

    Who loses a node or a component in a test brings it back in the same test.
    """
    if why := tools.missing():
        pytest.skip(why)
    with Cluster.up(nodes=2, images=[inference_server_image(), product_image()], patience=240) as up:
        yield up


@pytest.fixture
def inside(cluster: Cluster) -> Generator[Cluster]:
    """The cluster, with the test in node 1's network: pod addresses, Service addresses and names work."""
    with cluster.inside():
        yield cluster


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Installation:
    """Pilotlight and KServe's side of it, installed as the README says; who deletes something leaves it rolled out."""
    return Installation(cluster, "overlays/kserve-standard")
