"""A call is sent again only where that is safe, and every failure is said in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import pytest

from longrun_client import (
    InvalidAddress,
    Longrun,
    LongrunUnavailable,
    MaybeAccepted,
    ProblemError,
    Status,
    UnexpectedAnswer,
)
from longrun_client.answers import TRIES, Outcome, retry_delay_s
from tests.unit.client_kinds import KINDS, client_of
from tests.unit.client_server import AT, Answer, ScriptedServer, answer, hang_up, problem, task

IN_PROGRESS = "urn:longrun:problem:idempotency-key-in-use"
BUSY = httpx2.Response(503)
BUSY_FOR_NOW = httpx2.Response(503, headers={"Retry-After": "2"})
LOST_ANSWER = httpx2.ReadError("")
LATE_ANSWER = httpx2.ReadTimeout("")
REFUSED = httpx2.ConnectError("refused")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture(params=KINDS)
def client(server: ScriptedServer, request: pytest.FixtureRequest) -> Iterator[Longrun]:
    with client_of(request.param, server.url) as longrun:
        yield longrun


@pytest.mark.parametrize(
    "outcome",
    [REFUSED, LOST_ANSWER, LATE_ANSWER, httpx2.RemoteProtocolError(""), httpx2.WriteError(""), BUSY, BUSY_FOR_NOW,
     httpx2.Response(502), httpx2.Response(504), httpx2.Response(409, json={"type": IN_PROGRESS})],
)  # fmt: skip
def test_a_call_without_an_answer_is_sent_again_a_few_times(outcome: Outcome) -> None:
    assert [retry_delay_s(outcome, attempt) is not None for attempt in range(1, TRIES + 1)] == [True] * 3 + [False]


@pytest.mark.parametrize("status", [200, 202, 404, 409, 422, 500])
def test_an_answer_is_an_answer(status: int) -> None:
    assert retry_delay_s(httpx2.Response(status), 1) is None


def test_retry_after_is_waited_for_within_reason() -> None:
    asked = [retry_delay_s(httpx2.Response(503, headers={"Retry-After": wait}), 1) for wait in ("3", "3600")]
    assert asked == [3.0, 10.0]


def test_waits_grow_and_differ_between_clients() -> None:
    assert [retry_delay_s(BUSY, attempt, lambda: 0.0) for attempt in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert retry_delay_s(BUSY, 1, lambda: 0.5) == pytest.approx(0.3)


def test_a_submission_says_what_was_asked_for_and_nothing_else(server: ScriptedServer, client: Longrun) -> None:
    server.on("POST /tasks", answer(task("PENDING", seq=0), 202))
    accepted = client.submit("echo", {"a": 1}, run_at=datetime(2030, 1, 1, tzinfo=UTC), tags=["x"], queue=None)
    assert (accepted.task_id, accepted.status, accepted.ended) == ("j1", Status.PENDING, False)
    assert server.requests[0].json() == {
        "task_type": "echo",
        "input": {"a": 1},
        "run_at": "2030-01-01T00:00:00+00:00",
        "tags": ["x"],
    }


def test_a_time_without_a_zone_is_refused(client: Longrun) -> None:
    with pytest.raises(ValueError, match=r"run_at: .* has no time zone"):
        client.submit("echo", {}, run_at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_busy_server_gets_the_submission_again(server: ScriptedServer, client: Longrun) -> None:
    server.on("POST /tasks", problem(503, "Busy", "soon", Retry_After="0"), answer(task("PENDING"), 202))
    assert client.submit("echo", {}).task_id == "j1"
    assert len(server.requests) == 2


def keys(server: ScriptedServer) -> list[str]:
    """The idempotency keys of the requests so far."""
    return [request.headers["Idempotency-Key"] for request in server.requests]


@pytest.mark.parametrize("lost", [hang_up, answer("bad gateway", 502), problem(503, "Busy", "soon")])
def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    server: ScriptedServer, client: Longrun, lost: Answer
) -> None:
    server.on("POST /tasks", lost, answer(task("PENDING"), 202))
    assert client.submit("echo", {}).task_id == "j1"
    first, again = keys(server)
    assert first == again
    assert str(UUID(first.strip('"'))) == first.strip('"')
    client.submit("echo", {})
    assert keys(server)[2] != first


def test_every_post_that_has_an_effect_each_time_has_a_key(server: ScriptedServer, client: Longrun) -> None:
    schedule = {"schedule_id": "s1", "name": "n", "cron": "* * * * *", "timezone": "UTC", "task": {}, "overlap": "skip",
                "missed_runs": "skip", "max_missed_runs": 1, "paused": False, "runs": 0, "skipped": 0, "missed": 0,
                "created_at": AT, "updated_at": AT, "links": {}}  # fmt: skip
    server.on("POST /tasks", answer(task(), 202))
    server.on("POST /tasks/j1/retry", answer(task(), 202))
    server.on("POST /schedules/n/run", answer(task(), 202))
    server.on("POST /schedules", answer(schedule, 201))
    client.submit("echo", {}, idempotency_key='order 7 "x"')
    client.retry("j1", idempotency_key="a")
    client.run_schedule("n", idempotency_key="b")
    client.create_schedule("n", "* * * * *", {"task_type": "echo", "input": {}}, idempotency_key="c")
    assert keys(server) == [r'"order 7 \"x\""', '"a"', '"b"', '"c"']
    assert all("idempotency_key" not in request.body.decode() for request in server.requests)


@pytest.mark.parametrize("key", ["", "ü", "a\n", "x" * 256])
def test_a_key_that_no_header_can_carry_is_refused(client: Longrun, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key"):
        client.submit("echo", {}, idempotency_key=key)


def test_a_task_without_an_answer_in_the_end_says_with_which_key_to_repeat_it(
    server: ScriptedServer, client: Longrun
) -> None:
    server.on("POST /tasks", hang_up)
    with pytest.raises(MaybeAccepted, match=r"key my-key .* not accepted twice") as caught:
        client.submit("echo", {}, idempotency_key="my-key")
    assert caught.value.idempotency_key == "my-key"
    assert len(server.requests) == TRIES


def test_a_task_that_was_there_says_so(server: ScriptedServer, client: Longrun) -> None:
    server.on("POST /tasks", answer(task("RUNNING", deduplicated=True, dedupe_key="d")))
    found = client.submit("echo", {}, dedupe_key="d")
    assert (found.deduplicated, found.dedupe_key, server.requests[0].json()["dedupe_key"]) == (True, "d", "d")


def test_a_read_outlasts_a_hiccup(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks/j1", hang_up, answer("bad gateway", 502), answer(task()))
    assert client.get("j1").status is Status.RUNNING


def test_a_problem_reads_as_a_sentence_with_a_line_for_each_field(server: ScriptedServer, client: Longrun) -> None:
    server.on("POST /tasks", problem(422, "Not valid", "two", ("input.url", "is required"), ("queue", "is unknown")))
    with pytest.raises(ProblemError) as caught:
        client.submit("web_scrape", {})
    assert str(caught.value) == "Not valid\n  input.url: is required\n  queue: is unknown"
    assert (caught.value.status, caught.value.type, caught.value.errors[1].field) == (422, "urn:test", "queue")


def test_nobody_there_says_where_and_what_to_do(server: ScriptedServer, client: Longrun) -> None:
    server.stop()
    try:
        with pytest.raises(LongrunUnavailable, match=rf"{server.url} \(.*(refused|failed)\).*LONGRUN_URL") as caught:
            client.submit("echo", {})
        assert not isinstance(caught.value, MaybeAccepted)
    finally:
        server.start()


@pytest.mark.parametrize("other", [answer("<html>", 200, "text/html"), answer({"hello": "world"}), answer([1])])
def test_another_kind_of_server_is_recognised(server: ScriptedServer, client: Longrun, other) -> None:  # type: ignore[no-untyped-def]
    server.on("GET /tasks/j1", other)
    with pytest.raises(UnexpectedAnswer, match="the address of a Longrun server"):
        client.get("j1")


def test_an_error_page_that_is_no_problem_document_is_still_an_error(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks/j1", answer("<html>", 403, "text/html"))
    with pytest.raises(ProblemError, match="answered 403 Forbidden"):
        client.get("j1")


def test_a_redirect_is_not_followed_but_told(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks/j1", answer("", 308, Location="https://elsewhere/tasks/j1"))
    with pytest.raises(UnexpectedAnswer, match="redirects to https://elsewhere"):
        client.get("j1")


def test_a_newer_servers_fields_are_ignored(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks/j1", answer(task(novelty=1, progress={"done": 1, "total": None, "message": None, "eta": 3})))
    progress = client.get("j1").progress
    assert progress is not None
    assert progress.done == 1


def test_an_id_cannot_lead_elsewhere(server: ScriptedServer, client: Longrun) -> None:
    with pytest.raises(ProblemError):
        client.get("../workers?x=1")
    assert server.lines() == ["GET /tasks/..%2Fworkers%3Fx%3D1"]


def test_list_walks_the_pages_by_the_cursor_until_the_limit(server: ScriptedServer, client: Longrun) -> None:
    first = {"items": [task(task_id=f"a{n}") for n in range(100)], "next": "c1"}
    second = {"items": [task(task_id=f"b{n}") for n in range(20)], "next": "c2"}
    server.on("GET /tasks", answer(first), answer(second))
    found = list(client.list(status=Status.RUNNING, limit=120))
    assert (len(found), found[-1].task_id) == (120, "b19")
    assert server.lines() == [
        "GET /tasks?status=RUNNING&limit=100",
        "GET /tasks?status=RUNNING&limit=20&cursor=c1",
    ]


def test_list_goes_on_after_an_empty_page(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks", answer({"items": [], "next": "c"}), answer({"items": [task()], "next": None}))
    assert len(list(client.list(input={"n": 1}, limit=5))) == 1


def test_list_without_a_limit_ends_at_the_last_page(server: ScriptedServer, client: Longrun) -> None:
    server.on("GET /tasks", answer({"items": [task()], "next": "c"}), answer({"items": [task()], "next": None}))
    assert len(list(client.list())) == 2


def test_logs_read_on_until_there_is_nothing_more(server: ScriptedServer, client: Longrun) -> None:
    line = {"at": AT, "attempt": 1, "level": "info", "message": "m"}
    pages = [{"items": [line | {"seq": seq}], "next_after": seq} for seq in (3, 5)]
    server.on("GET /tasks/j1/logs", *map(answer, pages), answer({"items": [], "next_after": 5}))
    assert [line.seq for line in client.logs("j1", after=1)] == [3, 5]
    assert [line.rpartition("=")[2] for line in server.lines()] == ["1", "3", "5"]


def test_output_without_following_ends_with_what_there_is(server: ScriptedServer, client: Longrun) -> None:
    pages = [{"items": [{"seq": seq, "at": AT, "attempt": 2, "name": "row", "data": [seq]}], "next_after": seq}
             for seq in (3, 5)]  # fmt: skip
    server.on("GET /tasks/j1/output", *map(answer, pages), answer({"items": [], "next_after": 5}))
    assert [(piece.attempt, piece.data) for piece in client.output("j1", after=1, follow=False)] == [(2, [3]), (2, [5])]
    assert [line.rpartition("=")[2] for line in server.lines()] == ["1", "3", "5"]


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "http://", "http://:80", "nonsense"])
def test_an_address_that_cannot_be_one_is_refused_by_name(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_URL", address)
    with pytest.raises(InvalidAddress, match=r"LONGRUN_URL to http://host:port"):
        Longrun()


def test_the_address_comes_from_the_argument_the_environment_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_URL", "http://env:1/")
    assert (Longrun().base_url, Longrun("http://given:2/").base_url) == ("http://env:1", "http://given:2")
    monkeypatch.delenv("LONGRUN_URL")
    assert Longrun().base_url == "http://127.0.0.1:8000"
