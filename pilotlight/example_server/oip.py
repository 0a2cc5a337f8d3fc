"""The Open Inference Protocol's V2 REST API, with one model: the classifier."""

from __future__ import annotations

from aiohttp import web

from pilotlight.example_server.classifier import CLASSES, FEATURES, Classified, InvalidTensorError, classify, read_rows
from pilotlight.example_server.engine import Engine, PretendedFailureError
from pilotlight.example_server.replies import ENGINE, EXAMPLE, BadRequestError, read_object, whoami

_PLATFORM = "pilotlight_example"
_INPUT = {"name": "input", "datatype": "FP32", "shape": [-1, FEATURES]}
_OUTPUTS = [
    {"name": "scores", "datatype": "FP32", "shape": [-1, len(CLASSES)]},
    {"name": "label", "datatype": "INT64", "shape": [-1]},
]


def add_routes(router: web.UrlDispatcher) -> None:
    """Declare the V2 paths."""
    router.add_get("/v2", _server_metadata)
    router.add_get("/v2/health/live", _live)
    router.add_get("/v2/health/ready", _ready)
    router.add_get("/v2/models", _models)
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        router.add_get(path, _model_metadata)
        router.add_get(f"{path}/ready", _model_ready)
        router.add_post(f"{path}/infer", _infer)


async def _server_metadata(request: web.Request) -> web.Response:
    return web.json_response({"name": _PLATFORM, "version": "1", "extensions": [], "description": EXAMPLE})


async def _live(request: web.Request) -> web.Response:
    return web.json_response({"live": True})


async def _ready(request: web.Request) -> web.Response:
    engine = request.app[ENGINE]
    if engine.ready:
        engine.ready_answered()
    return web.json_response({"ready": engine.ready}, status=200 if engine.ready else 503)


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"models": [request.app[ENGINE].options.model]})


async def _model_metadata(request: web.Request) -> web.Response:
    engine, missing = _model(request)
    if missing is not None:
        return missing
    return web.json_response(
        {
            "name": engine.options.model,
            "versions": ["1"],
            "platform": _PLATFORM,
            "inputs": [_INPUT],
            "outputs": _OUTPUTS,
            "parameters": {"example": EXAMPLE, "classes": ",".join(CLASSES)},
        }
    )


async def _model_ready(request: web.Request) -> web.Response:
    engine, missing = _model(request)
    if missing is not None:
        return missing
    if engine.ready:
        engine.ready_answered()
    body = {"name": engine.options.model, "ready": engine.ready}
    return web.json_response(body, status=200 if engine.ready else 503)


async def _infer(request: web.Request) -> web.Response:
    engine, missing = _model(request)
    if missing is not None:
        return missing
    engine.request_arrived()
    try:
        body = await read_object(request)
        rows = read_rows(_only_input(body))
    except (BadRequestError, InvalidTensorError) as error:
        return web.json_response({"error": str(error)}, status=400)
    if not engine.loaded:
        return web.json_response({"error": "the example server is still loading"}, status=503)
    try:
        async with engine.work():
            await engine.serve()
            answer = _answer(body, engine.options.model, classify(rows))
    except PretendedFailureError as error:
        return web.json_response({"error": str(error)}, status=500, headers=whoami(engine))
    return web.json_response(answer, headers=whoami(engine))


def _model(request: web.Request) -> tuple[Engine, web.Response | None]:
    engine = request.app[ENGINE]
    asked, version = request.match_info["model"], request.match_info.get("version", "1")
    if asked == engine.options.model and version == "1":
        return engine, None
    error = f"no model {asked!r:.80} version {version!r:.20}; this server has {engine.options.model!r} version '1'"
    return engine, web.json_response({"error": error}, status=404)


def _only_input(body: dict[str, object]) -> object:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise BadRequestError("`inputs` must be a list of one tensor")
    if not isinstance(body.get("id", ""), str):
        raise BadRequestError("`id` must be a text")
    return inputs[0]


def _answer(body: dict[str, object], model: str, classified: Classified) -> dict[str, object]:
    count = len(classified.labels)
    scores = [score for row in classified.scores for score in row]
    return {
        "model_name": model,
        "model_version": "1",
        **({"id": body["id"]} if "id" in body else {}),
        "parameters": {"example": EXAMPLE},
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [count, len(CLASSES)], "data": scores},
            {"name": "label", "datatype": "INT64", "shape": [count], "data": list(classified.labels)},
        ],
    }
