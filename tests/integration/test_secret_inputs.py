"""A secret in an input reaches the task, and nothing else: it is searched for wherever Longrun keeps or shows anything.

It goes in by every way that takes an input, and the task quotes it in its log and in its error.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
import redis

from jobcore.sealing.fields import MASK
from jobcore.sealing.keys import SecretKeys, new_key
from jobcore.store.database import Database
from longrun_api.secret_commands import rotated
from longrun_local.valkey import EmbeddedValkey
from tests.harness import connect, sql
from tests.otlp import Receiver
from tests.processes import Process, Stack
from tests.waiting import until

TASKS = """
import hashlib
from pathlib import Path

from jobcore.tasks import JobContext, task
from pydantic import BaseModel, SecretStr, field_validator


class Login(BaseModel):
    user: str
    password: SecretStr

    @field_validator("password")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 12:
            raise ValueError(f"too short: {value.get_secret_value()}")
        return value


@task(queue="vault", max_attempts=1)
def log_in(ctx: JobContext, login: Login, folder: str, tokens: list[SecretStr] = [], fail: bool = False) -> str:
    secret = login.password.get_secret_value()
    (Path(folder) / hashlib.sha256(secret.encode()).hexdigest()).touch()
    ctx.log(f"logging in with {secret}")
    if fail:
        raise RuntimeError(f"{login.user} cannot log in with {secret}")
    return login.user
