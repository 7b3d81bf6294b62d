#!/usr/bin/env python3
"""Runs the blocks marked `shell` of its documentation against the server, as `make serve` starts it.

They are the examples that need a running server. Every request must succeed.
"""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```shell\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = "127.0.0.1:8080"


def main():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen(["make", "-s", "serve", f"SERVE_FLAGS=--listen={address} --shutdown.delay=0s"], cwd=ROOT)
    try:
        for _ in range(6000):
            try:
                urllib.request.urlopen(f"http://{address}/readyz").close()
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit("README: `make serve` ended")
                time.sleep(0.1)
        commands = 0
        for readme in ("docs/microservice.md", "bindings/go/server/README.md"):
            for block in BLOCK.findall((ROOT / readme).read_text(encoding="utf-8")):
                script = "set -eux\n" + block.replace(SHOWN, address).replace("curl -s ", "curl -sS --fail-with-body ")
                if subprocess.run(["bash"], input=script, text=True, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
                    sys.exit(f"{readme}: a command failed")
                commands += len(block.splitlines())
    finally:
        server.terminate()
        server.wait()
    if commands < 8:
        sys.exit(f"README: only {commands} commands found")
    print(f"README: {commands} commands passed")


if __name__ == "__main__":
    main()
