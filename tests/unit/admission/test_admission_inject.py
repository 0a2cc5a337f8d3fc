"""What an injection puts in, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from admission.edits import edited
from admission.sidecar import flags_of
from autoscaler.policy.profiles import read_profiles
from queue_proxy.http import UpstreamProtocol
from queue_proxy.probe_spec import HttpProbe, TcpProbe
from tests.unit.admission.isvcs import (
    IMAGE,
    TRITON,
    custom,
    injected,
    isvc,
    result,
    sidecar_in,
    told,
)


def test_the_sidecar_comes_last_and_shows_one_port() -> None:
    sidecar = sidecar_in(injected(custom(ports=[{"containerPort": 9000}])))
    assert sidecar["ports"] == [{"containerPort": 8012, "protocol": "TCP"}]
    assert sidecar["readinessProbe"] == {"httpGet": {"path": "/ready", "port": 8022}, "periodSeconds": 1}
    assert sidecar["image"] == "pilotlight:1"


def test_without_a_port_the_model_is_at_8080() -> None:
    assert told(injected(custom())).upstream_port == 8080


@pytest.mark.parametrize("name", ["grpc", "h2c", "grpc-infer"])
def test_a_model_that_speaks_http2_gets_a_proxy_whose_port_says_so_too(name: str) -> None:
    body = injected(custom(ports=[{"containerPort": 9000, "name": name}]))
    assert told(body).upstream_protocol is UpstreamProtocol.H2C
    assert sidecar_in(body)["ports"][0]["name"] == name


def test_the_models_probe_is_the_proxys() -> None:
    probe = {"httpGet": {"path": "/up?x=$(POD_NAME)", "port": "web"}, "failureThreshold": 5}
    config = told(injected(custom(ports=[{"containerPort": 9000, "name": "web"}], readinessProbe=probe)))
    assert config.probe.probe == HttpProbe("127.0.0.1", 9000, "/up?x=$(POD_NAME)")
    assert config.probe.failure_threshold == 5


def test_a_command_cannot_be_asked_from_the_next_container() -> None:
    body = custom(readinessProbe={"exec": {"command": ["true"]}})
    assert told(injected(body)).probe.probe == TcpProbe("127.0.0.1", 8080)
    assert "the model's probe is a command" in " ".join(result(body).remarks)


def test_policy_flags_come_from_the_policy_and_its_profile() -> None:
    profiles = read_profiles({"data": {"p": "containerConcurrency: 8\nqueue-requests: 5\nidle-timeout: 9s"}})
    body = isvc({"pilotlight.dev/profile": "p"}, timeout=60, containers=[{"name": "kserve-container"}])
    config = told(injected(body, replace(IMAGE, profiles=profiles)))
    assert (config.limit, config.queue_requests, config.timeout, config.idle_timeout) == (8, 5, 60.0, 9.0)


def test_a_runtimes_port_probe_and_metrics_count() -> None:
    body = isvc(model={"modelFormat": {"name": "triton"}})
    config = told(injected(body, replace(IMAGE, runtimes=[TRITON])))
    assert (config.upstream_port, config.upstream_protocol) == (9000, UpstreamProtocol.H2C)
    assert config.engine_metrics is not None
    assert (config.engine_metrics.port, config.engine_metrics.path) == (8002, "/metrics")


def test_an_old_short_form_is_a_model() -> None:
    body = injected(isvc(triton={"storageUri": "s3://m"}), replace(IMAGE, runtimes=[TRITON]))
    assert told(body).upstream_port == 9000
    assert body["spec"]["predictor"]["triton"]["lifecycle"]["preStop"]["httpGet"]["path"] == "/drained"


def test_an_unknown_runtime_is_taken_to_serve_on_8080_and_said_to_be() -> None:
    body = isvc(model={"modelFormat": {"name": "onnx"}, "runtime": "mine"})
    assert told(injected(body)).upstream_port == 8080
    assert any("the runtime mine is not known here" in remark for remark in result(body).remarks)


def test_a_single_custom_container_gets_the_name_that_kserve_would_give_it() -> None:
    body = injected(isvc(containers=[{"name": "mine", "image": "m"}]))
    assert body["spec"]["predictor"]["containers"][0]["name"] == "kserve-container"


def test_the_protocol_of_a_custom_predictor_is_mirrored_and_its_storage_is_not() -> None:
    env = [{"name": "PROTOCOL", "value": "v2"}, {"name": "STORAGE_URI", "value": "s3://m"}]
    names = {variable["name"]: variable.get("value") for variable in sidecar_in(injected(custom(env=env)))["env"]}
    assert names["PROTOCOL"] == "v2"
    assert "STORAGE_URI" not in names


def test_nothing_names_a_user_since_a_model_in_an_image_brings_one() -> None:
    security = sidecar_in(injected(isvc(model={"modelFormat": {"name": "x"}, "storageUri": "oci://m"})))[
        "securityContext"
    ]
    assert security == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_what_a_sleeping_service_needs_is_added_and_said() -> None:
    injection = result(custom())
    body = edited(custom(), injection.edits)
    predictor = body["spec"]["predictor"]  # type: ignore[index]
    assert predictor["deploymentStrategy"] == {"rollingUpdate": {"maxUnavailable": 1}}
    assert predictor["terminationGracePeriodSeconds"] == 315
    assert predictor["containers"][0]["lifecycle"] == {"preStop": {"httpGet": {"path": "/drained", "port": 8022}}}
    assert body["metadata"]["annotations"] == {  # type: ignore[index]
        "pilotlight.dev/scaling": "on",
        "serving.kserve.io/autoscalerClass": "external",
    }
    said = "\n".join(injection.remarks)
    for word in ("maxUnavailable", "terminationGracePeriodSeconds", "preStop", "scaling", "autoscalerClass"):
        assert word in said


@pytest.mark.parametrize(
    "said",
    [
        {"deploymentStrategy": {"type": "Recreate"}},
        {"deploymentStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
        {"terminationGracePeriodSeconds": 30},
        {"containers": [{"name": "kserve-container", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}]},
    ],
)
def test_what_the_user_has_said_stays(said: dict[str, object]) -> None:
    body = isvc(**{"containers": [{"name": "kserve-container"}], **said})
    predictor = injected(body)["spec"]["predictor"]
    for name, value in said.items():
        assert (predictor[name][:1] if name == "containers" else predictor[name]) == value


def test_the_drain_ends_before_the_grace_period_does() -> None:
    for grace, drain in ((0, 0), (3, 2), (30, 20), (600, 585)):
        body = isvc(containers=[{"name": "kserve-container"}], terminationGracePeriodSeconds=grace)
        assert told(injected(body)).drain_seconds == drain


def test_in_shadow_whoever_scales_now_goes_on() -> None:
    body = injected(isvc({"pilotlight.dev/scaling": "shadow"}))
    assert body["metadata"]["annotations"] == {"pilotlight.dev/scaling": "shadow"}


@pytest.mark.parametrize("component", ["transformer", "explainer"])
def test_another_component_keeps_its_autoscaler(component: str) -> None:
    body = custom()
    body["spec"][component] = {"containers": [{"name": "t"}]}  # type: ignore[index]
    after = injected(body)
    assert after["spec"]["predictor"]["annotations"] == {"serving.kserve.io/autoscalerClass": "external"}
    assert after["metadata"]["annotations"] == {"pilotlight.dev/scaling": "on"}
    assert any(f"since {component} stays with KServe" in remark for remark in result(body).remarks)


def test_off_means_that_nothing_is_put_in() -> None:
    assert result(isvc({"pilotlight.dev/scaling": "off"})).edits == ()


def test_further_ports_are_given_up_only_by_name() -> None:
    body = custom(ports=[{"containerPort": 8080}, {"containerPort": 9000}])
    assert told(injected(body, replace(IMAGE, first_port_only=True))).upstream_port == 8080


def test_a_port_for_metrics_is_nobodys_loss() -> None:
    body = custom(ports=[{"containerPort": 8080}, {"containerPort": 9400, "name": "metrics"}])
    assert told(injected(body)).upstream_port == 8080


def test_both_ways_to_write_flags_are_read() -> None:
    assert flags_of({"args": ["--a", "1", "--b=2", "--c", "--d", "x=y"]}) == {
        "--a": "1",
        "--b": "2",
        "--c": "",
        "--d": "x=y",
    }