"""
SECRET = "the-horse-is-correct-"
REFUSED = "horse-short"
OTHER_KEY = new_key()


class Vault:
    """Longrun with a task that takes secrets, and all that it said."""

    def __init__(self, stack: Stack, receiver: Receiver, folder: Path) -> None:
        self.stack, self.receiver, self.folder = stack, receiver, folder
        self.key = new_key()
        (folder / "tasks.py").write_text(TASKS)
        self.api = self.start(stack.api, self.key)
        self.client = httpx.Client(base_url=self.api.url, timeout=30)
        self.answers: list[httpx.Response] = []
        self.client.event_hooks = {"response": [self.answers.append]}

    def start(self, start: Callable[..., Process], keys: str) -> Process:
        """Start a process with these keys."""
        tasks = str(self.folder / "tasks.py")
        env = {"LONGRUN_TASKS": tasks, "LONGRUN_SECRET_KEYS": keys, "LONGRUN_REFUSED_BACKOFF_S": "0.05"}
        return start(env={**self.receiver.environment, **env, "LONGRUN_QUEUES": "vault", "LONGRUN_ACCESS_LOG": "true"})

    def submission(self, number: str, **fields: Any) -> dict[str, Any]:
        """A submission with a secret of its own."""
        login = {"user": "ada", "password": SECRET + number}
        given = {"login": login, "folder": str(self.folder), **fields}
        return {"task_type": "log_in", "input": given}

    def task(self, location: str) -> dict[str, Any]:
        """The ended task."""
        return until(lambda: (task := self.client.get(location).json())["finished_at"] and task)


@pytest.fixture(scope="module")
def vault(
    new_stack: Callable[[str], AbstractContextManager[Stack]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Vault]:
    with new_stack("vault") as stack, Receiver() as receiver:
        vault = Vault(stack, receiver, tmp_path_factory.mktemp("vault"))
        vault.start(stack.worker, vault.key)
        with vault.client:
            yield vault


def test_a_secret_reaches_its_task_and_is_found_nowhere_else(vault: Vault, redis_server: EmbeddedValkey) -> None:
    client = vault.client
    with redis.Redis.from_url(redis_server.url) as broker, broker.pubsub() as heard:
        heard.psubscribe("*")
        paths = _submitted_in_every_way(vault)
        ended = [vault.task(path) for path in paths]
        messages = [str(message) for message in iter(lambda: heard.get_message(timeout=0.1), None)]
        stored = [broker.dump(key) for key in broker.scan_iter()]

    assert [task["status"] for task in ended].count("FAILED") == 1
    for task in ended:
        assert task["input"]["login"] == {"user": "ada", "password": MASK}
    assert {path.name for path in vault.folder.iterdir() if len(path.name) == 64} == _digests(len(paths))
    [failed] = [task for task in ended if task["status"] == "FAILED"]
    assert failed["error"]["message"] == f"ada cannot log in with {MASK}"

    refused = client.post("/tasks", json=_with_password(vault, REFUSED))
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "too short" in refused.text
    for path in _readable(client, paths):
        client.get(path)
    with client.stream("GET", f"{paths[0]}/stream") as stream:
        stream.read()

    until(lambda: b"log_in" in b"".join(vault.receiver.raw))
    places: dict[str, str | bytes] = {
        "database": _dump(vault.stack.database_url),
        "logs": "".join(process.log() for process in vault.stack.processes),
        "spans": b"".join(vault.receiver.raw),
        "Redis": b"".join(filter(None, stored)) + "".join(messages).encode(),
        "Redis' files": b"".join(path.read_bytes() for path in redis_server.folder.rglob("*") if path.is_file()),
        "answers": "".join(answer.text for answer in vault.answers if answer.is_closed),
        "files": b"".join(path.read_bytes() for path in vault.stack.files.rglob("*") if path.is_file()),
    }
    for place, text in places.items():
        found = text if isinstance(text, bytes) else text.encode()
        for form in _forms(SECRET[:-1]) + _forms(REFUSED):
            assert form not in found, place
    assert b"logging in with **********" in str(places["database"]).encode()


def test_a_repeated_request_is_recognised_and_its_fingerprint_tells_nothing(vault: Vault) -> None:
    body = vault.submission("again")
    first = vault.client.post("/tasks", json=body, headers={"Idempotency-Key": "again"})
    repeated = vault.client.post("/tasks", json=body, headers={"Idempotency-Key": "again"})
    other = vault.client.post("/tasks", json=vault.submission("other"), headers={"Idempotency-Key": "again"})
    assert repeated.headers["location"] == first.headers["location"]
    assert repeated.headers["idempotency-replayed"] == "true"
    assert other.json()["type"] == "urn:longrun:problem:idempotency-key-reused"


def test_the_mask_is_no_secret(vault: Vault) -> None:
    answer = vault.client.post("/tasks", json=_with_password(vault, MASK))
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["field"] == "input.login.password"


def test_a_server_without_a_key_takes_no_secrets_and_says_what_to_do(vault: Vault) -> None:
    keyless = vault.start(vault.stack.api, "")
    answer = httpx.post(f"{keyless.url}/tasks", json=vault.submission("1"))
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "longrun secrets new-key" in answer.json()["errors"][0]["message"]


def test_a_transaction_takes_no_secrets(vault: Vault) -> None:
    until(lambda: sql(vault.stack.database_url, "SELECT 1 FROM task_types WHERE name = 'log_in' AND has_secrets"))
    with pytest.raises(psycopg2.Error, match="has secrets"):
        sql(vault.stack.database_url, "SELECT submit(%s)", json.dumps(vault.submission("1")))


def test_a_change_of_a_schedule_asks_for_its_secrets_again(vault: Vault) -> None:
    made = vault.client.post(
        "/schedules", json={"name": "changed", "cron": "0 0 1 1 *", "task": vault.submission("changed")}
    ).json()
    path = made["links"]["self"]
    assert vault.client.patch(path, json={"task": {"priority": 3}}).json()["errors"][0]["field"] == "task.input"
    paused = vault.client.patch(path, json={"paused": True}).json()
    assert paused["task"] == made["task"]
    assert paused["task"]["input"]["login"]["password"] == MASK


def test_a_worker_without_the_key_hands_the_job_back_and_says_which_key_it_needs(vault: Vault) -> None:
    body = vault.submission("elsewhere") | {"queue": "elsewhere"}
    path = vault.client.post("/tasks", json=body).headers["location"]

    def elsewhere(env: Mapping[str, str]) -> Process:
        return vault.stack.worker(env={**env, "LONGRUN_QUEUES": "elsewhere"})

    vault.start(elsewhere, OTHER_KEY)
    task = vault.task(path)
    assert (task["status"], task["error"]["kind"]) == ("FAILED", "invalid")
    assert f"sealed with the key {SecretKeys([vault.key]).first_id}" in task["error"]["message"]


def test_after_a_rotation_the_old_key_opens_nothing_and_the_new_one_all(vault: Vault) -> None:
    later = vault.submission("later") | {"delay_s": 3600}
    vault.client.post("/tasks", json=later)
    vault.client.post("/schedules", json={"name": "rotated", "cron": "0 0 1 1 *", "task": vault.submission("tick")})
    both = SecretKeys([OTHER_KEY, vault.key])
    url = vault.stack.database_url
    with closing(Database(url, name="rotation", pool_size=1)) as database:
        done, refused = rotated(database, both, batch=2)
        stored = sql(url, "SELECT sealed, task_type FROM jobs WHERE sealed IS NOT NULL") + sql(
            url, "SELECT job ->> 'sealed' AS sealed, job ->> 'task_type' AS task_type FROM schedules"
        )
        assert (done, refused) == (len(stored), {})
        for row in stored:
            assert SECRET in SecretKeys([OTHER_KEY]).open(row["sealed"], row["task_type"], None)
        assert rotated(database, both) == (0, {})
        # back, for the other tests
        assert rotated(database, SecretKeys([vault.key, OTHER_KEY]))[0] == len(stored)


def _submitted_in_every_way(vault: Vault) -> list[str]:
    """Submit the task by each way that takes an input; the paths of the tasks."""
    client, numbers = vault.client, iter(range(100))

    def submission(**fields: Any) -> dict[str, Any]:
        return vault.submission(str(next(numbers)), **fields)

    hook = {"url": "https://example.com/hook"}
    posted = [
        client.post("/tasks", json=submission(tokens=[SECRET]) | {"webhook": hook}),
        client.post("/tasks", json=submission(fail=True), headers={"Idempotency-Key": "one"}),
        client.post("/tasks", files={"task": (None, json.dumps(submission())), "note": ("note.txt", b"a note")}),
    ]
    batch = client.post(
        "/tasks:batch", json={"items": [submission(), submission()]}, headers={"Idempotency-Key": "two"}
    )
    schedule = client.post(
        "/schedules",
        json={"name": "nightly", "cron": "0 0 1 1 *", "task": submission()},
        headers={"Idempotency-Key": "three"},
    )
    posted.append(client.post(f"{schedule.json()['links']['self']}/run"))
    checked = client.post("/tasks?validate_only=true", json=_with_password(vault, SECRET + "checked"))
    assert checked.json()["input"]["login"]["password"] == MASK
    for answer in posted:
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return [answer.headers["location"] for answer in posted] + [
        item["task"]["links"]["self"] for item in batch.json()["items"]
    ]


def _with_password(vault: Vault, password: str) -> dict[str, Any]:
    return {"task_type": "log_in", "input": {"login": {"user": "ada", "password": password}, "folder": "/nowhere"}}


def _digests(count: int) -> set[str]:
    import hashlib

    return {hashlib.sha256(f"{SECRET}{number}".encode()).hexdigest() for number in range(count)}


def _readable(client: httpx.Client, paths: list[str]) -> list[str]:
    """The path of each operation that reads, of each of these tasks and of what else there is; no stream."""
    schedules = [each["links"]["self"] for each in client.get("/schedules").json()["items"]]
    found = []
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "get" not in operations or path.endswith("/stream"):
            continue
        if path.startswith("/tasks/{task_id}"):
            found += [each + path.removeprefix("/tasks/{task_id}") for each in paths]
        elif path.startswith("/schedules/{schedule}"):
            found += schedules
        elif "{" not in path:
            found.append(path)
    return [path for path in found if "{" not in path]


def _forms(text: str) -> list[bytes]:
    """How a text may be stored: as it is, in hexadecimal digits, and in Base64 at each of three offsets."""
    plain = text.encode()
    encoded = [base64.b64encode(b"\0" * offset + plain)[4 if offset else 0 : -4] for offset in range(3)]
    return [plain, plain.hex().encode(), *encoded]


def _dump(database_url: str) -> str:
    """All rows of all tables of Longrun, as text."""
    tables = sql(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'longrun'")
    with (
        closing(connect(database_url)) as connection,
        connection.cursor() as cursor,
        suppress(psycopg2.ProgrammingError),
    ):
        lines = []
        for table in tables:
            cursor.execute(f'SELECT CAST(one AS text) FROM "{table["tablename"]}" AS one')
            lines += [row[0] for row in cursor]
        return "\n".join(lines)
    raise AssertionError("the tables cannot be read")
