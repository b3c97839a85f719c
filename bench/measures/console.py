"""The console: how long its pages take beside a long history, and how soon a browser shows what a job says."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping

from playwright.sync_api import Page

from bench.client import post_one
from bench.figures import Row, milliseconds, percentile
from bench.measures.filters import ask, fill
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LANES, LONGRUN
from tests.chromium import chromium

SAID = 100
EVERY_S = 0.1
DELAY_S = 3
FRAMES = """
() => {
    window.delays = [];
    new MutationObserver(changes => requestAnimationFrame(() => {
        const shown = performance.timeOrigin + performance.now();
        for (const change of changes) for (const line of change.addedNodes)
            delays.push(shown / 1000 - Number(line.querySelector(".said").textContent));
    })).observe(document.getElementById("log"), {childList: true});
}
"""
"""Notes, for each line of the log, how many seconds after it was said the browser drew its next frame."""


def measure(stage: Stage, scale: Scale) -> list[Row]:
    say(f"console: pages beside {scale.filter_rows:,} tasks")
    with stage.run(LONGRUN) as running:
        fill(running, scale.filter_rows)
        times = ask(running, _pages(running), scale.filter_samples, 95)
        scripts = _script_bytes(running)
    slowest = max(times, key=lambda name: times[name])
    say("console: a live page")
    with stage.run(LANES) as running:
        delays = _delays(running)
    return [
        Row(
            what=f"page of the console, {name}, {scale.filter_rows:,} tasks",
            longrun=milliseconds(seconds),
            note=f"p95 of {scale.filter_samples}{'; the slowest' if name == slowest else ''}",
        )
        for name, seconds in times.items()
    ] + [
        Row(
            what="a line of a log, from the call to the frame that shows it, p50 / p95",
            longrun=milliseconds(percentile(delays, 50), percentile(delays, 95)),
            note=f"{len(delays)} lines in Chromium, one each {EVERY_S * 1000:.0f} ms",
        ),
        Row(what="scripts of a page, compressed", longrun=f"{scripts / 1024:.1f} KiB"),
    ]


def _pages(running: Running) -> Mapping[str, str]:
    job = running.database.value("SELECT id FROM jobs WHERE status = 'FAILED' ORDER BY id LIMIT 1")
    paths = {
        "overview": "",
        "overview of a week": "?last=week",
        "jobs": "/jobs",
        "failed jobs": "/jobs?status=FAILED",
        "jobs with a tag": "/jobs?tag=red",
        "jobs by an error": "/jobs?error_contains=nowhere",
        "a job": f"/jobs/{job}",
        "queues": "/queues",
        "workers": "/workers",
        "schedules": "/schedules",
        "webhooks": "/webhooks",
        "keys": "/keys",
        "audit log": "/audit-log",
    }
    return {name: f"/console{path}" for name, path in paths.items()}


def _delays(running: Running) -> list[float]:
    """Seconds from the call of `ctx.log` until the browser shows it, for each line that a job says."""
    said = {"task_type": "tell_the_time", "input": {"count": SAID, "every_s": EVERY_S}, "delay_s": DELAY_S}
    job = post_one(running.port, timeout_s=10, task=said).body["task_id"]
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{running.port}/console/jobs/{job}")
        page.evaluate(FRAMES)
        page.wait_for_function(f"window.delays.length >= {SAID}", timeout=120_000)
        return _noted(page)


def _noted(page: Page) -> list[float]:
    delays: list[float] = page.evaluate("window.delays")
    return delays


def _script_bytes(running: Running) -> int:
    """The bytes of all scripts of a page, as they are sent."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", "/console")
    scripts = re.findall(r'<script src="([^"]+)"', connection.getresponse().read().decode())
    sizes = 0
    for script in scripts:
        connection.request("GET", script, headers={"Accept-Encoding": "gzip"})
        sizes += len(connection.getresponse().read())
    return sizes
