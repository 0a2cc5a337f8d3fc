"""The garbage collector: off while the process loads, on when it serves."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import gc, os, signal
import queue_proxy.__main__
from queue_proxy.process import run

class Server:
    async def start(self):
        print("starts", gc.isenabled())
    async def drain(self):
        print("serves", gc.isenabled())
    async def stop(self, *, at_once):
        pass

def make():
    os.kill(os.getpid(), signal.SIGTERM)
    return Server()

run("test", "test", 30, make)
"""


def test_the_collector_is_off_until_the_server_has_started() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["starts False", "serves True"]
