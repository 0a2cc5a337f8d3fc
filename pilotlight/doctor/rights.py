"""What our components may do in a cluster: the rules of the manifests, as questions to the API server.

A test compares this table with `manifests/`, rule by rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.cluster.kubernetes.json_object import JsonObject
from autoscaler.policy.profiles import CONFIG_MAP

CONTROLLER = "pilotlight-controller"
WEBHOOK = "pilotlight-webhook"


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on one resource; `resource` with its subresource behind a slash, `name` empty: all of them.

    `in_namespace`: only in our own namespace.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    name: str = ""
    in_namespace: bool = False


@dataclass(frozen=True, slots=True)
class Right:
    """One question: may this service account of ours do that?"""

    account: str
    verb: str
    rule: Rule

    def __str__(self) -> str:
        group = f".{self.rule.group}" if self.rule.group else ""
        name = f" {self.rule.name}" if self.rule.name else ""
        return f"{self.verb} {self.rule.resource}{group}{name}"

    def review(self, namespace: str) -> JsonObject:
        """The question as a SubjectAccessReview."""
        resource, _, subresource = self.rule.resource.partition("/")
        attributes = {
            "group": self.rule.group,
            "resource": resource,
            "subresource": subresource,
            "verb": self.verb,
            "name": self.rule.name,
            "namespace": namespace if self.rule.in_namespace else "",
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{namespace}:{self.account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
                "resourceAttributes": {key: value for key, value in attributes.items() if value},
            },
        }


RULES = {
    CONTROLLER: (
        Rule("serving.kserve.io", "inferenceservices", ("list", "watch")),
        Rule("apps", "deployments", ("list", "watch")),
        Rule("", "pods", ("list", "watch", "patch")),
        Rule("", "services", ("list", "watch")),
        Rule("autoscaling", "horizontalpodautoscalers", ("list", "watch")),
        Rule("keda.sh", "scaledobjects", ("list", "watch")),
        Rule("apps", "deployments/scale", ("patch",)),
        Rule("discovery.k8s.io", "endpointslices", ("get", "list", "watch", "create", "update", "delete")),
        Rule("events.k8s.io", "events", ("create", "patch")),
        Rule("authentication.k8s.io", "tokenreviews", ("create",)),
        Rule("coordination.k8s.io", "leases", ("create",), in_namespace=True),
        Rule("coordination.k8s.io", "leases", ("get", "update"), CONTROLLER, in_namespace=True),
        Rule("", "configmaps", ("list", "watch"), CONFIG_MAP, in_namespace=True),
    ),
    WEBHOOK: (
        Rule("", "secrets", ("get", "patch"), WEBHOOK, in_namespace=True),
        Rule("", "configmaps", ("get",), CONFIG_MAP, in_namespace=True),
        Rule("", "pods", ("get",), in_namespace=True),
        Rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("get", "patch"), WEBHOOK),
        Rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", ("get", "patch"), WEBHOOK),
        Rule("serving.kserve.io", "servingruntimes", ("list",)),
        Rule("serving.kserve.io", "clusterservingruntimes", ("list",)),
    ),
}


def rights_of(*accounts: str) -> Iterator[Right]:
    """Every question about these service accounts."""
    for account in accounts:
        for rule in RULES[account]:
            for verb in rule.verbs:
                yield Right(account, verb, rule)
