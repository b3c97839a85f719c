"""A deploy: SIGTERM ends streams at once, and clients go on elsewhere without a gap."""

from __future__ import annotations

import asyncio
import signal
import time

import httpx
import pytest
from httpx_sse import EventSource

from tests.integration.hand_worker import HandWorker
from tests.processes import Stack
from tests.waiting import until_async

AT_ONCE_S = 4.0
"""Less than the API gives open requests to end."""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_end_at_once_and_resume_at_another_api(
    stack: Stack, redis_url: str, signum: signal.Signals
) -> None:
    old, new = stack.api(), stack.api()
    with HandWorker(stack.database_url, redis_url) as worker, httpx.Client(timeout=30) as client:
        here = client.post(f"{old.url}/tasks", json={"task_type": "echo", "input": {}}).headers["location"]
        claim = worker.claim()
        with client.stream("GET", f"{old.url}{here}/stream") as response:
            events = EventSource(response).iter_sse()
            assert [next(events).id, next(events).id] == ["1", "2"]
            signalled_at = time.monotonic()
            old.send(signum)
            assert list(events) == []
            assert time.monotonic() - signalled_at < AT_ONCE_S
        assert old.wait() in {0, -signum}

        worker.log(claim, "while nobody listens")
        with client.stream("GET", f"{new.url}{here}/stream", headers={"last-event-id": "2"}) as response:
            events = EventSource(response).iter_sse()
            assert next(events).id == "3"
            worker.finish(claim)
            assert [event.id for event in events] == ["4"]


def test_what_was_submitted_before_the_signal_is_answered_and_stored(stack: Stack) -> None:
    process = stack.api()

    accepted: list[str] = []

    async def submit(client: httpx.AsyncClient) -> None:
        while True:
            try:
                response = await client.post("/tasks", json={"task_type": "echo", "input": {}})
            except httpx.TransportError:
                return
            assert response.status_code == 202
            accepted.append(response.json()["task_id"])

    async def run() -> None:
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
            clients = [asyncio.create_task(submit(client)) for _ in range(8)]
            await until_async(lambda: len(accepted) > 100, what="all clients are at work")
            process.terminate()
            await asyncio.gather(*clients)

    asyncio.run(run())
    assert process.wait() == 0
    with httpx.Client(base_url=stack.api().url, timeout=30) as client:
        known: set[str] = set()
        cursor: dict[str, str] = {}
        while True:
            page = client.get("/tasks", params={"limit": 200, **cursor}).json()
            known |= {item["task_id"] for item in page["items"]}
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
    assert set(accepted) <= known
