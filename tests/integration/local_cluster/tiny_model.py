"""A model that the tests run: answers with what it was given, and misbehaves as told by its arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLEEPER = "import time; time.sleep(600)"
# Leaves its parent, its session and its process group, as a badly written worker does.
DAEMON = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n{SLEEPER}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, _, seconds = self.path.partition("?seconds=")
        time.sleep(float(seconds or 0))
        body = json.dumps({"pid": os.getpid(), "env": dict(os.environ), "argv": sys.argv}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name http.server looks for


def main() -> None:
    options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
    print("loading weights", flush=True)
    if "fail" in options:
        print("out of memory on device 0", file=sys.stderr, flush=True)
        sys.exit(int(options["fail"]))
    if options.get("children"):
        subprocess.Popen([sys.executable, "-c", SLEEPER])
        subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        subprocess.run([sys.executable, "-c", DAEMON], check=True)
    if "shed" in options:  # out of the session and without the environment: nothing marks it as ours
        program = f"import os; os.setsid(); open({options['shed']!r}, 'a').write(f'{{os.getpid()}}\\n')\n{SLEEPER}"
        subprocess.Popen([sys.executable, "-c", program], env={})
    time.sleep(float(options.get("load", "0")))
    ThreadingHTTPServer(("127.0.0.1", int(options["port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
