"""What the demo runs: the example services and the load on each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pilotlight.demo.load import Burst
from pilotlight.errors import CommandError


@dataclass(frozen=True, slots=True)
class Wave:
    """`at_once` requests at `start`, then `per_second` for `seconds`; times in seconds from the load's beginning."""

    start: float
    at_once: int
    per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoService:
    """One example: its manifest, the name of its model, its protocol, and its load."""

    manifest: str
    model: str
    protocol: str
    waves: tuple[Wave, ...]

    @property
    def service(self) -> str:
        """`namespace/name`"""
        return f"default/{self.model}"


# Two waves, far enough apart that the first two services sleep in between and wake twice.
SERVICES = (
    DemoService("classifier.yaml", "classifier", "oip", (Wave(3, 80, 60, 12), Wave(38, 40, 30, 3))),
    DemoService("chat.yaml", "chat", "openai", (Wave(4, 16, 6, 12), Wave(39, 8, 4, 3))),
    DemoService("slow-starter.yaml", "slow-starter", "oip", (Wave(5, 20, 3, 16),)),
)


def bursts(urls: dict[str, str]) -> list[dict[str, object]]:
    """The load as the clients' process reads it; `urls` by service."""
    return [
        asdict(Burst(service=s.service, url=urls[s.service], model=s.model, protocol=s.protocol, **asdict(wave)))
        for s in SERVICES
        for wave in s.waves
    ]


def manifests() -> tuple[Path, ...]:
    """The examples' files. Raises CommandError when this is not a checkout."""
    folder = Path(__file__).parents[2] / "manifests" / "examples"
    files = tuple(folder / service.manifest for service in SERVICES)
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise CommandError(f"the demo runs in a checkout of the project; not found: {', '.join(missing)}")
    return files
