"""Injecting what was injected before: upgrades, objects that were replaced or edited since, and the way back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from admission.edits import edited, json_patch
from admission.inject import Injection, Refusals, remove
from admission.record import VARIABLE
from tests.unit.admission.isvcs import (
    IMAGE,
    MAIN,
    NAME,
    TRITON,
    custom,
    injected,
    isvc,
    patched,
    result,
    sidecar_in,
    told,
)


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


def test_what_an_upgrade_brings_is_added_where_nothing_is_to_be_replaced() -> None:
    old = without_token(injected(custom()))
    edits = result(old, replace(IMAGE, upgrade=True)).edits
    assert patched(edited(old, ()), json_patch(edits)) == edited(old, edits)


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


def test_a_replaced_object_whose_runtime_is_not_known_gets_its_old_sidecar_back() -> None:
    body = isvc(triton={"storageUri": "s3://m"})
    before = injected(body, replace(IMAGE, runtimes=[TRITON]))
    assert injected(body, IMAGE, before) == before


def test_what_was_accepted_of_ports_is_accepted_in_the_object_that_replaces_it() -> None:
    body = custom(ports=[{"containerPort": 8080}, {"containerPort": 9000}])
    before = injected(body, replace(IMAGE, first_port_only=True))
    assert injected(body, IMAGE, before) == before


@pytest.mark.parametrize(("scaling", "said"), [("on", True), ("off", False)])
def test_a_removal_says_how_the_webhook_is_kept_from_undoing_it(scaling: str, said: bool) -> None:
    body = injected(isvc({"pilotlight.dev/scaling": "on"}))
    body["metadata"]["annotations"]["pilotlight.dev/scaling"] = scaling
    taken = remove(body)
    assert isinstance(taken, Injection)
    assert any("or it is put in again" in remark for remark in taken.remarks) is said


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
