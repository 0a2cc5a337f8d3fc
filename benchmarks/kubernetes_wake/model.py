"""The model of the benchmark: a program that every pod runs, and what it writes down of a wake.

It tells on the machine's clock when its process was started, when it began to listen and when each request reached it,
so that no component that is measured is asked for the figures. Nothing but Python's fastest modules is imported, and
neither `site` nor the environment is read: how long an interpreter takes is not what is compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.cluster.cache import made
from tests.cluster.images import archive, buildah
from tests.cluster.product_image import base_image

PORT = 8080
# Of a registry that Knative does not ask for digests: there is none.
IMAGE = "dev.local/model:1"
_PROGRAM = """
import _thread, _signal, os, socket, sys, time
_signal.signal(_signal.SIGTERM, lambda *_: os._exit(0))
load, work = float(sys.argv[1]), float(sys.argv[2])
with open("/proc/self/stat") as file:
    ticks = float(file.read().rpartition(")")[2].split()[19])
started = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
reached, at_once, most = [], 0, 0
def serve(client):
    global at_once, most
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kept = b""
    while True:
        while b"\\r\\n\\r\\n" not in kept:
            more = client.recv(65536)
            if not more:
                return client.close()
            kept += more
        at = time.time()
        head, _, kept = kept.partition(b"\\r\\n\\r\\n")
        if head.startswith(b"GET /journal "):
            body = repr([started, listening, reached, most]).encode()
        elif head.startswith(b"GET /work "):
            reached.append(at)
            at_once += 1
            most = max(most, at_once)
            time.sleep(work)
            at_once -= 1
            body = b"done"
        else:
            body = b"ready"
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
def guarded(client):
    try:
        serve(client)
    except OSError:
        client.close()
time.sleep(load)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", PORT))
server.listen(1024)
listening = time.time()
while True:
    _thread.start_new_thread(guarded, (server.accept()[0],))
""".replace("PORT", str(PORT))


def model_image() -> Path:
    """A docker-archive of IMAGE: the Debian with Python that the product's image is made from; made once."""
    base = base_image()

    def make(directory: Path) -> None:
        container = buildah("from", base)
        buildah("config", "--user", "65532:65532", container)
        buildah("commit", "--quiet", "--rm", container, IMAGE)
        archive(IMAGE, directory / "model.tar")

    return made(f"model-{base.rpartition(':')[2]}", make) / "model.tar"


def command(load_seconds: float, work_seconds: float) -> list[str]:
    """What a container runs: a model that begins to listen after `load_seconds` and works so long on each request."""
    return ["python3", "-I", "-S", "-c", _PROGRAM, str(load_seconds), str(work_seconds)]


@dataclass(frozen=True, slots=True)
class Journal:
    """What one model has seen, in seconds of the machine's clock: its process's start, its listening, each request.

    most_at_once  requests that it had at the same time
    """

    started: float
    listening: float
    reached: tuple[float, ...]
    most_at_once: int


def read_journal(address: str) -> Journal:
    """Ask the model of the pod at `address`, past every proxy. Raises OSError."""
    with urlopen(f"http://{address}:{PORT}/journal", timeout=5) as answer:
        return parse_journal(answer.read())


def parse_journal(body: bytes) -> Journal:
    """Raises ValueError."""
    started, listening, reached, most = json.loads(body)
    return Journal(started, listening, tuple(reached), most)
