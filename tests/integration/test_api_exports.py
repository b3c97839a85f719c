"""`GET /tasks:export` and `GET /tasks/{id}/events`: complete, at the reader's pace, and to be continued."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest
from sqlalchemy import text

from jobcore.models import NewEvent
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.raw_http import resident_bytes
from tests.integration.test_api_bulk import insert
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import until

Submit = Callable[..., str]
MIB = 1024 * 1024
COUNTED_S = 11.0
"""A backend of PostgreSQL that is idle adds what it read to the statistics after 10 s at the latest."""
UNKNOWN = "01890000-0000-7000-8000-000000000000"


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == httpx.codes.OK, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def export(api: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    return lines(api.get("/tasks:export", params=parameters))


def ids(exported: list[dict[str, Any]]) -> list[str]:
    return [task["task_id"] for task in exported]


def test_every_task_of_a_filter_is_a_line_as_it_would_be_read_alone(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    paths = [submit(input={"n": 2**70 + n, "x": 1.0}, tags=[f"t{n % 2}"]) for n in range(6)]
    worker.finish(worker.claim(), {"exact": 10**30})
    worker.fail(worker.claim(), "no")
    worker.claim()
    exported = lines(api.get("/tasks:export", params={"queue": worker.queue}))
    assert exported == [api.get(path).json() for path in paths]
    assert ids(export(api, queue=worker.queue, sort="-created")) == ids(exported)[::-1]
    assert ids(export(api, queue=worker.queue, tag="t1", status=["RUNNING", "PENDING", "FAILED"])) == [
        task["task_id"] for task in exported if task["tags"] == ["t1"]
    ]


@pytest.mark.parametrize("order", ["created", "-created"])
def test_a_broken_export_continues_behind_its_last_line(api: httpx.Client, worker: HandWorker, order: str) -> None:
    inserted = list(map(str, insert(worker, 1500)))
    expected = inserted if order == "created" else inserted[::-1]
    given = {"queue": worker.queue, "sort": order, "fields": "task_id"}
    with api.stream("GET", "/tasks:export", params=given) as response:
        begun = [json.loads(line)["task_id"] for line, _ in zip(response.iter_lines(), range(700), strict=False)]
    assert begun + ids(export(api, **given, after=begun[-1])) == expected
    assert export(api, **given, after=expected[-1]) == []


def test_only_the_named_members_are_sent(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    submit(input={"a": 1})
    worker.finish(worker.claim(), [1])
    assert export(api, queue=worker.queue, fields="status,result") == [{"status": "SUCCESS", "result": [1]}]
    assert export(api, queue=worker.queue, fields="input") == [{"input": {"a": 1}}]
    assert export(api, queue=worker.queue, fields="queue") == [{"queue": worker.queue}]


@pytest.mark.parametrize(
    "given",
    [{"fields": "tries,hash"}, {"sort": "finished"}, {"after": "x"}, {"limit": 3}, {"status": "DONE"}, {"cursor": "a"}],
    ids=str,
)
def test_a_parameter_that_is_none_is_refused(api: httpx.Client, given: Mapping[str, Any]) -> None:
    problem(api.get("/tasks:export", params=given), 422, "invalid-input")


def test_an_export_is_compressed_for_whoever_accepts_it(api: httpx.Client, worker: HandWorker) -> None:
    insert(worker, 1200)
    with api.stream("GET", "/tasks:export", params={"queue": worker.queue}) as response:
        packed = b"".join(response.iter_raw())
    plain = api.get("/tasks:export", params={"queue": worker.queue}, headers={"Accept-Encoding": "identity"})
    assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 5
    assert "content-encoding" not in plain.headers


@pytest.fixture
def large(worker: HandWorker) -> int:
    """How many tasks the worker's queue has now; their inputs are 120 MB."""
    count = 120
    for _ in range(count):
        insert(worker, 1, input={"text": "x" * MIB})
    return count


def test_an_export_of_large_tasks_costs_no_more_memory_than_a_page(
    api: httpx.Client, api_url: str, shared_stack: Stack, worker: HandWorker, large: int
) -> None:
    [process] = [process for process in shared_stack.processes if process.url == api_url]
    before, most, found = resident_bytes(process.pid), 0, 0
    with api.stream("GET", "/tasks:export", params={"queue": worker.queue}) as response:
        for line in response.iter_lines():
            found += len(json.loads(line)["input"]["text"]) == MIB
            most = max(most, resident_bytes(process.pid))
    assert found == large
    assert most - before < 64 * MIB


def test_a_reader_that_stops_holds_nothing_back_and_one_that_leaves_ends_the_export(
    api_url: str, shared_stack: Stack, worker: HandWorker, large: int
) -> None:
    assert large
    worker.db.call(lambda connection: connection.execute(text("SELECT pg_stat_force_next_flush()")))
    before = activity(shared_stack)[0]
    seen: list[tuple[float, int]] = []

    def is_still() -> bool:
        """Whether PostgreSQL has read no values for so long that idle backends have counted what they read."""
        seen.append((time.monotonic(), activity(shared_stack)[0]))
        return any(count == seen[-1][1] for at, count in seen if at < seen[-1][0] - COUNTED_S)

    with opened_export(api_url, worker.queue) as client:
        assert b"200" in client.recv(100)
        until(is_still, what="the export waits for its reader")
        read, transactions = activity(shared_stack)
        assert transactions == 0
    seen.clear()
    until(is_still, what="the export has ended")
    assert activity(shared_stack)[0] - read < read - before


def opened_export(url: str, queue: str) -> socket.socket:
    """A connection that asked for an export, whose receiving side holds little."""
    place = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.settimeout(20)
    client.connect((place.hostname, place.port))
    client.sendall(f"GET /tasks:export?queue={queue} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def activity(stack: Stack) -> tuple[int, int]:
    """How many bytes of large values PostgreSQL has read so far, and how many transactions are open and idle."""
    with closing(psycopg2.connect(stack.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("""
            SELECT (SELECT sum(tidx_blks_hit + tidx_blks_read) FROM pg_statio_user_tables WHERE relname = 'jobs'),
                   (SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%')
        """)
        row = cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_events_are_exported_in_order_and_continued(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    for start in range(0, 1500, 500):
        said = [NewEvent("log", {"level": "info", "message": str(n)}) for n in range(start, start + 500)]
        worker.db.call(append_events, claim.id, claim.fence, said)
    worker.finish(claim)
    events = lines(api.get(f"{here}/events"))
    assert [event["seq"] for event in events] == list(range(1, 1504))
    assert [event["kind"] for event in events[:3]] == ["state", "state", "log"]
    assert events[2]["data"] == {"level": "info", "message": "0"}
    assert events[-1]["data"]["status"] == "SUCCESS"
    assert set(events[0]) == {"seq", "at", "attempt", "kind", "data"}
    assert lines(api.get(f"{here}/events", params={"after": 1000})) == events[1000:]
    assert lines(api.get(f"{here}/events", params={"after": 1503})) == []
    problem(api.get(f"/tasks/{UNKNOWN}/events"), 404, "task-not-found")
    problem(api.get(f"{here}/events", params={"after": -1}), 422, "invalid-input")


def test_an_export_that_the_server_cannot_complete_does_not_end_as_if_it_were_whole(
    shared_stack: Stack, worker: HandWorker, large: int
) -> None:
    process = shared_stack.api()
    with httpx.stream("GET", f"{process.url}/tasks:export", params={"queue": worker.queue}, timeout=30) as response:
        pieces = response.iter_lines()
        next(pieces)
        process.terminate()
        with pytest.raises(httpx.TransportError):
            assert sum(1 for _ in pieces) < large
