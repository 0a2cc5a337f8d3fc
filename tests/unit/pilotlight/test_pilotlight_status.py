"""The table of `pilotlight status`: unknown is not zero, and GPUs have a column where somebody knows what they do."""

from __future__ import annotations

from pilotlight.controller_api import Body
from pilotlight.status import status_lines


def service(name: str, **fields: object) -> Body:
    return Body({"service": name, "phase": "serving", "mode": "on", "ready": 1, "held": 0, **fields})


def test_gpus_have_no_column_where_nothing_is_known_of_any() -> None:
    lines = status_lines((service("default/a", gpu_utilization=None), service("default/b")))
    assert "GPU" not in lines[0]


def test_gpus_have_a_column_where_something_is_known_of_one() -> None:
    heading, known, unknown, idle = status_lines(
        (
            service("default/a", gpu_utilization=0.934),
            service("default/b", gpu_utilization=None),
            service("default/c", gpu_utilization=0.0),
        )
    )
    at = heading.index("GPU")
    assert [line[at:].split()[0] for line in (known, unknown, idle)] == ["93%", "?", "0%"]


def test_what_may_not_be_scaled_is_not_said_to_be_unknown() -> None:
    refused = service("default/a", phase=None, refused=[{"code": "Stopped", "message": "it was stopped"}])
    assert "not scaled" in status_lines((refused,))[1]


def test_a_table_without_services_is_its_headings() -> None:
    assert len(status_lines(())) == 1
