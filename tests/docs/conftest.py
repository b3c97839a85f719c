"""Longrun as `make run` starts it, with the quickstart's file of task types."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from longrun_local.home import Home
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.docs.pages import ROOT, blocks
from tests.fault.launched import Launched

QUICKSTART = ROOT / "docs/quickstart.md"
TASKS = "make run TASKS="
"""How the command begins that starts Longrun with the file."""
EXAMPLE_PAGE = b"""<!doctype html><html><head><title>Example Domain</title></head>
<body><h1>Example Domain</h1><p><a href="https://iana.org/domains/example">Learn more</a></p></body></html>"""


class _ExampleDomain(http.server.BaseHTTPRequestHandler):
    """Stands for https://example.com, which a test cannot rely on."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(EXAMPLE_PAGE)))
        self.end_headers()
        self.wfile.write(EXAMPLE_PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands are typed."""
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="session")
def greetings(workplace: Path) -> str:
    """The quickstart's file of task types, as the page names it."""
    [text] = [block.text for block in blocks(QUICKSTART) if block.language == "python" and "@task" in block.text]
    [command] = [line for block in blocks(QUICKSTART) for line, _ in block.commands() if line.startswith(TASKS)]
    name = command.removeprefix(TASKS).split()[0]
    (workplace / name).write_text(text)
    return name


@pytest.fixture(scope="session")
def longrun(workplace: Path, greetings: str) -> Iterator[Launched]:
    """`make run` with the quickstart's file, which is `longrun dev`, ready."""
    try:
        settings = {"LONGRUN_LOG_LEVEL": "warning"}
        # the pages show cancels that jobs obey: on a busy machine they may need longer than the usual 2 s
        settings |= {"LONGRUN_CANCEL_SIGNAL_S": "60", "LONGRUN_CANCEL_KILL_S": "90"}
        with Launched(workplace, "dev", settings, [workplace / greetings]) as run:
            run.until("ready on")
            # nothing may wait for a reader of its output
            drain = threading.Thread(target=run.process.stdout.read if run.process.stdout else None, daemon=True)
            drain.start()
            yield run
            run.interrupt()
            run.process.wait()
            drain.join()
    finally:
        Home(workplace / "home").stop_leftovers()
        EmbeddedPostgres(workplace / "home/data/postgres").stop_leftover()
        EmbeddedValkey(workplace / "home/data/valkey").stop_leftover()


@pytest.fixture(scope="session")
def example_domain(longrun: Launched) -> Iterator[str]:
    """A page on the one loopback port that scrapes may reach; its address."""
    port = int(longrun.settings["LONGRUN_DEMO_PORT"])
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), _ExampleDomain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        server.shutdown()
