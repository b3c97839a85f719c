"""`make screenshots`: the pictures of the console in docs/images, taken from real processes in Chromium."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import httpx
from playwright.sync_api import Browser

from jobcore.migrations import upgrade
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.chromium import chromium
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import until

FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
SLEEP: Final = {"task_type": "sleep", "input": {"seconds": 90, "steps": 90}}
NIGHTLY: Final = {
    "name": "nightly-report",
    "cron": "30 2 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "task": {"task_type": "echo", "input": {}},
}


PAST_HOUR: Final = """
INSERT INTO longrun.rollups (span, at, owner, queue, what, range, jobs)
SELECT 'minute', date_bin('1 min', now(), timestamptz 'epoch') - minute * interval '1 min', '', '', what, range,
       CAST(jobs * (1.2 + sin(minute / 7.0) + sin(minute * minute) / 3) AS bigint)
FROM generate_series(1, 59) AS minute CROSS JOIN (VALUES
    ('submitted', 0, 40), ('succeeded', 0, 37), ('failed', 0, 2), ('cancelled', 0, 1),
    ('wait', 10, 30), ('wait', 14, 8), ('wait', 17, 2), ('run', 20, 25), ('run', 24, 12), ('run', 27, 3)
) AS happened (what, range, jobs)
"""
"""What happened in the hour before the picture, because nobody wants to wait for it."""


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with _api() as url, httpx.Client(base_url=url, timeout=30) as api, chromium() as browser:
        running = _fill(api)
        _take(browser, url, "", "console-overview", "light")
        _take(browser, url, "/jobs", "console-jobs", "light")
        _take(browser, url, f"/jobs/{running}", "console-job", "dark")
        _take(browser, url, f"/jobs/{running}", "console-job-small", "light", width=360)
        _take(browser, url, "/queues", "console-queues", "light")


@contextmanager
def _api() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="longrun-screenshots-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedValkey(folder / "valkey") as valkey:
            database = postgres.url_of("postgres")
            upgrade(database)
            execute(database, PAST_HOUR)
            with Stack(database, valkey.url, folder) as stack:
                url = stack.api().url
                stack.worker()
                yield url


def _fill(api: httpx.Client) -> str:
    """Jobs of every status; returns the id of one that runs."""

    def submit(**body: object) -> str:
        task_id: str = api.post("/tasks", json=body).raise_for_status().json()["task_id"]
        return task_id

    api.post("/schedules", json=NIGHTLY).raise_for_status()
    done = [submit(task_type="echo", input={"page": page}, tags=["import"]) for page in range(9)]
    until(lambda: all(api.get(f"/tasks/{each}").json()["status"] == "SUCCESS" for each in done))
    cancelled = submit(**SLEEP)
    api.delete(f"/tasks/{cancelled}").raise_for_status()
    refused = submit(task_type="web_scrape", input={"url": "http://127.0.0.1:1/"}, max_attempts=1, queue="default")
    until(lambda: api.get(f"/tasks/{refused}").json()["status"] == "FAILED")
    running = submit(**SLEEP, tags=["import"])
    submit(**SLEEP, queue="reports")
    until(lambda: (api.get(f"/tasks/{running}").json()["progress"] or {}).get("done", 0) >= 20)
    return running


def _take(
    browser: Browser, url: str, path: str, name: str, scheme: Literal["light", "dark"], width: int = 1180
) -> None:
    page = browser.new_page(base_url=url, viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.goto(f"/console{path}", wait_until="load")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()


if __name__ == "__main__":
    main()
