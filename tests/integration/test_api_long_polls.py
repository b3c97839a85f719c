"""Requests that wait for a task: when they are answered, also without Redis, and what is left when a client leaves."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from jobcore.models import Claim
from longrun_local.valkey import EmbeddedValkey
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_outage import frozen, stopped
from tests.integration.test_api_read import UNKNOWN
from tests.integration.test_api_submit import fields, problem
from tests.processes import Stack
from tests.waiting import PATIENCE_S, until

Submit = Callable[..., str]
Asking = Callable[..., "Future[httpx.Response]"]
LONG_S = 55
SHORT_S = 1


@pytest.fixture
def channels(redis_url: str) -> Iterator[Callable[[], int]]:
    """Says to how many jobs somebody listens."""
    with redis.Redis.from_url(redis_url) as client:
        yield lambda: len(client.pubsub_channels("longrun:job:*"))


@pytest.fixture
def asking(api: httpx.Client, channels: Callable[[], int]) -> Iterator[Asking]:
    """Sends a request in a thread; returns when the API listens to its task."""
    with ThreadPoolExecutor() as threads, httpx.Client(base_url=api.base_url, timeout=LONG_S + PATIENCE_S) as client:

        def ask(path: str, headers: dict[str, str] | None = None, **query: int | str) -> Future[httpx.Response]:
            response = threads.submit(client.get, path, params=query, headers=headers)
            until(lambda: channels() == 1 or response.done(), what="the API listens to the task")
            return response

        yield ask


def test_the_answer_comes_when_the_task_ends(
    asking: Asking, worker: HandWorker, submit: Submit, channels: Callable[[], int]
) -> None:
    here = submit()
    claim = worker.claim()
    started_at = time.monotonic()
    waiting = asking(here, wait=LONG_S)
    worker.log(claim, "that it goes on is no news")
    assert not waiting.done()
    worker.finish(claim, {"n": 1})
    response = waiting.result()
    assert time.monotonic() - started_at < LONG_S
    assert (response.status_code, response.json()["status"], response.json()["result"]) == (200, "SUCCESS", {"n": 1})
    assert "preference-applied" not in response.headers
    until(lambda: channels() == 0, what="nobody listens any more")


def test_with_a_cursor_the_answer_comes_with_the_next_event(asking: Asking, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    waiting = asking(here, wait=LONG_S, after=2)
    assert not waiting.done()
    assert worker.log(claim, "news") == 3
    task = waiting.result().json()
    assert (task["status"], task["seq"]) == ("RUNNING", 3)
    assert asking(here, wait=LONG_S, after=2).result().json()["seq"] == 3
    worker.finish(claim)


def test_an_end_that_nobody_announced_is_found_by_looking(asking: Asking, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    waiting = asking(here, wait=LONG_S)
    worker.log(claim, "lost", quiet=True)
    worker.finish(claim, quiet=True)
    assert waiting.result().json()["status"] == "SUCCESS"


def test_when_the_time_is_over_the_answer_is_the_task_as_it_is(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    started_at = time.monotonic()
    response = api.get(here, params={"wait": SHORT_S})
    assert time.monotonic() - started_at >= SHORT_S
    assert (response.status_code, response.json()["status"]) == (200, "PENDING")
    assert int(response.headers["retry-after"]) >= 1


def test_a_preference_to_wait_is_honoured_and_said(asking: Asking, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    waiting = asking(here, {"Prefer": f"respond-async, wait={LONG_S}"})
    assert not waiting.done()
    worker.finish(claim)
    response = waiting.result()
    assert response.json()["status"] == "SUCCESS"
    assert response.headers["preference-applied"] == f"wait={LONG_S}"
    assert response.headers["vary"] == "Prefer"


def test_a_wait_for_longer_than_the_setting_is_cut(shared_stack: Stack, api: httpx.Client, submit: Submit) -> None:
    here = submit()
    hasty = shared_stack.api(env={"LONGRUN_WAIT_MAX_S": str(SHORT_S)})
    with httpx.Client(base_url=hasty.url, timeout=PATIENCE_S) as client:
        response = client.get(here, headers={"prefer": "wait=99999999"})
        assert response.headers["preference-applied"] == f"wait={SHORT_S}"
        assert response.json()["status"] == "PENDING"
        assert client.get(here, params={"wait": 99999999}).json()["status"] == "PENDING"


def test_an_ended_task_and_one_that_does_not_exist_are_answered_at_once(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    worker.finish(worker.claim())
    assert api.get(here, params={"wait": LONG_S}).json()["status"] == "SUCCESS"
    assert api.get(here, params={"wait": LONG_S, "after": 3}).json()["seq"] == 3
    problem(api.get(f"/tasks/{UNKNOWN}", params={"wait": LONG_S}), 404, "task-not-found")


def cancelled(api: httpx.Client, worker: HandWorker, here: str) -> Claim:
    """A run whose task is cancelled, and which has not stopped."""
    claim = worker.claim()
    assert api.delete(here).status_code == 202
    return claim


@pytest.mark.parametrize("quiet", [False, True], ids=["announced", "found by looking"])
def test_a_wait_for_the_stop_of_a_cancelled_run_is_answered_when_it_has_stopped(
    api: httpx.Client, asking: Asking, worker: HandWorker, submit: Submit, quiet: bool
) -> None:
    here = submit()
    claim = cancelled(api, worker, here)
    assert api.get(here, params={"wait": LONG_S}).json()["cancel"]["stopped_at"] is None
    waiting = asking(here, wait=LONG_S, until="stopped")
    assert not waiting.done()
    worker.stopped(claim.id, claim.fence, "signal", quiet=quiet)
    receipt = waiting.result().json()["cancel"]
    assert receipt["stopped_at"]
    assert receipt["method"] == "signal"
    assert api.get(here, params={"wait": LONG_S, "until": "stopped"}).json()["cancel"] == receipt


def test_a_wait_for_the_stop_of_a_running_task_outlasts_its_cancel(
    api: httpx.Client, asking: Asking, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    waiting = asking(here, wait=LONG_S, until="stopped")
    assert api.delete(here).status_code == 202
    worker.stopped(claim.id, claim.fence, "kill")
    assert waiting.result().json()["cancel"]["method"] == "kill"


def test_a_cancel_that_prefers_to_wait_is_answered_with_the_complete_receipt(
    api: httpx.Client, worker: HandWorker, submit: Submit, channels: Callable[[], int]
) -> None:
    here = submit()
    claim = worker.claim()
    short = api.delete(here, headers={"Prefer": f"wait={SHORT_S}"})
    assert (short.status_code, short.headers["preference-applied"]) == (202, f"wait={SHORT_S}")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(api.delete, here, headers={"Prefer": f"wait={LONG_S}"}, timeout=LONG_S * 2)
        until(lambda: channels() == 1, what="the API listens to the task")
        worker.stopped(claim.id, claim.fence, "cooperative")
        response = waiting.result()
    assert (response.status_code, response.headers["preference-applied"]) == (200, f"wait={LONG_S}")
    assert response.json()["cancel"]["stopped_at"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wait=1&until=never", "until"),
        ("wait=-1", "wait"),
        ("wait=soon", "wait"),
        ("wait=1&after=-1", "after"),
        ("wait=1&after=9", "after"),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused(api: httpx.Client, submit: Submit, query: str, field: str) -> None:
    assert list(fields(problem(api.get(f"{submit()}?{query}"), 422, "invalid-input"))) == [field]


def submission(worker: HandWorker) -> dict[str, Any]:
    return {"task_type": "echo", "input": {}, "queue": worker.queue}


def test_a_submission_that_ends_in_time_is_answered_with_the_task(
    api: httpx.Client, worker: HandWorker, channels: Callable[[], int]
) -> None:
    with ThreadPoolExecutor() as threads:
        prefer = {"Prefer": f"wait={LONG_S}"}
        waiting = threads.submit(api.post, "/tasks", json=submission(worker), headers=prefer, timeout=LONG_S * 2)
        until(lambda: channels() == 1, what="the API listens to the task")
        worker.finish(worker.claim(), {"n": 2})
        response = waiting.result()
    assert (response.status_code, response.json()["status"], response.json()["result"]) == (200, "SUCCESS", {"n": 2})
    assert response.headers["content-location"] == response.headers["location"] == response.json()["links"]["self"]
    assert response.headers["preference-applied"] == f"wait={LONG_S}"
    assert api.get(response.headers["location"]).headers["etag"] == response.headers["etag"]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        (f"wait={SHORT_S}", f"wait={SHORT_S}"),
        (f"respond-async, wait={SHORT_S}", f"wait={SHORT_S}, respond-async"),
        ("respond-async", "respond-async"),
        ("wait=0", "wait=0"),
        ("return=minimal", None),
    ],
)
def test_a_submission_that_does_not_end_in_time_is_accepted_as_any_other(
    api: httpx.Client, worker: HandWorker, prefer: str, applied: str | None
) -> None:
    response = api.post("/tasks", json=submission(worker), headers={"Prefer": prefer})
    assert (response.status_code, response.json()["status"]) == (202, "PENDING")
    assert response.headers.get("preference-applied") == applied
    assert api.get(response.headers["location"]).status_code == 200


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_is_waited_for_no_longer(
    api_url: str, submit: Submit, channels: Callable[[], int], how: str
) -> None:
    place = urlsplit(api_url)
    paths = [submit() for _ in range(20)]
    clients = [socket.create_connection((place.hostname, place.port)) for _ in paths]
    for client, path in zip(clients, paths, strict=True):
        client.sendall(f"GET {path}?wait={LONG_S} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    until(lambda: channels() == len(paths), what="each task is listened to")
    for client in clients:
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    until(lambda: channels() == 0, LONG_S / 2, "nobody listens any more")


def test_a_client_that_only_ends_its_requests_is_answered_at_once(
    api_url: str, submit: Submit, worker: HandWorker, channels: Callable[[], int]
) -> None:
    place = urlsplit(api_url)
    body = json.dumps(submission(worker))
    for request in (
        f"GET {submit()}?wait={LONG_S} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: wait={LONG_S}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}",
    ):
        with socket.create_connection((place.hostname, place.port), timeout=LONG_S / 2) as client:
            client.sendall(request.encode())
            until(lambda: channels() == 1, what="the task is listened to")
            client.shutdown(socket.SHUT_WR)
            received = b""
            while piece := client.recv(65536):
                received += piece
        assert b'"status":"PENDING"' in received
        until(lambda: channels() == 0, what="nobody listens any more")


def test_many_that_wait_hold_no_connection_to_postgresql(
    shared_stack: Stack, worker: HandWorker, submit: Submit, channels: Callable[[], int]
) -> None:
    narrow = shared_stack.api(env={"LONGRUN_DATABASE_POOL_SIZE": "1"})
    paths = [submit() for _ in range(30)]
    with (
        ThreadPoolExecutor(len(paths)) as threads,
        httpx.Client(base_url=narrow.url, timeout=LONG_S * 2, limits=httpx.Limits(max_connections=None)) as client,
    ):
        waiting = [threads.submit(client.get, path, params={"wait": LONG_S}) for path in paths]
        until(lambda: channels() == len(paths), what="each task is listened to")
        assert client.get(paths[0]).status_code == 200
        for _ in paths:
            worker.finish(worker.claim())
        assert {each.result().json()["status"] for each in waiting} == {"SUCCESS"}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_shutdown_answers_those_that_wait_with_what_there_is(
    shared_stack: Stack, submit: Submit, channels: Callable[[], int], signum: signal.Signals
) -> None:
    paths = [submit() for _ in range(20)]
    process = shared_stack.api()
    with ThreadPoolExecutor(len(paths)) as threads, httpx.Client(base_url=process.url, timeout=LONG_S * 2) as client:
        waiting = [threads.submit(client.get, path, params={"wait": LONG_S}) for path in paths]
        until(lambda: channels() == len(paths), what="each task is listened to")
        signalled_at = time.monotonic()
        process.send(signum)
        assert [(each.result().status_code, each.result().json()["status"]) for each in waiting] == [
            (200, "PENDING")
        ] * len(paths)
        assert time.monotonic() - signalled_at < LONG_S / 2
    assert process.wait() in {0, -signum}


@pytest.mark.parametrize("fault", ["frozen", "stopped", "flushed"])
def test_without_redis_those_that_wait_hear_of_the_end_all_the_same(
    stack: Stack, redis_server: EmbeddedValkey, redis_url: str, channels: Callable[[], int], fault: str
) -> None:
    process = stack.api()
    with (
        HandWorker(stack.database_url, redis_url) as worker,
        httpx.Client(base_url=process.url, timeout=LONG_S * 2) as client,
        ThreadPoolExecutor() as threads,
    ):
        here = client.post("/tasks", json=submission(worker)).headers["location"]
        claim = worker.claim()
        waiting = threads.submit(client.get, here, params={"wait": LONG_S})
        until(lambda: channels() == 1, what="the API listens to the task")
        if fault == "flushed":
            with redis.Redis.from_url(redis_url) as server:
                server.flushall()
                server.client_kill_filter(_type="pubsub")
            worker.finish(claim, quiet=True)
            assert waiting.result().json()["status"] == "SUCCESS"
            return
        with frozen(redis_server.pid) if fault == "frozen" else stopped(redis_server):
            worker.finish(claim, quiet=True)
            assert waiting.result().json()["status"] == "SUCCESS"
            late = client.get(here, params={"wait": LONG_S})  # it cannot subscribe
            assert late.json()["status"] == "SUCCESS"
