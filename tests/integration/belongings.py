"""What one owner has, so that a test can see whether another one reaches it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from uuid_utils.compat import uuid7

from jobcore.files.folder import FolderStore
from jobcore.models import Claim, NewFile
from jobcore.store import files
from longrun_api import cursors
from tests.harness import sql
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi
from tests.processes import Stack
from tests.waiting import until

SECRET = "alices-secret"
"""A word in all that she has."""
FILE = "report.txt"
KEY = "key"
"""Her idempotency key, dedupe key, concurrency key and rate key."""
SCHEDULE = "nightly"
SUBMISSION = {
    "task_type": "echo",
    "input": {"text": SECRET},
    "metadata": {"note": SECRET},
    "tags": [SECRET],
    "concurrency_key": KEY,
    "rate_key": KEY,
    "dedupe_key": KEY,
}
TICK = {"name": SCHEDULE, "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {"text": SECRET}}}

STATE = """
SELECT string_agg(line, E'\\n' ORDER BY line) AS state FROM (
    SELECT CAST(jobs AS text) AS line FROM jobs WHERE owner = 'alice'
    UNION ALL SELECT CAST(event AS text) FROM job_events AS event JOIN jobs ON jobs.id = job_id WHERE owner = 'alice'
    UNION ALL SELECT CAST(job_files AS text) FROM job_files WHERE owner = 'alice'
    UNION ALL SELECT CAST(input_files AS text) FROM input_files WHERE owner = 'alice'
    UNION ALL SELECT CAST(schedules AS text) FROM schedules WHERE starts_with(name, 'alice')
    UNION ALL SELECT concat(key, max_running) FROM key_limits WHERE starts_with(key, 'alice')
    UNION ALL SELECT concat(key, max_starts, window_s) FROM rate_limits WHERE starts_with(key, 'alice')
    UNION ALL SELECT concat(id, revoked_at, scopes, expires_at) FROM api_keys WHERE owner = 'alice'
    UNION ALL SELECT CAST(webhooks AS text) FROM webhooks WHERE owner = 'alice'
    UNION ALL SELECT CAST(idempotency_keys AS text) FROM idempotency_keys WHERE starts_with(key, 'alice')
    UNION ALL SELECT concat(name, paused, max_running, max_starts) FROM queues WHERE starts_with(name, 'hand')
) AS lines
"""


@dataclass(frozen=True)
class Belongings:
    """The tasks of alice, one of each state, her schedule, and cursors of her lists."""

    stack: Stack
    queue: str
    tasks: tuple[str, ...]
    schedule_id: str
    key_id: str
    file_id: str
    webhook_id: str
    cursor: str
    feed_cursor: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no other owner may read."""
        return (SECRET, self.schedule_id, self.key_id, self.file_id, self.webhook_id, *self.tasks)

    @property
    def webhook_cursor(self) -> str:
        """Of a list in which her webhook would be next."""
        return cursors.encode(UUID(int=UUID(self.webhook_id).int + 1))

    def state(self) -> str:
        """All that is stored of hers, as text."""
        return str(sql(self.stack.database_url, STATE)[0]["state"])


def collect(keyed: KeyedApi, worker: HandWorker) -> Belongings:
    """Let alice submit, and a worker run some of it."""
    stack, key = keyed.stack, keyed.make("admin", owner="alice")
    alice = keyed.client(key["key"])
    with alice.stream("GET", "/events/stream") as stream:
        feed_cursor = next(line for line in stream.iter_lines() if line.startswith("id: "))[4:]
    failed, running, blocked = (_submit(alice, worker, number) for number in range(3))
    claim = worker.claim()
    worker.log(claim, SECRET)
    worker.fail(claim, SECRET)
    claim = worker.claim()
    worker.log(claim, SECRET)
    worker.say(claim, "output", {"name": "piece", "data": SECRET})
    _keep_file(stack, worker, claim)
    assert {str(claim.id), failed, blocked} == {failed, running, blocked}
    made = _answer(
        alice.post("/schedules", json=TICK, headers={"Idempotency-Key": f"{KEY}-schedule"}), httpx.codes.CREATED
    )
    _answer(alice.put(f"/concurrency-limits/{KEY}", json={"max_running": 1}), httpx.codes.OK)
    _answer(alice.put(f"/rate-limits/{KEY}", json={"max_starts": 9, "window_s": 60}), httpx.codes.OK)
    hook = {"url": f"https://example.com/{SECRET}", "filter": {"queue": ["nowhere"]}}
    webhook = _answer(
        alice.post("/webhooks", json=hook, headers={"Idempotency-Key": f"{KEY}-webhook"}), httpx.codes.CREATED
    )
    upload = _answer(alice.post("/files", content=SECRET, headers={"Content-Type": "text/plain"}), httpx.codes.CREATED)
    until(lambda: sql(stack.database_url, "SELECT ready FROM jobs WHERE id = %s", blocked)[0]["ready"])
    page = _answer(alice.get("/tasks", params={"limit": 1}), httpx.codes.OK)
    return Belongings(
        stack,
        worker.queue,
        (failed, running, blocked),
        made["schedule_id"],
        key["id"],
        upload["file_id"],
        webhook["webhook_id"],
        page["next"],
        feed_cursor,
    )


def _submit(alice: httpx.Client, worker: HandWorker, number: int) -> str:
    body = {**SUBMISSION, "queue": worker.queue, "dedupe_key": KEY if number == 1 else f"{KEY}-{number}"}
    if number < 2:
        del body["concurrency_key"], body["rate_key"]
    headers = {"Idempotency-Key": KEY} if number == 1 else {}
    return str(_answer(alice.post("/tasks", json=body, headers=headers), httpx.codes.ACCEPTED)["task_id"])


def _keep_file(stack: Stack, worker: HandWorker, claim: Claim) -> None:
    file, content = NewFile(uuid7(), FILE, "text/plain"), SECRET.encode()
    worker.db.call(files.begin, claim.id, claim.fence, file, 100)
    with FolderStore(stack.files).writer(file.id, len(content)) as target:
        target.write(content)
    sha256 = hashlib.sha256(content).hexdigest()
    assert worker.db.call(files.finish, claim.id, claim.fence, file, size=len(content), sha256=sha256)


def _answer(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    return dict(response.json())
