"""The reference page, docs/policy.md, from the table: `python -m autoscaler.policy.reference > docs/policy.md`.

A page written by hand is wrong from the first change on. What is said here in prose are the rules that are no property
of one key; a test holds the page in docs/ against this module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from autoscaler.policy import keys_knative, keys_kserve, keys_pilotlight
from autoscaler.policy.key import Key

EXAMPLE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: chat
  annotations:
    serving.kserve.io/deploymentMode: Standard
    serving.kserve.io/autoscalerClass: external
    pilotlight.dev/scaling: "on"
    pilotlight.dev/stable-window: 2m
    pilotlight.dev/backlog-drain-objective: 20s
    pilotlight.dev/hold-bytes: 64Mi
spec:
  predictor:
    minReplicas: 0
    maxReplicas: 4
    containerConcurrency: 16   # a replica works on 16 requests at a time
    scaleTarget: 12            # and should have 12
    model:
      modelFormat:
        name: huggingface
"""

PROFILES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: pilotlight-profiles
  namespace: pilotlight-system
data:
  interactive: |
    stable-window: 2m
    scale-to-zero-retention: 10m
    backlog-drain-objective: 5s
    containerConcurrency: 8
  batch: |
    scale-to-zero-retention: 0s
    hold-no-endpoint: 30m
"""

_INTRODUCTION = """\
# Scaling policy: every key

<!-- Written by `make docs` from the table in autoscaler/policy; change that, not this page. -->

How a service is scaled is said on its InferenceService, in the fields that KServe already has and in annotations.
Nothing has to be said: every key has a default. `pilotlight check -f FILE` reads a file as Pilotlight would and
prints every mistake in it with file, line, key, value and what is allowed.

```yaml
{example}```

## Where to write it

- **Fields of `spec.predictor`** are the first choice for what changes often: under `autoscalerClass: external` KServe
  ignores them, and editing them never restarts a pod.
- **Annotations** stand on `metadata.annotations` or on `spec.predictor.annotations`; where both have the same key, the
  predictor's counts. Annotations are text, so numbers and the words `on`, `off`, `true` and `false` need quotes.
  KServe copies annotations into the pods unless they are on its `serviceAnnotationDisallowedList`; without that,
  editing one restarts pods.

## When two keys say the same

Several keys may set the same thing: `pilotlight.dev/min-replicas`, `autoscaling.knative.dev/min-scale` and
`minReplicas`, for example. They come in this order: `pilotlight.dev/*`, then `autoscaling.knative.dev/*`, then
`serving.kserve.io/*`, then the fields of the spec. The first one is named as the source of the value. Two keys with
**different** values are refused, with both places named: which one was forgotten only you know.

These are refused too, because they cannot both be meant:

- a minimum, an initial scale or an activation scale above the maximum; an activation scale below the minimum;
- `scale-to-zero: "true"` with a minimum of 1 or more;
- a panic window longer than the stable window;
- an idle or response-start timeout longer than the whole request may take;
- what can have no effect: `queue-requests` or `queue-seconds` without `containerConcurrency`,
  `backlog-drain-objective` while backlog sizing is off, `scale-to-zero-grace-period` or `scale-to-zero-retention`
  beside `scale-to-zero: "false"`.

A key of `pilotlight.dev/` or `autoscaling.knative.dev/` that is not on this page is refused, with the nearest one that
is, and so is a field of the predictor that differs from one on this page by its case or a letter. Other annotations and
fields belong to others and are left alone.

## Profiles

A platform team can name sets of settings, for others to use: entries of the ConfigMap `pilotlight-profiles` in the
namespace `pilotlight-system`. Keys of `pilotlight.dev/` stand there without their domain, fields of the predictor by
their last part; values need no quotes.

```yaml
{profiles}```

`pilotlight.dev/profile: interactive` on an InferenceService then means all of it, except for what the object says
itself in whatever words: **the object, then its profile, then the defaults**. A setting of a profile that can have no
effect on some service is not refused there, since a profile is written for many. Locally the ConfigMap stands among the
files, or for `check` and `inject` in the one that `--profiles` names. Editing a profile restarts no pod; see
[inject.md](inject.md) for the few settings that pods carry with them.

