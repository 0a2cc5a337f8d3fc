"""From an InferenceService to a process: ports, placeholders, variables, storage, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from autoscaler.cluster.local.launch_error import LaunchError
from autoscaler.cluster.local.launch_plan import Launch, LaunchPlan, plan_launch

COMMAND = ["python", "-m", "model"]


def custom(
    container: Mapping[str, object], predictor: Mapping[str, object] | None = None, **metadata: object
) -> LaunchPlan:
    body = {
        "metadata": {"name": "chat", "namespace": "team", **metadata},
        "spec": {
            "predictor": {
                "containers": [
                    {"name": "kserve-container", "image": "registry/img:1", "command": COMMAND, **container}
                ],
                **(predictor or {}),
            }
        },
    }
    return plan_launch(body, [])


def launched(container: Mapping[str, object], *ports: int, **metadata: object) -> Launch:
    return custom(container, None, **metadata).launch("chat-predictor-abcde", ports or (21000,))


@pytest.mark.parametrize(
    ("declared", "argument", "expected"),
    [
        ([8080], "8080", "21000"),
        ([8080], "--port=8080", "--port=21000"),
        ([8080], "0.0.0.0:8080", "0.0.0.0:21000"),
        ([8080], "--bind=127.0.0.1:8080", "--bind=127.0.0.1:21000"),
        ([8080], "tcp://[::]:8080", "tcp://[::]:21000"),
        ([], "--port=8080", "--port=21000"),
        ([9000], "--port=9000", "--port=21000"),
        ([9000], "--port=8080", "--port=8080"),
        ([9000, 9001], "--grpc-port=9001", "--grpc-port=21001"),
        ([8080], "--seed=18080", "--seed=18080"),
        ([8080], "--port=80801", "--port=80801"),
        ([8080], "model-8080", "model-8080"),
        ([8080], "8080x", "8080x"),
        ([8080], "--port=$(PORT)", "--port=21000"),
    ],
)
def test_a_port_that_stands_as_a_number_of_its_own_becomes_the_allocated_one(
    declared: list[int], argument: str, expected: str
) -> None:
    ports = [{"containerPort": port} for port in declared]
    allocated = range(21000, 21000 + max(1, len(declared)))
    assert launched({"ports": ports, "args": [argument]}, *allocated).argv[-1] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("8080", "21000"), ("18080", "18080"), ("http://x:8080", "http://x:8080"), ("$(PORT)", "21000"), ("", "")],
)
def test_an_environment_value_is_a_port_only_when_it_is_nothing_else(value: str, expected: str) -> None:
    assert launched({"env": [{"name": "LISTEN", "value": value}]}).environment["LISTEN"] == expected


@pytest.mark.parametrize(("own", "expected"), [(None, "21000"), ("8080", "21000"), ("9999", "9999")])
def test_port_is_always_told_in_the_environment_unless_the_container_says_otherwise(
    own: str | None, expected: str
) -> None:
    env = [] if own is None else [{"name": "PORT", "value": own}]
    assert launched({"env": env}).environment["PORT"] == expected


def test_an_allocated_number_that_equals_a_declared_one_is_not_replaced_again() -> None:
    container = {"ports": [{"containerPort": 21001}, {"containerPort": 21000}], "args": ["--a=21001", "--b=21000"]}
    assert launched(container, 21000, 21005).argv[-2:] == ("--a=21000", "--b=21005")


def test_a_port_written_nowhere_is_warned_about() -> None:
    assert any("gets it in the variable PORT" in warning for warning in custom({}).warnings)


@pytest.mark.parametrize("argument", ["--port=8080", "exec server --port $PORT", "$(PORT)"])
def test_a_model_that_is_told_its_port_gives_no_warning(argument: str) -> None:
    assert custom({"args": [argument]}).warnings == ()


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ({"httpGet": {"path": "/ok", "port": 8080}}, {"httpGet": {"path": "/ok", "port": 21000}}),
        ({"httpGet": {"path": "/ok", "port": "http"}}, {"httpGet": {"path": "/ok", "port": 21000}}),
        ({"tcpSocket": {"port": 9000}}, {"tcpSocket": {"port": 21001}}),
        ({"grpc": {"port": 9000}, "periodSeconds": 3}, {"grpc": {"port": 21001}, "periodSeconds": 3}),
        ({"exec": {"command": ["check", "--port=9000"]}}, {"exec": {"command": ["check", "--port=21001"]}}),
    ],
)
def test_the_readiness_probe_asks_this_replicas_ports(probe: object, expected: object) -> None:
    ports = [{"name": "http", "containerPort": 8080}, {"containerPort": 9000}]
    assert launched({"ports": ports, "readinessProbe": probe}, 21000, 21001).probe == expected


def test_a_startup_probe_stands_in_for_a_missing_readiness_probe() -> None:
    assert launched({"startupProbe": {"tcpSocket": {"port": 8080}}}).probe == {"tcpSocket": {"port": 21000}}


def test_a_port_that_only_the_probe_names_is_allocated_too() -> None:
    plan = custom({"args": ["--port=8080", "--health=8081"], "readinessProbe": {"httpGet": {"port": 8081}}})
    assert plan.ports.declared == (8080, 8081)
    assert plan.launch("x", (21000, 21001)).argv[-1] == "--health=21001"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"prometheus.kserve.io/port": "8080", "prometheus.kserve.io/path": "/m"}, "http://127.0.0.1:21000/m"),
        ({"prometheus.kserve.io/port": "8080"}, "http://127.0.0.1:21000/metrics"),
        ({"prometheus.kserve.io/path": "/metrics"}, "http://127.0.0.1:21000/metrics"),
        ({}, None),
    ],
)
def test_the_engines_metrics_are_where_the_annotations_say(annotations: dict[str, str], expected: str | None) -> None:
    assert launched({"args": ["--port=8080"]}, annotations=annotations).metrics_url == expected


@pytest.mark.parametrize(
    ("env", "argument", "expected"),
    [
        ({"A": "1"}, "$(A)", "1"),
        ({"A": "1"}, "$$(A)", "$(A)"),
        ({"A": "1"}, "$$$(A)", "$1"),
        ({"A": "1"}, "$A", "$A"),
        ({}, "$(UNKNOWN)", "$(UNKNOWN)"),
        ({"A": "1", "B": "$(A)2"}, "$(B)", "12"),
        ({"B": "$(A)2", "A": "1"}, "$(B)", "$(A)2"),
        ({"A": "$$(B)", "B": "x"}, "$(A)", "$(B)"),
        ({}, "$(INFERENCE_SERVICE_NAME)", "chat"),
    ],
)
def test_variables_expand_as_in_kubernetes(env: dict[str, str], argument: str, expected: str) -> None:
    entries = [{"name": name, "value": value} for name, value in env.items()]
    assert launched({"env": entries, "args": [argument]}).argv[-1] == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "chat-predictor-abcde"),
        ("metadata.namespace", "team"),
        ("metadata.labels['tier']", "gold"),
        ("status.podIP", "127.0.0.1"),
    ],
)
def test_field_references_that_exist_here_are_filled_in(path: str, expected: str) -> None:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert launched({"env": env}, labels={"tier": "gold"}).environment["X"] == expected


@pytest.mark.parametrize("uri", ["file:///data/llama", "/data/llama"])
def test_mnt_models_stands_for_the_storage_folder(uri: str) -> None:
    env = [{"name": "STORAGE_URI", "value": uri}, {"name": "MODEL", "value": "/mnt/models"}]
    args = ["--model=/mnt/models/weights", "/mnt/models-extra", "/srv/mnt/models", "a:/mnt/models,b"]
    launch = launched({"env": env, "args": args})
    assert launch.argv[-4:] == (
        "--model=/data/llama/weights",
        "/mnt/models-extra",
        "/srv/mnt/models",
        "a:/data/llama,b",
    )
    assert launch.environment["MODEL"] == "/data/llama"


def test_resources_are_the_larger_of_request_and_limit() -> None:
    plan = custom(
        {"resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "500m", "nvidia.com/gpu": 2}}}
    )
    assert plan.resources == {"cpu": Decimal(2), "memory": Decimal(2**30), "nvidia.com/gpu": Decimal(2)}
    assert plan.gpus == 2


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"command": None}, "no command to run locally: the command of image registry/img:1"),
        ({"command": "python"}, "containers[0].command must be a list, not 'python'"),
        ({"args": [8080]}, 'containers[0].args[0] must be a text, not 8080 (write "8080" in quotes)'),
        ({"env": [{"name": "A", "value": 1}]}, "env[0].value must be a text, not 1"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {}}}]}, "A comes from secretKeyRef"),
        ({"envFrom": [{}]}, "there are no Secrets or ConfigMaps here"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}, "not 'spec.nodeName'"),
        ({"env": [{"name": "STORAGE_URI", "value": "s3://b/m"}]}, "'s3://b/m' is not on this machine; download it"),
        ({"ports": [{"containerPort": 70000}]}, "must be a port number within 1..65535, not 70000"),
        ({"readinessProbe": {"httpGet": {"port": "web"}}}, "there is no container port named 'web' (there: none)"),
        ({"readinessProbe": {}}, "must have exactly one of httpGet, tcpSocket, grpc, exec"),
        ({"resources": {"limits": {"cpu": "many"}}}, "must be a quantity such as 2, 500m or 16Gi, not 'many'"),
        ({"resources": {"limits": {"nvidia.com/gpu": "500m"}}}, "must be whole GPUs"),
    ],
)
def test_a_container_that_cannot_run_here_is_refused_by_name(container: Mapping[str, object], message: str) -> None:
    with pytest.raises(LaunchError) as raised:
        custom(container)
    assert message in str(raised.value)
    assert str(raised.value).startswith("team/chat: ")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"predictor": {}}, "spec.predictor must have containers (with a command) or a model"),
        ({"predictor": []}, "spec.predictor must be an object, not a list"),
        ({"predictor": {"workerSpec": {}}, "transformer": {}}, "spec.transformer, spec.predictor.workerSpec"),
        ({"predictor": {"sklearn": {}}}, "modelFormat: {name: sklearn}"),
        ({"predictor": {"containers": [{"name": "kserve-container"}, {"name": "agent"}]}}, "has company: agent"),
        (
            {"predictor": {"volumes": [{"name": "v", "persistentVolumeClaim": {}}], "containers": [{}]}},
            "a volume of kind persistentVolumeClaim",
        ),
    ],
)
def test_what_one_machine_cannot_do_is_refused_by_name(spec: object, message: str) -> None:
    with pytest.raises(LaunchError) as raised:
        plan_launch({"metadata": {"name": "chat"}, "spec": spec}, [])
    assert message in str(raised.value)


def test_an_object_without_a_name_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"metadata\.name is missing"):
        plan_launch({"spec": {}}, [])


@pytest.mark.parametrize("name", ["../evil", "a/b", "Chat", "-a", "a-", "a" * 64, "1a", "a\n", "a b"])
def test_a_name_that_kubernetes_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(LaunchError, match=r"metadata\.name must have"):
        plan_launch({"metadata": {"name": name}, "spec": {}}, [])
    if name != "1a":
        with pytest.raises(LaunchError, match=r"metadata\.namespace must have"):
            plan_launch({"metadata": {"name": "chat", "namespace": name}, "spec": {}}, [])


def test_the_grace_period_of_the_manifest_bounds_the_drain() -> None:
    assert custom({}, {"terminationGracePeriodSeconds": 7}).drain_seconds == 7.0
    assert custom({}).drain_seconds is None


@pytest.mark.parametrize(
    ("name", "speaks_h2c"),
    [("h2c", True), ("h2c-port", True), ("grpc", True), ("grpc-port", True), ("http1", False), (None, False)],
)
def test_the_name_of_the_first_port_says_whether_the_model_speaks_http_2(name: str | None, speaks_h2c: bool) -> None:
    port = {"containerPort": 9000, "name": name or ""}
    metrics = {"name": "grpc-metrics", "containerPort": 9001}
    plan = custom({"args": ["9000", "9001"], "ports": [port, metrics]})
    assert plan.ports.speaks_h2c is speaks_h2c
