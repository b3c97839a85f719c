"""A web server outside the cluster, at a public address, a private one and that of cloud metadata."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.waiting import until

SITE = "192.88.99.10"
PRIVATE_NEIGHBOUR = "10.66.0.10"
METADATA = "169.254.169.254"
PAGE = "<html><head><title>Outside</title></head><body><h1>Hello</h1><a href='/x'>x</a></body></html>"


@contextmanager
def web_site(prefix: str, port: int = 80, within_s: float = 20) -> Iterator[None]:
    """Serve one page at all three addresses while the block lasts; `prefix` runs a command out there."""
    with TemporaryDirectory() as folder:
        Path(folder, "index.html").write_text(PAGE)
        command = [*prefix.split(), "python3", "-m", "http.server", str(port), "--directory", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: _answers(port), within_s, f"something answers at {SITE}:{port}", poll_s=0.1)
                yield
            finally:
                process.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((SITE, port), timeout=1).close()
    except OSError:
        return False
    return True
