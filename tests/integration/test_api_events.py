"""`GET /events/stream`: many tasks in one stream: filters, resume at any event, commit order, refused cursors."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psycopg2
import pytest
from httpx_sse import EventSource, ServerSentEvent

from jobcore.models import NewEvent
from longrun_api.stream_check import CHECK_S
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import fields, problem
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import PATIENCE_S, until

Submit = Callable[..., str]
Seen = tuple[str, str, int]


@contextmanager
def watching(api: httpx.Client, after: str | None = None, **filters: Any) -> Iterator[Iterator[ServerSentEvent]]:
    """The events of a stream, once it is open; its first event, a cursor, is left out if nothing is resumed."""
    params = {name: value for name, value in {**filters, "after": after}.items() if value is not None}
    with api.stream("GET", "/events/stream", params=params, timeout=PATIENCE_S) as response:
        assert response.status_code == 200, response.read()
        events = EventSource(response).iter_sse()
        first = next(events)
        assert first.event == "cursor"
        assert first.retry == 1000
        yield events


def seen(event: ServerSentEvent) -> Seen:
    """Task, kind and seq of an event."""
    data = json.loads(event.data)
    return data["task_id"], event.event, data["seq"]


def upto(events: Iterator[ServerSentEvent], last: Seen) -> list[ServerSentEvent]:
    """The events up to a certain one, without cursors."""
    found: list[ServerSentEvent] = []
    for event in events:
        if event.event != "cursor":
            found.append(event)
            if seen(event) == last:
                break
    return found


def now(api: httpx.Client) -> str:
    """The cursor of what happens from now on."""
    with api.stream("GET", "/events/stream") as response:
        return next(EventSource(response).iter_sse()).id


def id_of(here: str) -> str:
    return here.rpartition("/")[2]


def tell(worker: HandWorker, claim: Any) -> None:
    """One progress that is stored."""
    worker.say(claim, "progress", {"done": 1, "total": 2, "message": None})


def run(worker: HandWorker, *, quiet: bool = False) -> str:
    """Run the first task of the queue: four events with its acceptance."""
    claim = worker.claim()
    tell(worker, claim)
    worker.finish(claim, quiet=quiet)
    return str(claim.id)


def test_the_events_of_many_tasks_come_in_one_stream_as_they_happen(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    with watching(api, queue=worker.queue) as events:
        told_at = time.monotonic()
        for _ in range(8):
            task_id = id_of(submit())
            assert run(worker) == task_id
            found = upto(events, (task_id, "state", 4))
            assert [seen(event) for event in found] == [
                (task_id, "state", 1),
                (task_id, "state", 2),
                (task_id, "progress", 3),
                (task_id, "state", 4),
            ]
        assert time.monotonic() - told_at < 4 * CHECK_S, "events came by polling, not live"
    data = [json.loads(event.data) for event in found]
    assert [each.get("status") for each in data] == ["PENDING", "RUNNING", None, "SUCCESS"]
    assert {(each["task_type"], each["queue"]) for each in data} == {("echo", worker.queue)}
    assert data[2]["done"] == 1


def test_a_task_that_is_accepted_is_told_at_once(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    with watching(api, queue=worker.queue) as events:
        told_at = time.monotonic()
        for _ in range(6):
            task_id = id_of(submit(delay_s=3600))
            assert seen(next(event for event in events if event.event != "cursor")) == (task_id, "state", 1)
        assert time.monotonic() - told_at < 3 * CHECK_S, "events came by polling, not live"


def test_events_that_nobody_announced_are_found_by_looking(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    task_id = id_of(submit())
    with watching(api, queue=worker.queue, status="SUCCESS") as events:
        run(worker, quiet=True)
        assert [seen(each) for each in upto(events, (task_id, "state", 4))] == [(task_id, "state", 4)]


def test_a_stream_can_be_resumed_after_every_event(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    start = now(api)
    for _ in range(4):
        submit()
        last = (run(worker), "state", 4)
    with watching(api, start, queue=worker.queue) as events:
        whole = upto(events, last)
    assert len(whole) == 16
    for number, event in enumerate(whole[:-1]):
        rest = [seen(each) for each in whole[number + 1 :]]
        with watching(api, event.id, queue=worker.queue) as events:
            assert [seen(each) for each in upto(events, last)] == rest
        with api.stream("GET", "/events/stream", headers={"last-event-id": event.id}, params={"after": start}) as got:
            found = upto(EventSource(got).iter_sse(), last)
        assert [seen(each) for each in found if json.loads(each.data)["queue"] == worker.queue] == rest


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        ({"event": "progress"}, ["progress"]),
        ({"status": ["PENDING", "SUCCESS"]}, ["state", "state"]),
        ({"status": "RUNNING"}, ["state", "progress"]),
        ({"task_type": ["echo", "sleep"]}, ["state", "state", "progress", "state"]),
        ({"tag": ["a", "b"]}, ["state", "state", "progress", "state"]),
        ({"tag": ["a", "c"]}, []),
        ({"task_type": "sleep"}, []),
        ({"schedule_id": "01890000-0000-7000-8000-000000000000"}, []),
    ],
)
def test_a_filter_holds_for_what_is_replayed_and_for_what_happens(
    api: httpx.Client, worker: HandWorker, submit: Submit, filters: dict[str, Any], kinds: list[str]
) -> None:
    ids: list[str] = []

    def some() -> None:
        submit(tags=["a", "b"])
        ids.append(run(worker))

    start = now(api)
    some()
    # a second stream without the filter tells when everything has come
    with watching(api, start, queue=worker.queue, **filters) as events, watching(api, start) as everything:
        some()
        upto(everything, (ids[1], "state", 4))
        marker = id_of(submit(tags=["a", "b"], task_type="echo"))
        api.delete(f"/tasks/{marker}")
        expected = [(task_id, kind) for task_id in ids for kind in kinds]
        if not expected:
            with watching(api, start, queue=worker.queue, **filters) as again:
                assert next(again).event == "cursor", "only how far it has come"
            return
        found = [next(each for each in events if each.event != "cursor") for _ in expected]
        assert [seen(each)[:2] for each in found] == expected


def test_a_stream_of_certain_tasks_has_no_others(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    ids = [id_of(submit()) for _ in range(6)]
    with watching(api, task_id=ids[1::2]) as events:
        for _ in ids:
            run(worker)
        found = upto(events, (ids[5], "state", 4))
    assert [seen(each)[0] for each in found] == [task_id for task_id in ids[1::2] for _ in range(3)]


def test_a_transaction_that_commits_late_is_told_once_and_in_the_same_order_to_all(
    api: httpx.Client, shared_stack: Stack, worker: HandWorker, submit: Submit
) -> None:
    submit()
    claim = worker.claim()
    with closing(psycopg2.connect(shared_stack.database_url)) as early, watching(api, queue=worker.queue) as events:
        with early.cursor() as cursor:
            cursor.execute("SET search_path = longrun")
            cursor.execute(
                "INSERT INTO job_events (job_id, seq, at, attempt, kind, data) "
                'VALUES (%s, 1000, now(), 1, \'progress\', \'{"done": 1, "total": 2, "message": null}\')',
                [str(claim.id)],
            )
        tell(worker, claim)
        start = now(api)
        early.commit()
        first = [seen(event)[2] for event in upto(events, (str(claim.id), "progress", 3))]
        with watching(api, start, queue=worker.queue) as others:
            assert [seen(event)[2] for event in upto(others, (str(claim.id), "progress", 3))] == first == [1000, 3]


def test_readers_that_break_off_anywhere_miss_nothing_beside_many_writers(
    api: httpx.Client, api_url: str, worker: HandWorker, submit: Submit
) -> None:
    start = now(api)
    writers = 10
    each = 12

    def write() -> None:
        with httpx.Client(base_url=api_url, timeout=30) as client:
            for _ in range(each):
                body = {"task_type": "echo", "input": {}, "queue": worker.queue}
                here = client.post("/tasks", json=body).headers["location"]
                client.delete(here)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    found: list[Seen] = []
    cursor = start
    breaks = 0
    while len(found) < 2 * writers * each:
        with watching(api, cursor, queue=worker.queue) as events:
            for _ in range(1 + breaks % 7):
                event = next(each for each in events if each.event != "cursor")
                found.append(seen(event))
                cursor = event.id
                if len(found) == 2 * writers * each:
                    break
        breaks += 1
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found), "an event came twice"
    with watching(api, start, queue=worker.queue) as events:
        assert [seen(event) for event in upto(events, found[-1])] == found
    with watching(api, cursor, queue=worker.queue) as events:
        last = id_of(submit())
        assert seen(next(event for event in events if event.event != "cursor")) == (last, "state", 1)


def test_a_quiet_stream_is_told_how_far_it_has_come(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    with watching(api, queue="nothing-happens-here") as events:
        submit()
        task_id = run(worker)
        moved = next(events)
    assert (moved.event, json.loads(moved.data)) == ("cursor", {"cursor": moved.id})
    with watching(api, moved.id, queue=worker.queue) as events:
        submit()
        later = run(worker)
        assert {seen(event)[0] for event in upto(events, (later, "state", 4))} == {later} != {task_id}


def test_an_idle_api_does_not_read_the_feed(api: httpx.Client, shared_stack: Stack, redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        until(lambda: not client.pubsub_numsub("longrun:news")[0][1], what="nobody waits for news")
        with watching(api), watching(api):
            until(lambda: client.pubsub_numsub("longrun:news")[0][1] == 1, what="one subscription for all streams")
        until(lambda: not client.pubsub_numsub("longrun:news")[0][1], what="the subscription is gone")


HOSTILE = ["x", "=", "A" * 43 + "=", "A" * 42, "a" * 90, "-1", "é", "%00", "a b", "0" * 99]


@pytest.mark.parametrize("cursor", HOSTILE)
def test_a_text_that_is_no_cursor_is_refused_by_the_name_it_came_under(api: httpx.Client, cursor: str) -> None:
    as_parameter = api.get("/events/stream", params={"after": cursor})
    assert list(fields(problem(as_parameter, 422, "invalid-input"))) == ["after"]
    as_header = api.get("/events/stream", headers={b"last-event-id": cursor.encode()})
    assert list(fields(problem(as_header, 422, "invalid-input"))) == ["Last-Event-ID"]


@pytest.mark.parametrize("number", [2**62, 2**63, 2**64 - 1])
def test_a_cursor_ahead_of_all_events_is_refused(api: httpx.Client, number: int) -> None:
    cursor = base64.urlsafe_b64encode(number.to_bytes(8) + bytes(24)).decode().rstrip("=")
    answer = api.get("/events/stream", params={"after": cursor})
    assert list(fields(problem(answer, 422, "invalid-input"))) == ["after"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unknown=1", "unknown"),
        ("after=a&after=b", "after"),
        ("event=log", "event"),
        ("status=DONE", "status"),
        ("task_id=x", "task_id"),
        ("queue=", "queue"),
        ("queue=%00", "queue"),
        ("schedule_id=x", "schedule_id"),
        ("&".join(["queue=a"] * 21), "queue"),
        ("&".join(["task_id=01890000-0000-7000-8000-000000000000"] * 201), "task_id"),
        ("after=" + "A" * 101, "after"),
        ("after=", "after"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(api: httpx.Client, query: str, field: str) -> None:
    answer = api.get(f"/events/stream?{query}")
    assert [name.partition(".")[0] for name in fields(problem(answer, 422, "invalid-input"))] == [field]


def test_a_cursor_behind_deleted_events_is_gone(
    api: httpx.Client, shared_stack: Stack, worker: HandWorker, submit: Submit
) -> None:
    start = now(api)
    submit()
    old = run(worker)
    with watching(api, start, queue=worker.queue) as events:
        middle, *_, last = upto(events, (old, "state", 4))
    execute(shared_stack.database_url, RETIRE)
    for cursor in (start, middle.id, last.id):
        problem(api.get("/events/stream", params={"after": cursor}), 410, "events-deleted")
    with watching(api, now(api), queue=worker.queue) as events:
        submit()
        task_id = run(worker)
        assert {seen(event)[0] for event in upto(events, (task_id, "state", 4))} == {task_id}


RETIRE = """
SET search_path = longrun;
WITH gone AS (DELETE FROM job_events RETURNING txid)
INSERT INTO deleted_events AS known (last_txid) SELECT txid FROM gone ORDER BY txid DESC LIMIT 1
ON CONFLICT (only_one) DO UPDATE SET last_txid = greatest(known.last_txid, excluded.last_txid)
"""


def test_a_long_history_is_replayed_whole_in_pages(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    start = now(api)
    submit()
    claim = worker.claim()
    for _ in range(3):
        some = [NewEvent("progress", {"done": n, "total": None, "message": "x" * 300}) for n in range(1000)]
        worker.db.call(append_events, claim.id, claim.fence, some)
    worker.finish(claim)
    with watching(api, start, queue=worker.queue) as events:
        found = upto(events, (str(claim.id), "state", 3003))
    assert [seen(event)[2] for event in found] == list(range(1, 3004))
