"""A stand-in for KServe's controller in Standard mode: `python -m tests.kubernetes.kserve KUBECONFIG`.

Runs until it is told to stop. It watches InferenceServices, what it makes of them, the runtimes and its ConfigMap, and
reconciles whatever changed; what fails is tried again after a moment, as controllers do.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.kubernetes.kserve.api import Api, ApiError, items
from tests.kubernetes.kserve.objects import OF_SERVICE, Configuration
from tests.kubernetes.kserve.pod_spec import Json, Runtime, mapping
from tests.kubernetes.kserve.reconciler import ISVCS, Reconciler

_AGAIN_AFTER = 0.5

Key = tuple[str, str]  # namespace and name


class StandIn:
    """The work queue between what is watched and the reconciler."""

    def __init__(self, api: Api) -> None:
        """Speak through `api`."""
        self._api = api
        self._reconciler = Reconciler(api)
        self._isvcs: dict[Key, Json] = {}
        self._runtimes: dict[tuple[str, Key], Runtime] = {}
        self._configuration = Configuration()
        self._due: dict[Key, None] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_services())
            for plural in ("servingruntimes", "clusterservingruntimes"):
                tasks.create_task(self._watch_runtimes(plural))
            for path in ("/apis/apps/v1/deployments", "/api/v1/services"):
                tasks.create_task(self._watch_owned(path))
            tasks.create_task(self._watch_configuration())
            tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                if (isvc := self._isvcs.get(key)) is not None:
                    await self._reconcile(key, isvc)

    async def _reconcile(self, key: Key, isvc: Json) -> None:
        found = [runtime for (scope, _), runtime in self._runtimes.items() if scope in ("", key[0])]
        try:
            await self._reconciler.reconcile(isvc, found, self._configuration)
        except (ApiError, OSError) as error:
            print(f"{key[0]}/{key[1]}: {error}", file=sys.stderr, flush=True)
            asyncio.get_running_loop().call_later(_AGAIN_AFTER, self._mark, key)

    def _mark(self, *keys: Key) -> None:
        self._due.update(dict.fromkeys(keys))
        self._news.set()

    async def _watch_services(self) -> None:
        async for event, thing in self._api.follow(f"{ISVCS}/inferenceservices"):
            if event == "SYNC":
                self._isvcs = {_key(isvc): isvc for isvc in items(thing)}
                self._mark(*self._isvcs)
            elif event == "DELETED":
                self._isvcs.pop(_key(thing), None)
            else:
                self._isvcs[_key(thing)] = thing
                self._mark(_key(thing))

    async def _watch_runtimes(self, plural: str) -> None:
        async for event, thing in self._api.follow(f"/apis/serving.kserve.io/v1alpha1/{plural}"):
            for runtime in items(thing) if event == "SYNC" else [thing]:
                namespace, name = _key(runtime)
                at = (namespace, (plural, name))
                if event == "DELETED":
                    self._runtimes.pop(at, None)
                else:
                    self._runtimes[at] = Runtime(name, mapping(runtime["spec"]))
            self._mark(*self._isvcs)

    async def _watch_owned(self, path: str) -> None:
        async for event, thing in self._api.follow(path, OF_SERVICE):
            for owned in items(thing) if event == "SYNC" else [thing]:
                metadata = mapping(owned["metadata"])
                self._mark((str(metadata["namespace"]), str(mapping(metadata["labels"])[OF_SERVICE])))

    async def _watch_configuration(self) -> None:
        async for event, thing in self._api.follow("/api/v1/namespaces/kserve/configmaps"):
            for found in items(thing) if event == "SYNC" else [thing]:
                if mapping(found["metadata"])["name"] == "inferenceservice-config":
                    self._configuration = _configuration(mapping(found.get("data")))
                    self._mark(*self._isvcs)


def _configuration(data: Json) -> Configuration:
    inference = json.loads(str(data.get("inferenceService", "{}")))
    service = json.loads(str(data.get("service", "{}")))
    return Configuration(
        frozenset(inference.get("serviceAnnotationDisallowedList", ())), bool(service.get("serviceClusterIPNone"))
    )


def _key(thing: Json) -> Key:
    metadata = mapping(thing["metadata"])
    return str(metadata.get("namespace", "")), str(metadata["name"])


async def _main(kubeconfig: Path) -> None:
    async with Api(kubeconfig) as api:
        work = asyncio.create_task(StandIn(api).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        await asyncio.gather(work, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
