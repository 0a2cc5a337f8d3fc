"""What the tests of this folder share: one real cluster, brought up once, and each test inside its network."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster import tools
from tests.cluster.cluster import Cluster
from tests.cluster.product_image import product_image

_HERE = Path(__file__).parent
_SECONDS = 300.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder last, so that the cluster's processes do not take time from tests that need none.

    Those that bring up clusters of their own come before those that share one, as there is one at a time.
    """
    ours = {item for item in items if _HERE in item.path.parents}
    items.sort(key=lambda item: (item in ours, item in ours and "cluster" in getattr(item, "fixturenames", ())))
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
    with Cluster.up(nodes=2, images=[product_image()], patience=240) as up:
        yield up


@pytest.fixture
def inside(cluster: Cluster) -> Generator[Cluster]:
    """The cluster, with the test in node 1's network: pod addresses, Service addresses and names work."""
    with cluster.inside():
        yield cluster
