"""Dealing GPUs: a device belongs to at most one replica until that replica's processes have really ended.

Pure. Devices are dealt in the machine's order, first fit; a replica takes all it needs or nothing, so that two
replicas that need two each cannot block one another with one each.
"""

from __future__ import annotations

from collections.abc import Sequence


class GpuPool:
    """The machine's devices, named as CUDA_VISIBLE_DEVICES names them, and who has them."""

    def __init__(self, devices: Sequence[str]) -> None:
        if len(set(devices)) != len(devices):
            raise ValueError(f"a GPU is listed twice: {', '.join(devices)}")
        self._devices = tuple(devices)
        self._dealt: dict[str, tuple[str, ...]] = {}

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._devices)

    @property
    def free(self) -> tuple[str, ...]:
        """Those that nobody has, in the machine's order."""
        taken = {device for devices in self._dealt.values() for device in devices}
        return tuple(device for device in self._devices if device not in taken)

    def deal(self, replica: str, count: int) -> tuple[str, ...] | None:
        """`count` devices for `replica`, or None when fewer are free. Raises ValueError when it has some already."""
        if replica in self._dealt:
            raise ValueError(f"{replica} already has {len(self._dealt[replica])} GPUs")
        free = self.free
        if count > len(free):
            return None
        self._dealt[replica] = free[:count]
        return self._dealt[replica]

    def give_back(self, replica: str) -> None:
        """The replica's processes have ended; does nothing when it had none."""
        self._dealt.pop(replica, None)

    def shortage(self, count: int) -> str:
        """Why `count` devices cannot be dealt now: `1 of 2 GPUs free, 2 needed`."""
        return f"{len(self.free)} of {self.total} GPUs free, {count} needed"
