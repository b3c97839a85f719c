"""`POST /tasks:cancel` and `POST /tasks:retry`: many tasks in one request, or by a task of Longrun's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import httpx
import psycopg2
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from jobcore.models import BULK_QUEUE, NewJob
from jobcore.store import jobs
from longrun_client import Longrun
from tests.integration.hand_worker import HandWorker
from tests.integration.store.world import race
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import PATIENCE_S, until

Submit = Callable[..., str]
UNKNOWN = "01890000-0000-7000-8000-000000000000"


def id_of(path: str) -> str:
    return path.rsplit("/", 1)[1]


def outcomes(answer: httpx.Response) -> list[tuple[str, str, str | None]]:
    assert answer.status_code == httpx.codes.OK, answer.text
    return [(each["task_id"], each["outcome"], each["status"]) for each in answer.json()["outcomes"]]


def insert(worker: HandWorker, count: int, **fields: Any) -> list[UUID]:
    """Submit many tasks to the worker's queue, as an intake does."""
    fields = {"task_type": "echo", "queue": worker.queue, "input": {}, "max_attempts": 1, **fields}
    given = [NewJob(id=uuid7(), **fields) for _ in range(count)]
    for start in range(0, count, 1000):
        worker.db.call(jobs.insert, given[start : start + 1000])
    return [job.id for job in given]


def statuses(api: httpx.Client, queue: str) -> dict[str, int]:
    counts = api.get("/tasks:count", params={"queue": queue}).json()["counts"]
    return {status: found["count"] for status, found in counts.items() if found["count"]}


