"""The client and the command line against Longrun's real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import pytest

from longrun_client import AsyncLongrun, Event, Longrun, ProblemError, Status
from tests.badsite import BadSite
from tests.processes import Process, Stack

LONGRUN = (sys.executable, "-c", "from longrun_client.cli import main; main()")


@pytest.fixture(scope="module")
def site() -> Iterator[BadSite]:
    with BadSite() as site:
        yield site


@pytest.fixture(scope="module")
def api(shared_stack: Stack, site: BadSite) -> Process:
    """An API, with a worker and a scraper that have nothing to do."""
    process = shared_stack.api()
    shared_stack.worker()
    shared_stack.scraper(env={"LONGRUN_FETCH_ALLOW": site.host_port})
    return process


@pytest.fixture
def client(api: Process) -> Iterator[Longrun]:
    with Longrun(api.url) as client:
        yield client


def _longrun(api: Process, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # pytest-xdist sets it
    environment["LONGRUN_URL"] = api.url
    return subprocess.run(
        [*LONGRUN, *arguments], env=environment, capture_output=True, check=False, text=True, timeout=60
    )


def test_a_task_from_submission_to_result(client: Longrun) -> None:
    accepted = client.submit("sleep", {"seconds": 0.2, "steps": 2}, tags=["t"], metadata={"k": 1}, priority=3)
    assert accepted.status is Status.PENDING
    done = client.wait(accepted.task_id, timeout_s=30)
    assert (done.status, done.tags, done.metadata, done.priority) == (Status.SUCCESS, ("t",), {"k": 1}, 3)
    assert done.result["slept_s"] >= 0.2
    story = list(client.stream(done.task_id))
    assert [event.seq for event in story] == list(range(1, done.seq + 1))
    assert [event.status for event in story if event.status] == ["PENDING", "RUNNING", "SUCCESS"]
    assert list(client.stream(done.task_id, after=done.seq)) == []
    assert [line.message for line in client.logs(done.task_id)] == ["slept for 0.2 s in 2 steps"]
    assert {"echo", "sleep"} <= {task_type.name for task_type in client.task_types()}


def test_the_same_awaited(api: Process) -> None:
    async def run() -> None:
        async with AsyncLongrun(api.url) as client:
            tasks = [await client.submit("echo", {"n": n}) for n in range(5)]
            done = [await client.wait(task.task_id, timeout_s=30) for task in tasks]
            assert [task.result for task in done] == [{"n": n} for n in range(5)]
            assert [task.task_id async for task in client.list(limit=3)] == [
                task.task_id for task in reversed(tasks[2:])
            ]
            assert [event.status async for event in client.stream(done[0].task_id)][-1] is Status.SUCCESS

    anyio.run(run)


def test_waiting_says_where_a_task_stands_and_cancel_stops_it(api: Process, client: Longrun) -> None:
    task_id = client.submit("sleep", {"seconds": 60}).task_id
    next(event for event in client.stream(task_id) if event.status is Status.RUNNING)
    assert [task.task_id for worker in client.workers() for task in worker.tasks] == [task_id]
    with pytest.raises(TimeoutError, match=f"task {task_id} did not end within 0.3 s: it is RUNNING, attempt 1"):
        client.wait(task_id, timeout_s=0.3)
    assert client.cancel(task_id).status is Status.CANCELLED
    assert client.wait(task_id, timeout_s=30).status is Status.CANCELLED
    assert _longrun(api, "cancel", task_id, "--wait").stdout == "CANCELLED\n"
    receipt = client.get(task_id).cancel
    assert receipt is not None
    assert receipt.stopped_at is not None


def test_the_history_is_walked_page_by_page(client: Longrun) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    ids = [client.submit("echo", {"n": n}, run_at=later).task_id for n in range(120)]
    assert [task.task_id for task in client.list(limit=120)] == ids[::-1]
    assert [task.task_id for task in client.list(status=Status.PENDING, task_type="echo")] == ids[::-1]
    assert list(client.list(status=Status.PENDING, task_type="sleep")) == []


def test_a_refusal_names_the_field(client: Longrun) -> None:
    with pytest.raises(ProblemError) as refused:
        client.submit("sleep", {"seconds": -1})
    assert [error.field for error in refused.value.errors] == ["input.seconds"]


def test_the_command_line_scrapes_a_page_and_follows_it(api: Process, site: BadSite) -> None:
    ran = _longrun(api, "submit", "web_scrape", "--url", f"{site.url}/good", "--follow")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["title"] == "The Daily Example"
    assert "RUNNING" in ran.stderr
    forbidden = _longrun(api, "submit", "web_scrape", "--url", "http://169.254.169.254/", "--follow", "--json")
    assert forbidden.returncode == 1, forbidden.stderr
    assert json.loads(forbidden.stdout.splitlines()[-1])["status"] == "FAILED"
    listed = _longrun(api, "list", "--task-type", "web_scrape", "--json")
    assert [json.loads(line)["status"] for line in listed.stdout.splitlines()] == ["FAILED", "SUCCESS"]


def test_a_stream_goes_on_over_the_sudden_death_of_the_api(shared_stack: Stack, api: Process, client: Longrun) -> None:
    def restart() -> None:
        api.kill_group()
        shared_stack.api(port=urlsplit(api.url).port)

    task_id = client.submit("sleep", {"seconds": 5, "steps": 25}).task_id
    restarting = threading.Thread(target=restart)
    story: list[Event] = []
    for event in client.stream(task_id):
        if event.kind == "progress" and restarting.ident is None:
            restarting.start()
        story.append(event)
    restarting.join()
    stored = [event.seq for event in story if event.seq is not None]
    assert stored == list(range(1, client.get(task_id).seq + 1))
    assert story[-1].status is Status.SUCCESS


def test_schedules_are_kept_run_and_deleted(client: Longrun) -> None:
    task = {"task_type": "echo", "input": {"n": 1}, "tags": ["tick"]}
    made = client.create_schedule("client-test", "0 0 1 1 *", task, timezone="Europe/Berlin")
    assert client.schedule("client-test") == made
    assert made.schedule_id in [schedule.schedule_id for schedule in client.schedules()]
    assert client.pause_schedule("client-test").next_at is None
    assert client.change_schedule("client-test", overlap="allow_all", paused=False).next_at == made.next_at
    ran = client.run_schedule(made.schedule_id)
    assert client.wait(ran.task_id, timeout_s=30).schedule_id == made.schedule_id
    assert [each.task_id for each in client.list(schedule_id=made.schedule_id)] == [ran.task_id]
    with pytest.raises(ProblemError) as refused:
        client.create_schedule("client-test", "* * *", task)
    assert [error.field for error in refused.value.errors] == ["cron"]

    async def gone() -> list[str]:
        async with AsyncLongrun(client.base_url) as other:
            assert (await other.resume_schedule("client-test")).next_at == made.next_at
            await other.delete_schedule("client-test")
            return [schedule.name async for schedule in other.schedules()]

    assert "client-test" not in anyio.run(gone)


def test_queues_are_paused_limited_and_resumed(api: Process, client: Longrun) -> None:
    name = f"client-{uuid4().hex[:8]}"
    assert client.pause_queue(name).paused
    waiting = client.submit("echo", {}, queue=name)
    assert _longrun(api, "queues", "limit", name, "0").stdout == f"{name}: paused, at most 0 at once\n"
    row = next(line for line in _longrun(api, "queues").stdout.splitlines() if line.startswith(name))
    assert row.split()[1] == "yes"
    assert row.split()[-2:] == ["0", "0"]
    assert client.limit_queue(name, None).max_running is None
    assert not client.resume_queue(name).paused
    found = client.queue(name)
    assert found.ready + found.blocked == 1
    assert name in [queue.name for queue in client.queues()]
    with pytest.raises(ProblemError, match="There is no such queue"):
        client.queue("never-used")
    refused = _longrun(api, "queues", "pause", "Not A Queue")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "name" in refused.stderr
    client.cancel(waiting.task_id)


def test_limits_of_keys_are_set_obeyed_listed_and_cleared(api: Process, client: Longrun) -> None:
    key = f"crm/{uuid4().hex}?#"
    tasks = [client.submit("sleep", {"seconds": 60}, concurrency_key=key) for _ in range(2)]
    assert client.get(tasks[0].task_id).concurrency_key == key
    assert _longrun(api, "limits", "set", key, "3").stdout == f"{key}: at most 3 at once\n"
    assert (key, 3) in [(limit.key, limit.max_running) for limit in client.concurrency_limits()]
    assert ["-", key, "3"] in [line.split() for line in _longrun(api, "limits").stdout.splitlines()]
    too_many = _longrun(api, "limits", "set", key, "1000001")
    assert (too_many.returncode, too_many.stdout) == (2, "")
    assert "max_running" in too_many.stderr
    cleared = _longrun(api, "limits", "clear", key)
    assert (cleared.returncode, cleared.stdout, cleared.stderr) == (0, "", f"{key}: one at a time\n")

    async def same() -> list[str]:
        async with AsyncLongrun(client.base_url) as other:
            assert (await other.set_concurrency_limit(key, 2)).max_running == 2
            assert key in [limit.key async for limit in other.concurrency_limits()]
            await other.clear_concurrency_limit(key)
            assert "default" in [queue.name async for queue in other.queues()]
            return [limit.key async for limit in other.concurrency_limits()]

    assert key not in anyio.run(same)
    for task in tasks:
        client.cancel(task.task_id)
