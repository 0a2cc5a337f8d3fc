"""A real kernel puts memory of ours into large pages, and nothing in it changes."""

from __future__ import annotations

import json
import subprocess
import sys

_PROCESS = """
import json, re
from pathlib import Path
from autoscaler.controller.huge_pages import put_together

def kilobytes(field):
    return sum(int(found) for found in re.findall(rf"^{field}: +(\\d+) kB", Path("/proc/self/smaps").read_text(), re.M))

objects = [[number, str(number)] for number in range(300_000)]
before = kilobytes("AnonHugePages")
said = put_together()
whole = all(one == [number, str(number)] for number, one in enumerate(objects))
print(json.dumps({"grown": 1024 * (kilobytes("AnonHugePages") - before), "said": said, "whole": whole}))
"""


def test_what_a_process_holds_is_put_into_large_pages_and_stays_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", _PROCESS], check=True, capture_output=True, text=True)
    account = json.loads(done.stdout)
    assert account["whole"]
    assert account["grown"] > 0
    assert account["said"] >= account["grown"]
