"""`DELETE /tasks/{id}`: stopped at once, stopping, or too late."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem

Submit = Callable[..., str]


def test_a_waiting_task_is_cancelled_at_once_and_keeps_its_receipt(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    first, second = api.delete(here), api.delete(here)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    task = first.json()
    receipt = task["cancel"]
    assert (task["status"], receipt["method"]) == ("CANCELLED", "queued")
    assert receipt["requested_at"] == receipt["acknowledged_at"] == receipt["stopped_at"] == task["finished_at"]
    assert api.get(here).json()["cancel"] == receipt


def test_a_running_task_is_cancelled_for_readers_while_its_process_stops(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    first = api.delete(here)
    assert (first.status_code, first.headers["retry-after"]) == (202, "1")
    receipt = first.json()["cancel"]
    assert (first.json()["status"], receipt["stopped_at"]) == ("CANCELLED", None)
    assert api.delete(here).status_code == 202

    worker.stopped(claim.id, claim.fence, "cooperative")
    stopped = api.delete(here)
    assert stopped.status_code == 200
    assert stopped.json()["cancel"]["method"] == "cooperative"
    assert stopped.json()["cancel"]["requested_at"] == receipt["requested_at"]


def test_a_task_that_ended_otherwise_cannot_be_cancelled(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    worker.finish(worker.claim())
    ended = api.get(here).json()
    document = problem(api.delete(here), 409, "task-already-ended")
    assert document["task"] == {name: ended[name] for name in ("task_id", "status", "finished_at")}
    assert document["task"]["status"] == "SUCCESS"
    assert api.get(here).json() == ended
