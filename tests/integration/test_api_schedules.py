"""`/schedules`: what is asked for is kept, shown and changed, and every mistake names its field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.harness import sql
from tests.processes import Stack
from tests.waiting import until

YEARLY = "0 0 1 1 *"
ECHO = {"task_type": "echo", "input": {"n": 1}}
_numbers = count(1)
Create = Callable[..., dict[str, Any]]


@pytest.fixture
def create(api: httpx.Client) -> Iterator[Create]:
    """Creates schedules of this test alone; they are gone after it."""
    made: list[str] = []

    def post(**fields: Any) -> dict[str, Any]:
        body = {"name": f"test-{next(_numbers)}", "cron": YEARLY, "task": ECHO, **fields}
        answer = api.post("/schedules", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        made.append(answer.headers["location"])
        return dict(answer.json())

    yield post
    for here in made:
        api.delete(here)


def refused(answer: httpx.Response, status: int = 422) -> list[str]:
    """The fields at fault."""
    assert answer.status_code == status, answer.text
    return [error["field"] for error in answer.json().get("errors", [])]


def test_a_schedule_is_shown_as_it_was_given_with_its_defaults_and_its_next_tick(
    api: httpx.Client, create: Create
) -> None:
    made = create(cron="0 0 1 7 *", timezone="Europe/Berlin")
    assert {name: made[name] for name in ("task", "overlap", "missed_runs", "max_missed_runs", "paused", "runs")} == {
        "task": ECHO, "overlap": "skip", "missed_runs": "run_once", "max_missed_runs": 10, "paused": False, "runs": 0,
    }  # fmt: skip
    assert made["next_at"].endswith("-06-30T22:00:00Z")
    for key in (made["schedule_id"], made["name"]):
        assert api.get(f"/schedules/{key}").json() == made
    assert api.get(made["links"]["self"]).json() == made


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name"),
    ({"name": "Not This"}, "name"),
    ({"name": "01a20e45-da5e-775c-b051-c7ce5f05f1e2"}, "name"),
    ({"cron": "* * *"}, "cron"),
    ({"cron": "61 * * * *"}, "cron"),
    ({"cron": "0 0 31 2 *"}, "cron"),
    ({"cron": 5}, "cron"),
    ({"timezone": "Europe/Berln"}, "timezone"),
    ({"overlap": "forbid"}, "overlap"),
    ({"missed_runs": "some"}, "missed_runs"),
    ({"missed_runs": "run_all"}, "missed_runs"),
    ({"missed_runs": "run_all", "overlap": "cancel_other"}, "missed_runs"),
    ({"max_missed_runs": 0}, "max_missed_runs"),
    ({"max_missed_runs": 101}, "max_missed_runs"),
    ({"start_deadline_s": 0}, "start_deadline_s"),
    ({"paused": "no"}, "paused"),
    ({"task": None}, "task"),
    ({"task": []}, "task"),
    ({"task": {"input": {}}}, "task.task_type"),
    ({"task": {"task_type": "nope", "input": {}}}, "task.task_type"),
    ({"task": {"task_type": "sleep", "input": {"seconds": -1}}}, "task.input.seconds"),
    ({"task": ECHO | {"queue": "No Queue"}}, "task.queue"),
    ({"task": ECHO | {"priority": 10}}, "task.priority"),
    ({"task": ECHO | {"tags": ["a\0"]}}, "task.tags[0]"),
    ({"task": ECHO | {"metadata": {"k": "x" * 20_000}}}, "task.metadata"),
    ({"task": ECHO | {"run_at": "2030-01-01T00:00:00Z"}}, "task.run_at"),
    ({"task": ECHO | {"delay_s": 1}}, "task.delay_s"),
    ({"every": "5m"}, "every"),
]


@pytest.mark.parametrize(("fields", "at_fault"), MISTAKES, ids=str)
def test_every_mistake_names_its_field_when_creating_and_when_changing(
    api: httpx.Client, create: Create, fields: dict[str, Any], at_fault: str
) -> None:
    body = {"name": "a-mistake", "cron": YEARLY, "task": ECHO, **fields}
    assert refused(api.post("/schedules", json=body)) == [at_fault]
    if fields != {"task": {"input": {}}}:  # which a change completes
        made = create()
        assert refused(api.patch(made["links"]["self"], json=fields)) == [at_fault]
        assert api.get(made["links"]["self"]).json() == made


@pytest.mark.parametrize(
    ("body", "content_type", "status"), [(b"{", "application/json", 400), (b"{}", "text/plain", 415)]
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_no_json_is_refused_as_everywhere(
    api: httpx.Client, create: Create, method: str, body: bytes, content_type: str, status: int
) -> None:
    path = "/schedules" if method == "POST" else create()["links"]["self"]
    answer = api.request(method, path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status


def test_a_name_is_taken_once(api: httpx.Client, create: Create) -> None:
    first, second = create(), create()
    body = {"name": first["name"], "cron": YEARLY, "task": ECHO}
    for answer in (api.post("/schedules", json=body), api.patch(second["links"]["self"], json=body)):
        assert refused(answer, 409) == []
        assert answer.json()["type"] == "urn:longrun:problem:schedule-exists"
        assert repr(first["name"]) in answer.json()["detail"]


@pytest.mark.parametrize("key", ["nobody", "01a20e45-da5e-775c-b051-c7ce5f05f1e2", "No%20Name", "%00", "a" * 5000])
def test_an_unknown_schedule_is_404_for_every_operation(api: httpx.Client, key: str) -> None:
    here = f"/schedules/{key}"
    answers = [api.get(here), api.patch(here, json={}), api.delete(here)]
    answers += [api.post(f"{here}/{action}") for action in ("pause", "resume", "run")]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert {answer.json()["type"] for answer in answers} == {"urn:longrun:problem:schedule-not-found"}


def test_a_change_takes_the_place_of_what_it_names_and_null_brings_back_the_default(
    api: httpx.Client, create: Create
) -> None:
    made = create(overlap="allow_all", task=ECHO | {"priority": 7, "tags": ["a"]})
    here = made["links"]["self"]
    changed = api.patch(here, json={"task": {"input": {"m": 2}, "priority": None}, "overlap": None}).json()
    assert changed["task"] == {"task_type": "echo", "input": {"m": 2}, "tags": ["a"]}
    assert (changed["overlap"], changed["next_at"], changed["name"]) == ("skip", made["next_at"], made["name"])
    assert api.get(here).json() == changed
    moved = api.patch(here, json={"cron": "0 0 2 1 *"}).json()
    assert moved["next_at"] == changed["next_at"].replace("-01-01T", "-01-02T")
    assert api.patch(here, json={}).json() == moved


def test_a_paused_schedule_waits_for_nothing_until_it_is_resumed(api: httpx.Client, create: Create) -> None:
    made = create()
    links = made["links"]
    for _ in range(2):
        paused = api.post(links["pause"]).json()
        assert (paused["paused"], paused["next_at"]) == (True, None)
    assert api.patch(links["self"], json={"cron": "@monthly"}).json()["next_at"] is None
    assert api.patch(links["self"], json={"cron": YEARLY}).json()["next_at"] is None
    for _ in range(2):
        resumed = api.post(links["resume"]).json()
        assert (resumed["paused"], resumed["next_at"]) == (False, made["next_at"])
    assert create(paused=True)["next_at"] is None


def test_run_now_is_a_submission_whatever_the_schedule_says(
    api: httpx.Client, create: Create, shared_stack: Stack
) -> None:
    options = {
        "queue": "nobodys",
        "priority": 3,
        "metadata": {"k": 1},
        "concurrency_key": "c",
        "rate_key": "r",
        "fairness_key": "f",
        "max_attempts": 7,
    }
    made = create(paused=True, task=ECHO | options)
    ids = []
    for _ in range(2):
        answer = api.post(made["links"]["run"])
        assert answer.status_code == httpx.codes.ACCEPTED
        ids.append(answer.json()["task_id"])
        assert answer.headers["location"] == answer.json()["links"]["self"]
    task = api.get(f"/tasks/{ids[0]}").json()
    assert {name: task[name] for name in options} == options, "each option that a task has"
    assert (task["schedule_id"], task["scheduled_for"]) == (made["schedule_id"], None)
    listed = api.get(made["links"]["tasks"]).json()["items"]
    assert [item["task_id"] for item in listed] == ids[::-1]
    assert api.get("/tasks", params={"schedule_id": create()["schedule_id"]}).json()["items"] == []
    assert refused(api.get("/tasks?schedule_id=x")) == ["schedule_id"]


def test_deleting_shows_what_it_was_and_leaves_its_jobs(api: httpx.Client, create: Create) -> None:
    made = create()
    task_id = api.post(made["links"]["run"]).json()["task_id"]
    assert api.delete(made["links"]["self"]).json() == made
    assert api.delete(made["links"]["self"]).status_code == httpx.codes.NOT_FOUND
    assert api.get(f"/tasks/{task_id}").json()["schedule_id"] == made["schedule_id"]
    assert create(name=made["name"])["schedule_id"] != made["schedule_id"]


def test_pages_walk_over_all_newest_first(api: httpx.Client, create: Create) -> None:
    ids = [create()["schedule_id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < len(ids):
        page = api.get("/schedules", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["schedule_id"] for item in page["items"]]
        cursor = page["next"]
    assert seen[: len(ids)] == ids[::-1]
    assert refused(api.get("/schedules?cursor=x")) == ["cursor"]
    assert refused(api.get("/schedules?limit=0")) == ["limit"]


def test_a_task_type_that_vanished_shows_as_an_error_and_cannot_be_run(
    api: httpx.Client, create: Create, shared_stack: Stack
) -> None:
    made = create()
    assert made["error"] is None
    sql(
        shared_stack.database_url,
        """UPDATE schedules SET job = job || '{"task_type": "vanished"}' WHERE id = %s""",
        made["schedule_id"],
    )
    shown = api.get(made["links"]["self"]).json()
    assert "'vanished' is not registered here" in shown["error"]["message"]
    assert refused(api.post(made["links"]["run"])) == ["task_type"]
    assert api.post(made["links"]["pause"]).json()["paused"] is True
    assert api.patch(made["links"]["self"], json={"task": {"priority": 1}}).json()["error"] is None


def test_what_could_not_be_fired_shows_as_an_error_with_its_time(
    api: httpx.Client, create: Create, shared_stack: Stack
) -> None:
    made = create()
    sql(
        shared_stack.database_url,
        "UPDATE schedules SET cron = 'nonsense', next_at = now() WHERE id = %s",
        made["schedule_id"],
    )
    shown = until(lambda: (now := api.get(made["links"]["self"]).json())["error"] and now, what="the error shows")
    assert "cron: is not a cron expression" in shown["error"]["message"]
    assert shown["error"]["at"] is not None
    assert api.patch(made["links"]["self"], json={"cron": YEARLY}).json()["error"] is None
