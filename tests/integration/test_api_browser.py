"""A real browser on a page of another origin tries what pages can do without asking; the API stays as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Stack

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCHEDULE = {"name": "nightly", "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}}}
EVIL, REBOUND = "evil.test", "rebound.test"
PAGE = """<!doctype html><title>A page of somebody else</title><script>
const api = "%(api)s", task = "%(task)s", rebound = "%(rebound)s", json = '{"task_type":"echo","input":{}}';
const outcomes = {};
async function attempt(name, url, init) {
  try { const answer = await fetch(url, init); outcomes[name] = answer.type + " " + answer.status; }
  catch (error) { outcomes[name] = String(error); }
}
function form(url, type, fields) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.name = "frame" + Math.random();
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, {action: url, method: "POST", enctype: type, target: frame.name});
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement("input");
      Object.assign(input, {name, value});
      form.append(input);
    }
    document.body.append(form);
    frame.addEventListener("load", () => frame.src !== "about:blank" && done());
    setTimeout(done, 5000);
    form.submit();
  });
}
addEventListener("load", async () => {
  const blind = {method: "POST", mode: "no-cors"};
  const here = api + "/schedules/nightly";
  for (const url of [here + "/run", here + "/pause", here + "/resume", `${api}/tasks/${task}/retry`])
    await attempt("POST " + url, url, blind);
  await attempt("credentials", here + "/run", {...blind, credentials: "include", referrerPolicy: "no-referrer"});
  await attempt("text", api + "/tasks", {...blind, body: json});
  await attempt("cors", api + "/tasks", {method: "POST", body: json, headers: {"Content-Type": "application/json"}});
  await attempt("DELETE", api + "/schedules/nightly", {method: "DELETE"});
  await attempt("read", api + "/tasks");
  navigator.sendBeacon(api + "/schedules/nightly/run");
  await form(api + "/tasks", "text/plain", {'{"task_type":"echo","input":{"a': '"}}'});
  await form(api + "/schedules/nightly/run", "application/x-www-form-urlencoded", {});
  await attempt("rebound read", rebound + "/tasks", {mode: "no-cors"});
  await attempt("rebound run", rebound + "/schedules/nightly/run", blind);
  await fetch("/done", {method: "POST", body: JSON.stringify(outcomes)});
});
</script><body></body>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")


class HostilePage(ThreadingHTTPServer):
    """Serves the page, and takes its report."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = b""
        self.report: dict[str, Any] = {}
        self.reported = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: HostilePage

    def do_GET(self) -> None:
        self._answer(self.server.page)

    def do_POST(self) -> None:
        self.server.report = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(b"thanks")
        self.server.reported.set()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[HostilePage]:
    """The server of the hostile page."""
    with HostilePage() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", [EVIL, "127.0.0.1"], ids=["another site", "another port of this machine"])
def test_a_page_of_another_origin_changes_nothing(
    stack: Stack, hostile: HostilePage, tmp_path: Path, name: str
) -> None:
    process = stack.api(env={"LONGRUN_ACCESS_LOG": "true", "LONGRUN_LOG_FORMAT": "json"})
    port = process.url.rsplit(":", 1)[1]
    with httpx.Client(base_url=process.url, timeout=30) as api:
        api.post("/schedules", json=SCHEDULE).raise_for_status()
        task = api.post("/tasks", json={"task_type": "echo", "input": {}}).json()["task_id"]
        api.delete(f"/tasks/{task}").raise_for_status()
        before = _state(api, task)
        names = {"api": process.url, "task": task, "rebound": f"http://{REBOUND}:{port}"}
        hostile.page = (PAGE % names).encode()
        _visit(f"http://{name}:{hostile.server_port}/", hostile.reported, tmp_path)
        assert _state(api, task) == before
    lines = [json.loads(line) for line in process.log().splitlines() if '"logger": "longrun_api.access_log"' in line]
    refused = Counter((line["method"], line["status"]) for line in lines)
    assert refused["POST", 403] >= 8, hostile.report
    assert refused["GET", 421] >= 1, hostile.report
    assert refused["POST", 421] >= 1, hostile.report
    assert "TypeError" in hostile.report["DELETE"]
    assert "TypeError" in hostile.report["cors"]
    assert "TypeError" in hostile.report["read"]


def test_the_docs_work_under_their_policy(stack: Stack, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}")
    shown = subprocess.run(
        [
            *(CHROMIUM, *options),
            *("--virtual-time-budget=60000", "--enable-logging=stderr", "--dump-dom", f"{stack.api().url}/docs"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert "operations-tasks-submitTask" in shown.stdout
    assert "Content Security Policy" not in shown.stderr


def _visit(url: str, until: threading.Event, folder: Path) -> None:
    assert CHROMIUM is not None
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP {REBOUND} 127.0.0.1",
        "--remote-debugging-port=0",
    ]
    with (folder / "chromium.log").open("wb") as log:
        browser = subprocess.Popen([CHROMIUM, *options, url], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            assert until.wait(60), (folder / "chromium.log").read_text(errors="replace")[-3000:]
        finally:
            browser.terminate()
            browser.wait(30)


def _state(api: httpx.Client, task: str) -> Any:
    schedule = api.get("/schedules/nightly").json()
    tasks = api.get("/tasks").json()["items"]
    return (
        schedule["paused"],
        schedule["updated_at"],
        [(each["task_id"], each["status"], each["seq"]) for each in tasks],
    )
