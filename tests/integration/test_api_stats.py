"""What happened to tasks, as the keeper of a real API counts it, in the API and on the first page of the console."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.integration.hand_worker import HandWorker
from tests.waiting import until


def test_what_happens_to_tasks_is_told_by_the_api_and_the_console(
    api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    for _ in range(3):
        submit()
    worker.finish(worker.claim())
    worker.fail(worker.claim(), "no")
    wanted = {"submitted": 3, "succeeded": 1, "failed": 1, "cancelled": 0, "retried": 0}

    def total(last: str) -> dict[str, object]:
        found: dict[str, object] = api.get("/stats", params={"last": last, "queue": worker.queue}).json()["total"]
        return found

    until(lambda: wanted.items() <= total("hour").items())
    for last, items in (("hour", 60), ("day", 24), ("week", 168)):
        assert wanted.items() <= total(last).items()
        found = api.get("/stats", params={"last": last}).json()
        assert len(found["items"]) == items
        assert sum(each["submitted"] for each in found["items"]) == found["total"]["submitted"] >= 3
        page = api.get("/console", params={"last": last}, headers={"Accept": "text/html"}).text
        assert f"Jobs that ended in the last {last}: " in page
        assert f"{found['total']['failed']:,} failed" in page
    assert api.get("/stats", params={"last": "year"}).status_code == httpx.codes.UNPROCESSABLE_ENTITY