def test_each_id_has_its_outcome(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    ended, running, waiting = submit(), submit(), submit()
    worker.finish(worker.claim())
    worker.claim()
    ids = [id_of(path) for path in (waiting, ended, running)]
    answer = api.post("/tasks:cancel", json={"ids": [*ids, UNKNOWN, ids[0]]})
    assert outcomes(answer) == [
        (ids[0], "changed", "PENDING"),
        (ids[1], "skipped", "SUCCESS"),
        (ids[2], "changed", "RUNNING"),
        (UNKNOWN, "unknown", None),
    ]
    counts = {name: answer.json()[name] for name in ("matched", "changed", "skipped", "unknown", "exact", "dry_run")}
    assert counts == {
        "matched": 3, "changed": 2, "skipped": {"SUCCESS": 1}, "unknown": 1, "exact": True, "dry_run": False,
    }  # fmt: skip
    assert [api.get(path).json()["status"] for path in (waiting, ended, running)] == [
        "CANCELLED", "SUCCESS", "CANCELLED",
    ]  # fmt: skip
    assert api.get(waiting).json()["cancel"]["method"] == "queued"
    assert api.get(running).json()["cancel"]["stopped_at"] is None


def test_a_dry_run_counts_the_same_and_changes_nothing(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    paths = [submit() for _ in range(3)]
    worker.finish(worker.claim())
    before = [api.get(path).json() for path in paths]
    ids = [id_of(path) for path in paths]
    for body in ({"ids": ids}, {"filter": {"queue": [worker.queue]}}):
        dry = api.post("/tasks:cancel", json={**body, "dry_run": True}).json()
        assert (dry["dry_run"], dry["matched"], dry["changed"], dry["skipped"]) == (True, 3, 2, {"SUCCESS": 1})
        assert [api.get(path).json() for path in paths] == before
    done = api.post("/tasks:cancel", json={"filter": {"queue": [worker.queue]}}).json()
    assert {**dry, "dry_run": False} == done
    assert statuses(api, worker.queue) == {"SUCCESS": 1, "CANCELLED": 2}


def test_a_filter_cancels_what_the_list_shows_for_it(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    mine = [submit(tags=["a", "b"], metadata={"customer": n % 2, "big": 2**70}) for n in range(4)]
    submit(tags=["a"])
    wanted: dict[str, Any] = {"queue": [worker.queue], "tag": ["a", "b"], "metadata": {"customer": 1, "big": 2**70}}
    listed = api.get("/tasks", params={**wanted, "metadata": f'{{"customer": 1, "big": {2**70}}}'}).json()["items"]
    done = api.post("/tasks:cancel", json={"filter": wanted}).json()
    assert (done["matched"], done["changed"], done["outcomes"]) == (len(listed), 2, [])
    cancelled = [path for path in mine if api.get(path).json()["status"] == "CANCELLED"]
    assert sorted(map(id_of, cancelled)) == sorted(each["task_id"] for each in listed)
    assert statuses(api, worker.queue) == {"PENDING": 3, "CANCELLED": 2}


def test_many_tasks_are_retried_and_their_queue_is_woken(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    paths = [submit(max_attempts=1) for _ in range(3)]
    for _ in paths[:2]:
        worker.fail(worker.claim(), "no")
    claim = worker.claim()
    api.delete(paths[2])
    ids = [id_of(path) for path in paths]
    answer = api.post("/tasks:retry", json={"ids": ids})
    assert outcomes(answer) == [
        (ids[0], "changed", "FAILED"), (ids[1], "changed", "FAILED"), (ids[2], "skipped", "CANCELLED"),
    ]  # fmt: skip
    assert answer.json()["outcomes"][2]["detail"] == "it was cancelled and is still stopping"
    worker.stopped(claim.id, claim.fence, "cooperative")
    again = api.post("/tasks:retry", json={"filter": {"queue": [worker.queue], "status": ["CANCELLED"]}}).json()
    assert (again["matched"], again["changed"]) == (1, 1)
    assert sorted(str(worker.claim().id) for _ in paths) == sorted(ids)


def test_of_several_tasks_with_one_dedupe_key_one_is_retried(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    paths = []
    for _ in range(2):
        paths.append(submit(max_attempts=1, dedupe_key=f"{worker.queue}-one"))
        worker.fail(worker.claim(), "no")
    ids = [id_of(path) for path in paths]
    answer = api.post("/tasks:retry", json={"ids": ids})
    assert [outcome for _, outcome, _ in outcomes(answer)] == ["skipped", "changed"]
    assert "dedupe_key" in answer.json()["outcomes"][0]["detail"]
    assert [outcome for _, outcome, _ in outcomes(api.post("/tasks:retry", json={"ids": ids}))] == ["skipped"] * 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"status": []}},
        {"ids": []},
        {"ids": [UNKNOWN], "filter": {"queue": ["q"]}},
        {"ids": [UNKNOWN], "all": True},
        {"ids": ["no id"]},
        {"ids": [UNKNOWN] * 1001},
        {"filter": {"queue": ["q"]}, "all": True},
        {"filter": {"queues": ["q"]}},
        {"filter": {"status": ["DONE"]}},
        {"filter": {"status": "FAILED"}},
        {"filter": {"limit": 5}},
        {"filter": {"metadata": {"a": "\0"}}},
        {"filter": {"input": {"a": "b" * 20_000}}},
        {"all": True, "dry_run": "yes"},
        {"all": True, "more": 1},
    ],
    ids=str,
)
def test_what_may_be_a_mistake_changes_nothing(api: httpx.Client, submit: Submit, body: dict[str, Any]) -> None:
    here = submit()
    for action in ("cancel", "retry"):
        problem(api.post(f"/tasks:{action}", json=body), 422, "invalid-input")
    assert api.get(here).json()["status"] == "PENDING"


def test_an_idempotency_key_repeats_the_answer_and_not_the_effect(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    headers = {"Idempotency-Key": f"bulk-{worker.queue}"}
    body = {"filter": {"queue": [worker.queue]}}
    first = api.post("/tasks:cancel", json=body, headers=headers)
    later = submit()
    second = api.post("/tasks:cancel", json=body, headers=headers)
    assert (first.json(), first.json()["changed"]) == (second.json(), 1)
    assert second.headers["idempotency-replayed"] == "true"
    assert [api.get(path).json()["status"] for path in (here, later)] == ["CANCELLED", "PENDING"]
    other = api.post("/tasks:cancel", json={**body, "dry_run": True}, headers=headers)
    problem(other, 422, "idempotency-key-reused")


def end(api: httpx.Client, path: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        task: dict[str, Any] = api.get(path, params={"wait": 30}, timeout=PATIENCE_S).json()
        return task if task["finished_at"] else None

    return until(ended, what="the task has ended")


def test_more_than_a_thousand_are_cancelled_by_a_task_that_tells_how_many(
    api: httpx.Client, worker: HandWorker, api_url: str
) -> None:
    ids = insert(worker, 1203)
    for _ in range(2):
        worker.finish(worker.claim())
    answer = api.post("/tasks:cancel", json={"filter": {"queue": [worker.queue]}})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    here = answer.headers["location"]
    later = insert(worker, 3)
    assert (answer.json()["links"]["self"], answer.json()["task_type"]) == (here, "longrun.cancel")
    task = end(api, here)
    assert (task["status"], task["queue"]) == ("SUCCESS", BULK_QUEUE), task
    assert task["result"] == {"matched": 1203, "changed": 1201, "skipped": {"SUCCESS": 2}, "exact": True}
    assert (task["progress"]["done"], task["progress"]["total"]) == (1201, 1201)
    assert statuses(api, worker.queue) == {"PENDING": 3, "SUCCESS": 2, "CANCELLED": 1201}
    assert {api.get(f"/tasks/{each}").json()["status"] for each in later} == {"PENDING"}
    with Longrun(api_url) as client:
        last = client.get(str(ids[-1]))
    assert (last.status, last.cancel and last.cancel.method) == ("CANCELLED", "queued")


def test_many_are_retried_in_the_background_too(api: httpx.Client, worker: HandWorker) -> None:
    insert(worker, 1100)
    body = {"filter": {"queue": [worker.queue]}}
    assert end(api, api.post("/tasks:cancel", json=body).headers["location"])["result"]["changed"] == 1100
    task = end(api, api.post("/tasks:retry", json=body).headers["location"])
    assert task["result"] == {"matched": 1100, "changed": 1100, "skipped": {}, "exact": True}
    assert statuses(api, worker.queue) == {"PENDING": 1100}


def test_an_ending_task_is_counted_once(api: httpx.Client, worker: HandWorker) -> None:
    for _ in range(20):
        ids = insert(worker, 10)
        claims = [worker.claim() for _ in ids]
        _, answer = race(
            lambda: list(map(worker.finish, claims)),  # noqa: B023
            lambda: api.post("/tasks:cancel", json={"ids": list(map(str, ids))}),  # noqa: B023
        )
        done = answer.json()
        now = Counter(api.get(f"/tasks/{each}").json()["status"] for each in ids)
        assert (done["changed"], done["skipped"].get("SUCCESS", 0)) == (now["CANCELLED"], now["SUCCESS"])
        assert done["changed"] + sum(done["skipped"].values()) == len(ids)


def test_requests_at_once_cancel_each_task_once(api_url: str, api: httpx.Client, worker: HandWorker) -> None:
    ids = list(map(str, insert(worker, 300)))

    def cancel(given: Sequence[str]) -> int:
        with httpx.Client(base_url=api_url, timeout=30) as client:
            return int(client.post("/tasks:cancel", json={"ids": given}).json()["changed"])

    assert sum(race(*(lambda: cancel(ids), lambda: cancel(ids[::-1])) * 2)) == len(ids)
    assert statuses(api, worker.queue) == {"CANCELLED": len(ids)}


def test_a_stopped_background_task_leaves_the_rest(api: httpx.Client, worker: HandWorker, shared_stack: Stack) -> None:
    """Cancelled while it runs: what it has not reached stays as it was, and its receipt is complete."""
    count = 6000
    ids = insert(worker, count)
    with closing(psycopg2.connect(shared_stack.database_url)) as connection, ThreadPoolExecutor() as pool:
        lock(connection, ids[count // 2])
        answer = api.post("/tasks:cancel", json={"filter": {"queue": [worker.queue]}})
        here = answer.headers["location"]
        until(lambda: api.get(here).json()["progress"], what="it has changed some of them")
        until(lambda: waiting_for_locks(connection) >= 1, what="it waits for the lock")
        cancel = until(lambda: waits(pool.submit(api.delete, here), connection), what="the cancel waits for its batch")
        connection.rollback()
        assert cancel.result().is_success
    until(lambda: api.get(here).json()["cancel"]["stopped_at"], what="the receipt is complete")
    task = api.get(here).json()
    left = len(worker.db.call(left_of, worker.queue))
    assert task["status"] == "CANCELLED"
    assert 0 < left < count
    assert task["progress"]["done"] == count - left
    again = api.post(f"{here}/retry")
    assert again.status_code == httpx.codes.ACCEPTED
    assert end(api, here)["result"]["changed"] == count


def lock(connection: Any, job_id: UUID) -> None:
    """Lock a job until the connection's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO longrun")
        cursor.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", (str(job_id),))


def waits(request: Future[httpx.Response], connection: Any) -> Future[httpx.Response] | None:
    """The request once it waits for a lock beside the batch; None if it was given up before, as on a busy machine."""
    until(lambda: waiting_for_locks(connection) >= 2 or request.done())
    return None if request.done() else request


def waiting_for_locks(connection: Any) -> int:
    """How many backends of this database wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_get_activity(NULL) AS a JOIN pg_database AS d ON d.oid = a.datid "
            "WHERE d.datname = current_database() AND a.wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def left_of(connection: Any, queue: str) -> list[Any]:
    return list(connection.execute(text("SELECT id FROM jobs WHERE queue = :q AND status = 'PENDING'"), {"q": queue}))