In a cluster an edit counts at once for every service that names the profile. One with a mistake does not: what the
profile said before stays in force, also when the entry or the whole ConfigMap is deleted, and the mistake is shown with
each of these services as an Event, in `pilotlight explain` and as a fault in the metrics. So it is with a profile that
reads well and goes together badly with what one service says itself, and with an InferenceService that was applied past
the webhook: **the last policy that could be read stays in force**. For each service that is scaled it is recorded in
its EndpointSlice (annotation `pilotlight.dev/policy`: what differs from the defaults), so a controller that came later
goes by it, too. Only a service that never had one that could be read is not scaled.

## How values are written

| type | written | examples |
|---|---|---|
| duration | as in Go: numbers with units; a bare number other than 0 is refused | `500ms` `60s` `1m30s` `2h` |
| whole number, number | decimal digits; never NaN or infinite | `3` `0.5` |
| fraction | a number, or a percentage with its sign | `0.7` `70%` |
| percentage | a number of percent without the sign, as in Knative | `70` |
| boolean | `true` or `false`, in quotes | `"true"` |
| name | of something that stands elsewhere | `interactive` |
| header name | the name of an HTTP request header, in any case | `x-tenant` |
| quantity | bytes, as in Kubernetes: `Ki` `Mi` `Gi` `Ti` are powers of 1024, `k` `M` `G` `T` of 1000 | `64Mi` `1G` |

## Pilotlight's meaning and Knative's

Who writes in Knative's terms gets Knative's meaning: as soon as one `autoscaling.knative.dev` annotation is used, the
four improvements (`count-starting-replicas`, `backlog-sizing`, `one-before-zero`, `throughput-floor`) are off, a new
service starts with one replica, and ten times its `containerConcurrency` may queue at a replica. Otherwise the
improvements are on, a new service starts asleep, and as many may queue at a replica as in the activator.
`pilotlight.dev/semantics` decides this by name, whatever annotations are used, and each of these can be set alone by
its own key.

## What one replica is given

The target of a replica is `target` (or `scaleTarget`); without one, its `containerConcurrency`; without that, 100
requests at a time, or 200 requests per second. A target for concurrency is never more than `containerConcurrency`. Of
this, the utilization is used: one replica is wanted for every max(0.01, target × target-utilization) of load.
"""

_KNATIVE = """\
## Knative's annotations: `autoscaling.knative.dev/*`

With the meaning and the bounds that Knative Serving gives them, in both of its spellings. Stricter here: NaN and
infinity are refused, and so is a word that Knative would take for its default without saying so. An initial scale of
0 needs no permission of the cluster. Rates, grace period and activator capacity are settings of the whole cluster in
Knative; here the first two are keys of the service.
"""

_KSERVE = """\
## KServe's annotations: `serving.kserve.io/*`

Only these are looked at; all others belong to KServe.
"""

_FIELDS = """\
## Fields of the predictor: `spec.predictor.*`

Numbers without quotes, as KServe has them.
"""


def render() -> str:
    """The whole page."""
    parts = [
        _INTRODUCTION.format(example=EXAMPLE, profiles=PROFILES),
        "## Pilotlight's annotations: `pilotlight.dev/*`\n",
    ]
    for title, keys in keys_pilotlight.SECTIONS:
        parts.append(f"### {title}\n\n{_table(keys, keys_pilotlight.DOMAIN)}")
    parts.append(f"{_FIELDS}\n{_table(keys_kserve.FIELDS, 'spec.predictor.')}")
    parts.append(f"{_KNATIVE}\n{_table(keys_knative.KEYS, keys_knative.DOMAIN)}")
    parts.append(f"{_KSERVE}\n{_table(keys_kserve.ANNOTATIONS, keys_kserve.DOMAIN)}")
    return "\n".join(parts)


def _table(keys: Iterable[Key], prefix: str) -> str:
    """One row for each key; the part of its name that is in the heading is left out."""
    rows = ["| key | meaning | allowed | default |", "|---|---|---|---|"]
    for key in keys:
        names = [f"`{name.removeprefix(prefix)}`" for name in (key.name, *key.spellings)]
        default = [f"`{key.default}`" if key.default else "", key.otherwise]
        cells = ("<br>".join(names), key.help, key.allowed, ", ".join(filter(None, default)))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
