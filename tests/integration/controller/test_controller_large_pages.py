"""A real kernel puts memory of ours into large pages, and nothing in it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_PROCESS = """
import json, re
from pathlib import Path
from autoscaler.controller.huge_pages import put_together

objects = [[number, str(number)] for number in range(300_000)]
said = put_together()
large = re.findall(r"^AnonHugePages: +(\\d+) kB", Path("/proc/self/smaps").read_text(), re.M)
whole = all(one == [number, str(number)] for number, one in enumerate(objects))
print(json.dumps({"large": 1024 * sum(map(int, large)), "said": said, "whole": whole}))
"""
_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def _kernel_can() -> bool:
    version = tuple(int(part) for part in os.uname().release.split(".")[:2])
    return version >= (6, 1) and _ENABLED.exists() and "[never]" not in _ENABLED.read_text()


def test_what_a_process_holds_is_put_into_large_pages_and_stays_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", _PROCESS], check=True, capture_output=True, text=True)
    account = json.loads(done.stdout)
    assert account["whole"]
    if _kernel_can():
        assert account["large"] > 0
    else:
        assert account["said"] == 0
