"""`submit_many` of both clients, and `longrun submit-many`: chunks, order, keys, errors."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from longrun_client import AsyncLongrun, Longrun, MaybeAccepted, ProblemError, Task
from tests.unit.client_server import Request, ScriptedServer, answer, hang_up, problem, task
from tests.unit.conftest import Run

BATCH = "POST /tasks:batch"
Submit = Callable[..., list[Task]]


class BatchServer(ScriptedServer):
    """Accepts whatever has at most `most` tasks, and answers with their inputs as ids."""

    most = 1000

    def take(self, request: Request) -> Callable[[BaseHTTPRequestHandler], None]:
        scripted = super().take(request)
        if self._answers[BATCH] != [accepted]:
            return scripted
        items = request.json()["items"]
        if len(items) > self.most:
            return problem(413, "The request body is too large", "at most 10 bytes are accepted")
        return answer({"items": [{"status": 202, "task": task(task_id=str(item["input"]["n"]))} for item in items]})

    @property
    def sizes(self) -> list[int]:
        """How many tasks each request had."""
        return [len(request.json()["items"]) for request in self.requests]

    @property
    def keys(self) -> list[str]:
        return [request.headers["Idempotency-Key"] for request in self.requests]


def accepted(_handler: BaseHTTPRequestHandler) -> None:
    """Stands for the answer that `BatchServer` makes of the request."""
    raise AssertionError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    with BatchServer() as scripted:
        scripted.on(BATCH, accepted)
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def blocking(tasks: Iterable[Mapping[str, Any]], **options: Any) -> list[Task]:
    with Longrun() as client:
        return list(client.submit_many(tasks, **options))


def in_async_code(tasks: Iterable[Mapping[str, Any]], **options: Any) -> list[Task]:
    async def each() -> AsyncIterator[Mapping[str, Any]]:
        for one in tasks:
            yield one

    async def submit() -> list[Task]:
        async with AsyncLongrun() as client:
            return [one async for one in client.submit_many(each(), **options)]

    return asyncio.run(submit())


@pytest.fixture(params=[blocking, in_async_code])
def submit(request: pytest.FixtureRequest) -> Submit:
    """Submits tasks by one of the clients."""
    chosen: Submit = request.param
    return chosen


def given(number: int, **options: Any) -> dict[str, Any]:
    return {"task_type": "echo", "input": {"n": number}, **options}


def test_tasks_come_back_in_order_from_chunks_of_a_thousand(server: BatchServer, submit: Submit) -> None:
    made = submit(map(given, range(2500)))
    assert [one.task_id for one in made] == [str(number) for number in range(2500)]
    assert server.sizes == [1000, 1000, 500]
    assert len(set(server.keys)) == 3


def test_a_chunk_has_no_more_bytes_than_a_server_takes(server: BatchServer, submit: Submit) -> None:
    made = submit(given(number, metadata={"x": "x" * 300_000}) for number in range(7))
    assert (len(made), server.sizes) == (7, [3, 3, 1])
    assert max(len(request.body) for request in server.requests) <= 1024 * 1024


def test_a_chunk_that_is_too_large_for_the_server_is_split(server: BatchServer, submit: Submit) -> None:
    server.most = 100
    made = submit(map(given, range(300)))
    assert [one.task_id for one in made] == [str(number) for number in range(300)]
    assert len(set(server.keys)) == len(server.keys)
    server.most = 0
    with pytest.raises(ProblemError, match=r"too large: items\[0\]: at most 10 bytes"):
        submit([given(1)])


def test_tasks_are_read_and_sent_only_as_they_are_wanted(server: BatchServer) -> None:
    read: list[int] = []

    def endless() -> Iterator[dict[str, Any]]:
        for number in count():
            read.append(number)
            yield given(number)

    with Longrun() as client:
        tasks = client.submit_many(endless())
        assert (read, server.requests) == ([], [])
        assert [one.task_id for one in islice(tasks, 1500)][-1] == "1499"
        assert server.sizes == [1000, 1000]
        assert 2000 <= len(read) <= 3000


def test_the_next_chunk_is_read_while_one_is_on_its_way(server: BatchServer, submit: Submit) -> None:
    read_on = threading.Event()

    def tasks() -> Iterator[dict[str, Any]]:
        for number in range(1500):
            if number == 1400:
                read_on.set()
            yield given(number)

    def after_more_is_read(handler: BaseHTTPRequestHandler) -> None:
        assert read_on.wait(30)
        answer({"items": [{"status": 202, "task": task()}] * 1000})(handler)

    server._answers[BATCH][:] = [after_more_is_read, answer({"items": [{"status": 202, "task": task()}] * 500})]
    assert len(submit(tasks())) == 1500


def test_an_error_of_the_reading_comes_after_the_tasks_that_were_accepted(server: BatchServer) -> None:
    with Longrun() as client:
        tasks = client.submit_many([*map(given, range(1000)), {"input": object()}])
        assert len(list(islice(tasks, 1000))) == 1000
        with pytest.raises(ValueError, match=r"items\[1000\]"):
            next(tasks)
    assert server.sizes == [1000]


def test_tasks_that_come_slowly_do_not_hold_back_those_accepted(server: BatchServer) -> None:
    read: list[int] = []

    def tasks() -> Iterator[dict[str, Any]]:
        for number in count():
            time.sleep(0 if number < 1000 else 0.01)  # the pace of the source
            read.append(number)
            yield given(number)

    with Longrun() as client:
        next(client.submit_many(tasks()))
    assert len(read) < 2000


def test_a_chunk_without_an_answer_is_sent_again_with_its_key(
    server: BatchServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longrun_client.answers.FIRST_DELAY_S", 0.001)
    server.on(BATCH)
    server._answers[BATCH][:] = [hang_up, problem(503, "The database is not available", "", Retry_After="0"), accepted]
    assert len(submit(map(given, range(3)))) == 3
    assert len(set(server.keys)) == 1
    server._answers[BATCH][:] = [hang_up]
    with pytest.raises(MaybeAccepted, match="repeat it with the idempotency key k/0-1 "):
        submit([given(1)], idempotency_key="k")


def test_a_repeated_call_with_a_key_sends_the_same_keys(server: BatchServer, submit: Submit) -> None:
    for _ in range(2):
        submit(map(given, range(1500)), idempotency_key="import-7")
    assert server.keys == ['"import-7/0-1000"', '"import-7/1000-1500"'] * 2


def test_a_refused_task_is_named_by_its_number_and_nothing_is_sent_after_it(
    server: BatchServer, submit: Submit
) -> None:
    refusal = problem(422, "The request is not valid", "1 of 1,000", ("items[42].input.url", "is required"))
    server._answers[BATCH][:] = [answer({"items": [{"status": 202, "task": task()}] * 1000}), refusal]
    with pytest.raises(ProblemError) as caught:
        submit(map(given, range(5000)))
    assert [(error.field, error.message) for error in caught.value.errors] == [("items[1042].input.url", "is required")]
    assert server.sizes == [1000, 1000]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (5, r"items\[1\]: must be a mapping"),
        ({"idempotency_key": "x"}, r"items\[1\]\.idempotency_key: give one key for all"),
        ({"input": {"x": float("nan")}}, r"items\[1\]: cannot be written as JSON"),
        ({"input": {"x": object()}}, r"items\[1\]: cannot be written as JSON"),
        ({"input": {"x": "\ud800"}}, r"items\[1\]: cannot be written as JSON"),
    ],
)
def test_what_is_no_task_is_named_and_nothing_is_sent(
    server: BatchServer, submit: Submit, wrong: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        submit([given(0), wrong])
    assert server.requests == []


def test_no_tasks_are_no_request(server: BatchServer, submit: Submit) -> None:
    assert (submit([]), server.requests) == ([], [])


def test_a_file_of_tasks_is_submitted_and_their_ids_are_printed(
    server: BatchServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(f"{json.dumps(given(number))}\n" for number in range(3))
    (tmp_path / "tasks.ndjson").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    for file in (str(tmp_path / "tasks.ndjson"), "-"):
        assert run("submit-many", file) == (0, "0\n1\n2\n", "accepted 3 tasks\n")
    ran = run("submit-many", str(tmp_path / "tasks.ndjson"), "--json", "--idempotency-key", "k")
    assert [json.loads(line)["task_id"] for line in ran.out.splitlines()] == ["0", "1", "2"]
    assert server.keys[-1] == '"k/0-3"'


def test_a_file_of_tasks_is_only_validated(server: BatchServer, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tasks.ndjson"
    file.write_text("".join(f"{json.dumps(given(number))}\n" for number in range(1001)))
    assert run("submit-many", str(file), "--validate-only") == (0, "", "1,001 tasks are valid\n")
    assert server.sizes == [1000, 1]
    for request in server.requests:
        assert request.line == "POST /tasks:batch?validate_only=true"
        assert "Idempotency-Key" not in request.headers
    ran = run("submit-many", str(file), "--validate-only", "--json")
    assert [json.loads(line)["task_id"] for line in ran.out.splitlines()] == [str(number) for number in range(1001)]
    assert run("submit-many", str(file), "--validate-only", "--idempotency-key", "k").code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}\n[]\n", "line 2: give a JSON object"),
        ("{}\n{\n", "line 2: this is not JSON"),
        ("{}\n\n{}\n", "line 2: is empty"),
        ('{}\n{"idempotency_key": "x"}\n', "line 2, idempotency_key: give one key"),
    ],
)
def test_a_wrong_line_is_named(server: BatchServer, run: Run, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tasks.ndjson").write_text(text)
    ran = run("submit-many", str(tmp_path / "tasks.ndjson"))
    assert (ran.code, ran.out, server.requests) == (2, "", [])
    assert message in ran.err
    assert "accepted 0 tasks" in ran.err


def test_a_line_that_the_server_refuses_is_named(server: BatchServer, run: Run, tmp_path: Path) -> None:
    server._answers[BATCH][:] = [problem(422, "The request is not valid", "", ("items[1].input.url", "is required"))]
    (tmp_path / "tasks.ndjson").write_text("{}\n{}\n")
    ran = run("submit-many", str(tmp_path / "tasks.ndjson"))
    assert (ran.code, "line 2, input.url: is required" in ran.err) == (2, True)
    assert run("submit-many", str(tmp_path / "none.ndjson")).code == 2
