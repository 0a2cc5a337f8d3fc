"""The example server speaks the Open Inference Protocol, computes for real, and refuses what is malformed."""

from __future__ import annotations

import math

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.example_server.classifier import CLASSES, FEATURES, InvalidTensorError, classify, read_rows
from pilotlight.example_server.engine import Engine
from pilotlight.example_server.options import Options
from pilotlight.example_server.server import build_application

TENSOR = {"name": "input", "datatype": "FP32", "shape": [2, 4], "data": [[0, 0, 0, 0], [9, 9, 9, 9]]}


def client_of(options: Options, *, loaded: bool = True) -> tuple[TestClient, Engine]:  # type: ignore[type-arg]
    engine = Engine(options, clock=lambda: 100.0)
    engine.loaded = loaded
    return TestClient(TestServer(build_application(engine))), engine


async def test_inference_returns_the_scores_and_labels_of_each_row_and_the_request_id() -> None:
    client, _ = client_of(Options(model="flowers"))
    async with client:
        answer = await client.post("/v2/models/flowers/infer", json={"id": "r1", "inputs": [TENSOR]})
        body = await answer.json()
    assert answer.status == 200
    assert body["id"] == "r1"
    scores, label = body["outputs"]
    assert scores["data"] == [1.0, 0.5, -1.0, -21.5, 5.5625, 21.5]
    assert label["data"] == [0, 2]
    assert scores["shape"] == [2, len(CLASSES)]


async def test_every_answer_says_that_it_comes_from_an_example() -> None:
    client, _ = client_of(Options(model="m"))
    async with client:
        server = await (await client.get("/v2")).json()
        model = await (await client.get("/v2/models/m")).json()
        answer = await client.post("/v2/models/m/infer", json={"inputs": [TENSOR]})
        assert "example" in server["description"]
        assert "example" in model["parameters"]["example"]
        assert "example" in (await answer.json())["parameters"]["example"]
        assert "example" in answer.headers["Example-Server"]


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/m/ready"])
@pytest.mark.parametrize(("loaded", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_503_until_loaded(path: str, loaded: bool, status: int) -> None:
    client, _ = client_of(Options(model="m"), loaded=loaded)
    async with client:
        assert (await client.get(path)).status == status
        assert (await client.get("/v2/health/live")).status == 200


async def test_a_request_before_the_model_is_loaded_is_refused() -> None:
    client, _ = client_of(Options(model="m"), loaded=False)
    async with client:
        assert (await client.post("/v2/models/m/infer", json={"inputs": [TENSOR]})).status == 503


@pytest.mark.parametrize("path", ["/v2/models/x", "/v2/models/x/ready", "/v2/models/m/versions/2", "/nothing"])
async def test_unknown_models_and_paths_are_404_with_a_json_error(path: str) -> None:
    client, _ = client_of(Options(model="m"))
    async with client:
        answer = await client.get(path)
        assert answer.status == 404
        assert "error" in await answer.json()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"[1]", "object"),
        (b'{"inputs": [{"data": NaN}]}', "NaN"),
        (b"[" * 100_000, "JSON"),
        (b"{}", "inputs"),
        (b'{"inputs": []}', "inputs"),
        (b'{"inputs": [3]}', "object"),
        (b'{"id": 4, "inputs": [{}]}', "id"),
        (b'{"inputs": [{"name": "x", "datatype": "INT8"}]}', "datatype"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 5], "data": []}]}', "shape"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3]}]}', "data"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, "4"]}]}', "data"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 1e39]}]}', "data"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [99999999, 4], "data": []}]}', "shape"),
    ],
)
async def test_malformed_requests_get_400_and_a_message_that_names_the_field(body: bytes, named: str) -> None:
    client, _ = client_of(Options(model="m"))
    async with client:
        answer = await client.post("/v2/models/m/infer", data=body)
        assert answer.status == 400
        assert named in (await answer.json())["error"]


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=20))
def test_the_label_is_the_class_with_the_highest_score(rows: list[list[float]]) -> None:
    answer = classify(rows)
    for label, scores in zip(answer.labels, answer.scores, strict=True):
        assert scores[label] == max(scores)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=4, max_size=4), min_size=1, max_size=5))
def test_flat_and_nested_data_mean_the_same_and_infinity_is_refused(rows: list[list[float]]) -> None:
    fields = {"name": "x", "datatype": "FP32", "shape": [len(rows), FEATURES]}
    flat = [value for row in rows for value in row]
    if any(math.isinf(value) for value in flat):
        with pytest.raises(InvalidTensorError):
            read_rows({**fields, "data": flat})
    else:
        assert read_rows({**fields, "data": rows}) == read_rows({**fields, "data": flat}) == rows
