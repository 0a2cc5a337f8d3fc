"""What an injection puts in, what it leaves alone, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.edits import Edit, Operation, edited, json_patch
from admission.inject import Injection, Refusals, remove
from admission.record import VARIABLE
from admission.sidecar import flags_of
from autoscaler.policy.profiles import read_profiles
from queue_proxy.http import UpstreamProtocol
from queue_proxy.probe_spec import HttpProbe, TcpProbe
from queue_proxy.settings import Config, parse
from tests.unit.admission.isvcs import IMAGE, custom, injected, isvc, refusals, result, sidecar_in

NAME = "transformer-container"
TRITON = {
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "triton"},
    "spec": {
        "annotations": {"prometheus.kserve.io/port": "8002", "prometheus.kserve.io/path": "/metrics"},
        "supportedModelFormats": [{"name": "triton", "autoSelect": True}],
        "containers": [
            {"name": "kserve-container", "ports": [{"name": "h2c", "containerPort": 9000}, {"containerPort": 8002}]}
        ],
    },
}


def told(body: Mapping[str, Any]) -> Config:
    """What the queue proxy makes of its arguments, as kubelet would hand them over."""
    arguments = sidecar_in(body)["args"]
    filled = [
        a.replace("$(POD_NAME)", "chat-1").replace("$(POD_NAMESPACE)", "team").replace("$$(", "$(") for a in arguments
    ]
    return parse(filled)


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
    probe = {"httpGet": {"path": "/up?x=$(HOME)", "port": "web"}, "failureThreshold": 5}
    config = told(injected(custom(ports=[{"containerPort": 9000, "name": "web"}], readinessProbe=probe)))
    assert config.probe.probe == HttpProbe("127.0.0.1", 9000, "/up?x=$(HOME)")
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


def test_a_transformer_keeps_its_autoscaler() -> None:
    body = custom()
    body["spec"]["transformer"] = {"containers": [{"name": "t"}]}  # type: ignore[index]
    after = injected(body)
    assert after["spec"]["predictor"]["annotations"] == {"serving.kserve.io/autoscalerClass": "external"}
    assert after["metadata"]["annotations"] == {"pilotlight.dev/scaling": "on"}


def test_off_means_that_nothing_is_put_in() -> None:
    assert result(isvc({"pilotlight.dev/scaling": "off"})).edits == ()


MAIN = {"name": "kserve-container"}


@pytest.mark.parametrize(
    ("body", "why", "fix"),
    [
        (isvc(containers=[MAIN, {"name": NAME, "image": "t"}]), "no queue proxy", "spec.transformer"),
        (isvc(containers=[{"name": "a"}, {"name": "b"}]), "which of a, b is the model", "name it kserve-container"),
        (isvc(minReplicas=0), "there is no model in it", "write containers, or a model"),
        (
            custom(ports=[{"containerPort": 8080}, {"containerPort": 9000, "name": "grpc"}]),
            "9000 (grpc)",
            "--first-port",
        ),
        (custom(ports=[{"containerPort": 8012}]), "port 8012 is the queue proxy's", "listen on another"),
        (custom(readinessProbe={"httpGet": {"port": "nope"}}), "no container port named 'nope'", ""),
        (custom(readinessProbe={"httpGet": {"path": "a b"}}), "httpGet.path", ""),
        (custom(readinessProbe={"httpGet": {"port": 8012}}), "the model's probe asks port 8012", ""),
        (custom(ports=[{"containerPort": "8080"}]), "containerPort must be a whole number", ""),
        (
            isvc(model={"modelFormat": {"name": "x"}}, workerSpec={"pipelineParallelSize": 2}),
            "several nodes",
            "leave it",
        ),
        (isvc(containers=[MAIN], logger={"mode": "all"}), "spec.predictor.logger", "--request-log"),
        (isvc(containers=[MAIN], batcher={"maxBatchSize": 2}), "spec.predictor.batcher", "leave it out"),
        (isvc(containers=[MAIN], canary=[{"name": "c"}]), "could not be woken", "of its own"),
        (isvc(containers=[MAIN], hostNetwork=True), "on one node", "leave it out"),
        (isvc({"pilotlight.dev/target": "0"}), "pilotlight.dev/target", "allowed:"),
        (isvc({"serving.kserve.io/autoscalerClass": "hpa"}), "HorizontalPodAutoscaler", "write external"),
        (isvc({"serving.kserve.io/deploymentMode": "Knative"}), "deploymentMode", "write Standard"),
        (isvc(containers="x"), "spec.predictor.containers must be a list", ""),
        (isvc(containers=[7]), "spec.predictor.containers[0] must be an object", ""),
        (isvc(containers=[MAIN], volumes="x"), "spec.predictor.volumes must be a list", ""),
        (custom(lifecycle=7), "spec.predictor.containers[0].lifecycle must be an object, not 7", ""),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_what_to_do(body: dict[str, object], why: str, fix: str) -> None:
    text = refusals(body)
    assert why in text
    assert fix in text
    assert text.startswith("team/chat: ")


def test_everything_that_is_in_the_way_is_said_at_once() -> None:
    text = refusals(isvc(containers=[MAIN, {"name": NAME}], logger={"mode": "all"}, hostNetwork=True))
    assert text.count("team/chat: ") == 3


def test_a_runtime_that_has_the_slot_is_refused_too() -> None:
    taken: dict[str, Any] = {**TRITON, "spec": {**TRITON["spec"], "containers": [MAIN, {"name": NAME, "image": "t"}]}}  # type: ignore[dict-item]
    assert "no queue proxy" in refusals(isvc(triton={"storageUri": "x"}), replace(IMAGE, runtimes=[taken]))


def test_further_ports_are_given_up_only_by_name() -> None:
    body = custom(ports=[{"containerPort": 8080}, {"containerPort": 9000}])
    assert told(injected(body, replace(IMAGE, first_port_only=True))).upstream_port == 8080


def test_a_port_for_metrics_is_nobodys_loss() -> None:
    body = custom(ports=[{"containerPort": 8080}, {"containerPort": 9400, "name": "metrics"}])
    assert told(injected(body)).upstream_port == 8080


# Again, upgrade, remove


def test_a_newer_image_is_put_in_only_when_told() -> None:
    old = injected(custom())
    newer = replace(IMAGE, image="pilotlight:2")
    assert result(old, newer).edits == ()
    upgraded = injected(old, replace(newer, upgrade=True))
    assert sidecar_in(upgraded)["image"] == "pilotlight:2"
    assert injected(upgraded, replace(newer, upgrade=True)) == upgraded


def test_a_limit_that_lags_behind_is_said() -> None:
    body = injected(isvc(containerConcurrency=4, containers=[MAIN]))
    body["spec"]["predictor"]["containerConcurrency"] = 8
    (remark,) = result(body).remarks
    assert remark.startswith("its queue proxy has --limit=4, and would get 8 today")
    assert told(injected(body, replace(IMAGE, upgrade=True))).limit == 8


def test_an_upgrade_keeps_what_others_have_added() -> None:
    body = injected(custom())
    sidecar = sidecar_in(body)
    sidecar["args"].append("--request-log=stdout")
    sidecar["env"].append({"name": "OTEL_SERVICE_NAME", "value": "x"})
    sidecar["resources"] = {"requests": {"cpu": "2"}}
    sidecar["securityContext"] = {**sidecar["securityContext"], "runAsUser": 1010, "readOnlyRootFilesystem": False}
    after = sidecar_in(injected(body, replace(IMAGE, image="pilotlight:2", upgrade=True)))
    assert after["args"][-1] == "--request-log=stdout"
    assert after["env"][-1]["name"] == "OTEL_SERVICE_NAME"
    assert after["resources"] == {"requests": {"cpu": "2"}}
    assert (after["securityContext"]["runAsUser"], after["securityContext"]["readOnlyRootFilesystem"]) == (1010, True)


def test_an_upgrade_leaves_out_by_name_what_the_queue_proxy_does_not_know() -> None:
    body = injected(custom())
    sidecar_in(body)["args"] += ["--of-version-1=3", "--of-version-2", "7", "--notice-seconds", "9"]
    upgrade = result(body, replace(IMAGE, upgrade=True))
    after = edited(body, upgrade.edits)
    assert [remark.split()[0] for remark in upgrade.remarks] == ["--of-version-1", "--of-version-2", "the"]
    assert told(after).notice.least == 9.0


def without_token(body: dict[str, Any]) -> dict[str, Any]:
    """As an injection from before there was one has left it."""
    sidecar = sidecar_in(body)
    del sidecar["volumeMounts"], body["spec"]["predictor"]["volumes"]
    sidecar["args"] = [word for word in sidecar["args"] if not word.startswith("--announce")]
    record = next(variable for variable in sidecar["env"] if variable["name"] == VARIABLE)
    entries = [entry for entry in json.loads(record["value"]) if "volumes" not in entry[0]]
    record["value"] = json.dumps(entries, separators=(",", ":"))
    return body


def test_an_upgrade_brings_the_token_and_a_removal_takes_it_away_again() -> None:
    body = custom()
    old = without_token(injected(body))
    assert result(old).edits == ()
    after = injected(old, replace(IMAGE, upgrade=True))
    assert after == injected(body)
    removal = remove(after)
    assert isinstance(removal, Injection)
    assert edited(after, removal.edits)["spec"] == body["spec"]


def test_a_sidecar_that_is_put_back_as_it_was_brings_no_volume_that_it_does_not_mount() -> None:
    before = without_token(injected(custom()))
    assert injected(custom(), IMAGE, before) == before


def test_a_list_of_volumes_that_was_applied_over_ours_gets_it_back() -> None:
    body = injected(custom())
    body["spec"]["predictor"]["volumes"] = [{"name": "weights", "emptyDir": {}}]
    volumes = injected(body)["spec"]["predictor"]["volumes"]
    assert [volume["name"] for volume in volumes] == ["weights", "pilotlight-token"]


def test_the_users_volumes_and_mounts_stay() -> None:
    after = injected(isvc(containers=[MAIN], volumes=[{"name": "weights", "emptyDir": {}}]))
    sidecar_in(after)["volumeMounts"].append({"name": "weights", "mountPath": "/w"})
    upgraded = injected(after, replace(IMAGE, image="pilotlight:2", upgrade=True))
    assert [mount["name"] for mount in sidecar_in(upgraded)["volumeMounts"]] == ["pilotlight-token", "weights"]
    removal = remove(after)
    assert isinstance(removal, Injection)
    volumes: object = edited(after, removal.edits)["spec"]["predictor"]["volumes"]  # type: ignore[index]
    assert volumes == [{"name": "weights", "emptyDir": {}}]


def test_an_upgrade_without_the_runtime_keeps_where_the_model_is() -> None:
    body = injected(isvc(triton={"storageUri": "x"}), replace(IMAGE, runtimes=[TRITON]))
    after = injected(body, replace(IMAGE, image="pilotlight:2", upgrade=True))
    assert (told(after).upstream_port, sidecar_in(after)["ports"][0]["name"]) == (9000, "h2c")


def test_a_replaced_object_gets_its_old_sidecar_back() -> None:
    before = injected(custom())
    newer = replace(IMAGE, image="pilotlight:2")
    assert injected(custom(), newer, before) == before


def test_before_another_model_image_and_arguments_are_of_one_version() -> None:
    before = injected(custom())
    sidecar_in(before)["args"].append("--flag-of-version-1")
    other = custom(ports=[{"containerPort": 9000}])
    newer = replace(IMAGE, image="pilotlight:2")
    assert sidecar_in(injected(other, newer, before)) == sidecar_in(injected(other, newer))


def test_a_limit_edited_in_a_replaced_object_restarts_nothing() -> None:
    before = injected(isvc(containerConcurrency=4, timeout=60, containers=[MAIN]))
    after = injected(isvc(containerConcurrency=8, timeout=90, containers=[MAIN]), IMAGE, before)
    assert sidecar_in(after) == sidecar_in(before)
    assert after["spec"]["predictor"]["terminationGracePeriodSeconds"] == 75


def test_what_was_changed_since_stays() -> None:
    body = injected(custom())
    body["spec"]["predictor"]["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] = 0
    body["spec"]["predictor"]["terminationGracePeriodSeconds"] = 7
    taken = remove(body)
    assert isinstance(taken, Injection)
    predictor = edited(body, taken.edits)["spec"]["predictor"]  # type: ignore[index]
    assert predictor["deploymentStrategy"] == {"rollingUpdate": {"maxUnavailable": 0}}
    assert predictor["terminationGracePeriodSeconds"] == 7
    assert sum("it has been changed since" in remark for remark in taken.remarks) == 2


def test_a_sidecar_written_by_hand_is_left_to_hands() -> None:
    by_hand = {"name": NAME, "command": ["python", "-m", "queue_proxy"], "args": ["--limit", "3"]}
    body = isvc(containers=[MAIN, by_hand])
    assert result(body) == Injection((), ())
    taken = remove(body)
    assert isinstance(taken, Refusals)
    assert "take it out by hand" in str(taken.reasons[0])


@pytest.mark.parametrize(
    "record", ["", "{", "{}", "[1]", "[[[1],2]]", '[[["metadata","name"],"x"]]', '[[["spec"],{}]]', "[" * 100_000]
)
def test_a_record_that_no_injection_wrote_is_refused(record: str) -> None:
    body = injected(custom())
    sidecar_in(body)["env"][-1]["value"] = record
    assert isinstance(remove(body), Refusals)


def test_both_ways_to_write_flags_are_read() -> None:
    assert flags_of({"args": ["--a", "1", "--b=2", "--c", "--d", "x=y"]}) == {
        "--a": "1",
        "--b": "2",
        "--c": "",
        "--d": "x=y",
    }


# Laws

ports: st.SearchStrategy[list[int]] = st.lists(
    st.integers(1, 65_535).filter(lambda port: port not in (8012, 8022)), max_size=1
)
containers: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"image": st.just("m")},
    optional={
        "name": st.sampled_from(["kserve-container", "mine"]),
        "ports": ports.map(lambda numbers: [{"containerPort": number} for number in numbers]),
        "readinessProbe": st.sampled_from([{"httpGet": {"path": "/x"}}, {"tcpSocket": {"port": 1}}, None]),
        "lifecycle": st.sampled_from(
            [None, {}, {"postStart": {"httpGet": {"port": 1}}}, {"preStop": {"sleep": {"seconds": 1}}}]
        ),
        "env": st.just([{"name": "PROTOCOL", "value": "v2"}]),
    },
)
predictors: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": st.integers(0, 3),
        "containerConcurrency": st.integers(0, 9),
        "timeout": st.integers(0, 900),
        "terminationGracePeriodSeconds": st.none() | st.integers(0, 900),
        "deploymentStrategy": st.sampled_from(
            [None, {}, {"type": "Recreate"}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}]
        ),
        "annotations": st.sampled_from([None, {}, {"serving.kserve.io/autoscalerClass": "external"}]),
    },
)
annotated: st.SearchStrategy[dict[str, str] | None] = st.none() | st.dictionaries(
    st.sampled_from(["pilotlight.dev/scaling"]), st.sampled_from(["on", "shadow"])
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    predictor: dict[str, Any] = dict(draw(predictors))
    if draw(st.booleans()):
        predictor["containers"] = [draw(containers)]
    else:
        predictor["model"] = {**draw(containers), "modelFormat": {"name": "x"}}
        predictor["model"].pop("name", None)
        if draw(st.booleans()):
            predictor["containers"] = draw(st.sampled_from([None, [], [{"name": "beside", "image": "b"}]]))
    body: dict[str, Any] = isvc(draw(annotated), **predictor)
    if draw(st.booleans()):
        body["metadata"]["annotations"] = None
    if draw(st.booleans()):
        body["spec"]["transformer"] = {"containers": [{"name": "t"}]}
    return body


@settings(deadline=None)
@given(objects())
def test_injecting_twice_is_injecting_once(body: dict[str, Any]) -> None:
    assert result(injected(body)).edits == ()


@settings(deadline=None)
@given(objects())
def test_removing_is_the_way_back(body: dict[str, Any]) -> None:
    after = injected(body)
    taken = remove(after)
    assert isinstance(taken, Injection)
    assert edited(after, taken.edits) == body


@settings(deadline=None)
@given(objects())
def test_every_queue_proxy_would_start(body: dict[str, Any]) -> None:
    assert told(injected(body)).listen is not None


def patched(document: Any, patch: list[dict[str, Any]]) -> Any:
    """JSON Patch as RFC 6902 says it, for the operations that are used."""
    for step in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        inner = document
        for part in parents:
            inner = inner[int(part)] if isinstance(inner, list) else inner[part]
        if isinstance(inner, list):
            assert step["op"] == "add"
            inner.insert(int(last), step["value"])
        else:
            assert step["op"] == "add" or last in inner
            inner[last] = step["value"]
    return document


@settings(deadline=None)
@given(objects())
def test_the_patch_says_the_same_as_the_edits(body: dict[str, Any]) -> None:
    edits = result(body).edits
    assert patched(edited(body, ()), json_patch(edits)) == edited(body, edits)


def test_a_removal_has_no_value() -> None:
    assert json_patch([Edit(Operation.REMOVE, ("a", "b/c~d", 0))]) == [{"op": "remove", "path": "/a/b~1c~0d/0"}]
