"""One Redis for several tenants: queues named like kombu's keys, two deployments, and other Celery applications."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.conftest import database
from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Process, Stack
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

KOMBU_NAMES = ["unacked", "unacked_index", "unacked_mutex", "_kombu.binding.celery", "celery", "celery.pidbox", "job"]
FOREIGN = """
import sys
from celery import Celery

app = Celery("foreign", broker=sys.argv[1])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)

@app.task
def note(folder, number):
    with open(f"{folder}/{number}", "a") as done:
        done.write("done\\n")

if __name__ == "__main__":
    if sys.argv[2] == "send":
        for number in range(100):
            note.delay(sys.argv[3], number)
    else:
        app.worker_main(["worker", "--loglevel=warning", "--concurrency=2", "--queues=celery,default"])
"""


@pytest.mark.parametrize("queue", cases(KOMBU_NAMES, always=2))
def test_a_queue_may_be_named_like_a_key_of_kombus(longrun: Harness, redis_server: EmbeddedValkey, queue: str) -> None:
    if not queue[0].isalnum():
        assert longrun.api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": queue}).status_code == 422
        return
    unserved = [longrun.submit(queue=queue) for _ in range(3)]
    own = longrun.worker("own", 1, LONGRUN_QUEUES=queue)
    jobs = [longrun.submit(input={"n": n}) for n in range(10)] + [longrun.submit(queue=queue) for _ in range(10)]
    longrun.all_reach([*unserved, *jobs], "SUCCESS")
    assert "WRONGTYPE" not in "".join(process.log() for process in (*longrun.workers, own))
    check(longrun, [*unserved, *jobs])


@contextmanager
def deployment(
    postgres: EmbeddedPostgres, template: str, redis_url: str, folder: Path, prefix: str
) -> Iterator[Harness]:
    """An API and a worker on a database of their own, whose keys begin with this prefix."""
    folder.mkdir()
    with database(postgres, template) as url, Stack(url, redis_url, folder) as stack:
        env = environment(folder) | {"LONGRUN_REDIS_PREFIX": prefix}
        with httpx.Client(base_url=stack.api(env=env).url, timeout=10) as client:
            harness = Harness(stack, client, "shared", folder)
            harness.worker("worker", 2, LONGRUN_REDIS_PREFIX=prefix)
            yield harness


def foreign(stack: Stack, redis_url: str, *arguments: str) -> Process:
    """A Celery application that knows nothing of Longrun."""
    program = stack.folder / "foreign.py"
    program.write_text(FOREIGN)
    return stack.start("foreign", [sys.executable, str(program), redis_url, *arguments])


@pytest.mark.timeout(400)
@pytest.mark.thorough
def test_two_deployments_and_another_celery_application_share_a_redis_and_each_gets_its_own(
    postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path
) -> None:
    with (
        deployment(postgres, migrated_template, redis_url, tmp_path / "a", "a:") as a,
        deployment(postgres, migrated_template, redis_url, tmp_path / "b", "b:") as b,
        redis.Redis.from_url(redis_url) as client,
    ):
        notes = tmp_path / "notes"
        notes.mkdir()
        foreign(a.stack, redis_url, "work")
        sender = foreign(b.stack, redis_url, "send", str(notes))
        jobs = {harness.stack.folder.name: [harness.submit(input={"n": n}) for n in range(100)] for harness in (a, b)}
        cancelled = a.tick(60)
        a.runs(cancelled)
        assert a.api.delete(f"/tasks/{cancelled}").is_success
        a.stopped(cancelled)
        for harness in (a, b):
            harness.all_reach(jobs[harness.stack.folder.name], "SUCCESS")
            check(harness, jobs[harness.stack.folder.name])
            assert harness.sql("SELECT count(*) FROM jobs")[0]["count"] == 100 + (harness is a)
        assert sender.wait() == 0
        until(lambda: len(list(notes.iterdir())) == 100, what="the other application got each of its tasks")
        assert {note.read_text() for note in notes.iterdir()} == {"done\n"}, "once"
        theirs = {key for key in client.scan_iter() if not key.startswith((b"a:", b"b:"))}
        assert all(key.startswith((b"_kombu.binding.", b"unacked", b"celery", b"default")) for key in theirs), theirs
        for process in (*a.stack.processes, *b.stack.processes):
            assert "[error" not in process.log(), process.log()
