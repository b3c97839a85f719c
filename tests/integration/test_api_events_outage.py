"""The stream of all tasks' events while servers are away or restart, and its readers that stop reading."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from jobcore.models import NewEvent
from longrun_client import Longrun, LongrunUnavailable, TaskEvent
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.raw_http import resident_bytes
from tests.integration.test_api_outage import away, stopped
from tests.integration.test_api_stream_readers import is_cut, rest
from tests.processes import Stack
from tests.waiting import until

MIB = 1024 * 1024
SHORT = {"LONGRUN_STREAM_STALL_S": "2", "LONGRUN_STREAM_BACKLOG_BYTES": str(2 * MIB)}


class Watcher:
    """Watches with the Python client, in a thread."""

    def __init__(self, url: str) -> None:
        self.events: list[TaskEvent] = []
        self._client = Longrun(url)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._opened(url)
        self._thread.start()

    def _opened(self, url: str) -> None:
        with httpx.stream("GET", f"{url}/events/stream") as response:
            lines = response.iter_lines()
            self._after = next(line.removeprefix("id: ") for line in lines if line.startswith("id: "))

    def _watch(self) -> None:
        with suppress(LongrunUnavailable):  # the end of the test
            for event in self._client.watch(after=self._after):
                self.events.append(event)

    def saw(self, task_ids: list[str]) -> bool:
        """Whether it saw each of these accepted, in this order or another, once."""
        seen = [event.task_id for event in self.events if event.data.get("status") == "PENDING"]
        assert len(set(seen)) == len(seen), "an event came twice"
        return set(task_ids) <= set(seen)


def submit(api: httpx.Client, count: int = 5) -> list[str]:
    """Submit tasks, again and again until each is accepted."""
    ids = []
    for _ in range(count):
        response = until(lambda: accepted(api), what="a task is accepted")
        ids.append(response.json()["task_id"])
    return ids


def accepted(api: httpx.Client) -> httpx.Response | None:
    try:
        response = api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": "nobody"})
    except httpx.TransportError:
        return None
    return response if response.status_code == 202 else None


@contextmanager
def flushed(server: EmbeddedValkey) -> Iterator[None]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.client_kill_filter(_type="pubsub")
        yield


@contextmanager
def restarted(postgres: EmbeddedPostgres) -> Iterator[None]:
    postgres.stop()
    postgres.start()
    yield


@pytest.mark.parametrize("fault", ["redis stopped", "redis flushed", "postgresql restarted", "postgresql crashed"])
def test_no_event_is_missed_or_doubled_whatever_is_away(
    stack: Stack, postgres: EmbeddedPostgres, redis_server: EmbeddedValkey, fault: str
) -> None:
    faults: dict[str, Callable[[], Any]] = {
        "redis stopped": lambda: stopped(redis_server),
        "redis flushed": lambda: flushed(redis_server),
        "postgresql restarted": lambda: restarted(postgres),
        "postgresql crashed": lambda: away(postgres, "crashed"),
    }
    url = stack.api().url
    with httpx.Client(base_url=url, timeout=30) as api:
        watcher = Watcher(url)
        ids = submit(api)
        until(lambda: watcher.saw(ids), what="it works before")
        with faults[fault]():
            if "crashed" not in fault:
                ids += submit(api)
                until(lambda: watcher.saw(ids), what="it works meanwhile")
            else:
                until(lambda: api.get("/readyz").status_code == 503)
        ids += submit(api)
        until(lambda: watcher.saw(ids), what="it works afterwards")
    assert [event.task_id for event in watcher.events] == ids


def test_an_api_that_is_killed_is_continued_at_another_without_a_gap(stack: Stack) -> None:
    port = free_port()
    process = stack.api(port)
    with httpx.Client(base_url=process.url, timeout=30) as api:
        watcher = Watcher(process.url)
        ids = submit(api)
        for _ in range(3):
            process.kill()
            process.wait()
            process = stack.api(port)
            ids += submit(api)
        until(lambda: watcher.saw(ids), what="the client goes on")
    assert [event.task_id for event in watcher.events] == ids


def opened(url: str) -> socket.socket:
    """A connection that asked for the stream, whose receiving side holds little."""
    place = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.settimeout(20)
    client.connect((place.hostname, place.port))
    client.sendall(b"GET /events/stream?queue=told HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def test_a_reader_that_stops_is_cut_costs_little_and_misses_nothing_when_it_resumes(
    stack: Stack, redis_url: str
) -> None:
    process = stack.api(env=SHORT)
    with (
        httpx.Client(base_url=process.url, timeout=30) as api,
        HandWorker(stack.database_url, redis_url, "told") as worker,
    ):
        api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": "told"}).raise_for_status()
        claim = worker.claim()
        before = resident_bytes(process.pid)
        readers = [opened(process.url) for _ in range(20)]
        for reader in readers:
            assert b"200" in reader.recv(20)
        sizes = []

        def all_cut() -> bool:
            some = [NewEvent("progress", {"done": 1, "total": None, "message": "x" * 1000}) for _ in range(200)]
            worker.db.call(append_events, claim.id, claim.fence, some)
            sizes.append(resident_bytes(process.pid))
            return all(is_cut(reader) for reader in readers)

        until(all_cut, what="all readers are cut")
        worker.finish(claim)
        assert max(sizes) - before < 64 * MIB
        for reader in readers[:3]:
            told = complete_events(rest(reader))
            seqs = [seq for seq, _ in told]
            with Longrun(process.url) as client:
                for event in client.watch(after=told[-1][1], queue="told"):
                    seqs.append(event.seq or 0)
                    if event.data.get("status") == "SUCCESS":
                        break
            assert seqs == list(range(3, seqs[-1] + 1))
        for reader in readers:
            reader.close()


def complete_events(received: bytes) -> list[tuple[int, str]]:
    """Seq and id of each event that arrived whole in a chunked response that was cut."""
    rest, body = received.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in body.decode().split("\n\n")[:-1]]
    return [(json.loads(block["data"])["seq"], block["id"]) for block in blocks if block["event"] == "progress"]
