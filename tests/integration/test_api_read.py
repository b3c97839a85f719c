"""Looking up tasks, their history and logs; task types, workers, docs; and asking for what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import pytest

from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import fields, problem

UNKNOWN = "01890000-0000-7000-8000-000000000000"
TASK_FIELDS = {
    *("task_id", "task_type", "status", "input", "result", "error", "progress", "attempt", "seq", "cancel", "queue"),
    *("priority", "tags", "metadata", "trace_id", "created_at", "started_at", "finished_at", "timings"),
    "links",
}
Submit = Callable[..., str]


def test_a_task_shows_its_whole_life(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit(input={"n": 1})
    waiting = api.get(here)
    assert waiting.headers["retry-after"] == "1"
    assert waiting.json().keys() >= TASK_FIELDS
    assert (waiting.json()["status"], waiting.json()["attempt"], waiting.json()["seq"]) == ("PENDING", 0, 1)

    claim = worker.claim()
    running = api.get(here).json()
    assert (running["status"], running["attempt"], running["seq"]) == ("RUNNING", 1, 2)

    worker.finish(claim, {"n": 1})
    ended = api.get(here)
    assert "retry-after" not in ended.headers
    task = ended.json()
    assert (task["status"], task["result"], task["error"], task["seq"]) == ("SUCCESS", {"n": 1}, None, 3)
    times = [datetime.fromisoformat(task[name]) for name in ("created_at", "started_at", "finished_at")]
    assert times == sorted(times)
    assert {time.utcoffset() for time in times} == {timedelta(0)}


def test_a_failed_task_says_why(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    worker.fail(worker.claim(), "no such page")
    assert api.get(here).json()["error"] == {
        "kind": "raised",
        "type": "ValueError",
        "message": "no such page",
        "attempt": 1,
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("task_id", [UNKNOWN, "42", "%00", "019a5e0c-7c5e-7b6f-9c53-2f6d8a3b1e4g"])
def test_an_id_that_no_task_has_is_not_found(api: httpx.Client, method: str, task_id: str) -> None:
    document = problem(api.request(method, f"/tasks/{task_id}"), 404, "task-not-found")
    assert "UUIDs such as" in document["detail"]


@pytest.mark.parametrize("path", ["logs", "output", "stream"])
def test_logs_output_and_stream_of_no_task_are_not_found(api: httpx.Client, path: str) -> None:
    problem(api.get(f"/tasks/{UNKNOWN}/{path}"), 404, "task-not-found")
    problem(api.get(f"/tasks/42/{path}"), 404, "task-not-found")


def test_the_history_comes_newest_first_in_pages_that_neither_repeat_nor_skip(
    api: httpx.Client, submit: Submit
) -> None:
    submitted = [submit(metadata={"n": n}) for n in range(7)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 7:
        page = api.get("/tasks", params={"limit": 3, "task_type": "echo", **cursor}).json()
        seen += [item["links"]["self"] for item in page["items"]]
        if not seen[3:]:
            submit()  # newer than the page: the next one does not shift
        cursor = {"cursor": page["next"]}
    assert seen[:7] == submitted[::-1]


def test_items_of_the_history_carry_neither_input_nor_result(api: httpx.Client, submit: Submit) -> None:
    submit()
    [item] = api.get("/tasks", params={"limit": 1}).json()["items"]
    assert item.keys() >= TASK_FIELDS - {"input", "result"}
    assert not item.keys() & {"input", "result"}


def test_the_last_page_has_no_next(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    submit(task_type="sleep", input={"seconds": 1})
    query = {"limit": "1", "task_type": "sleep"}
    pages = [api.get("/tasks", params=query).json()]
    while cursor := pages[-1]["next"]:
        pages.append(api.get("/tasks", params={**query, "cursor": cursor}).json())
    assert {len(page["items"]) for page in pages} == {1}
    assert api.get("/tasks", params={"task_type": "nobody-has-it"}).json() == {"items": [], "next": None}


def test_the_history_is_filtered_by_status_and_task_type(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    running = submit()
    worker.claim()
    waiting = submit(task_type="cpu_burn", input={"n": 2})
    page = api.get("/tasks", params={"status": "RUNNING", "task_type": "echo", "limit": 1}).json()
    assert [item["links"]["self"] for item in page["items"]] == [running]
    found = api.get("/tasks", params={"status": "PENDING", "task_type": "cpu_burn"}).json()["items"]
    assert found[0]["links"]["self"] == waiting
    assert {(item["status"], item["task_type"]) for item in found} == {("PENDING", "cpu_burn")}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=!", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("status=DONE", "status"),
        ("task_type=%00", "task_type"),
        ("state=FAILED", "state"),
    ],
)
def test_a_query_that_cannot_be_answered_names_the_parameter(api: httpx.Client, query: str, field: str) -> None:
    assert list(fields(problem(api.get(f"/tasks?{query}"), 422, "invalid-input"))) == [field]


def test_logs_are_read_in_order_by_their_cursor(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    seqs = []
    for line in ("one", "two", "three"):
        worker.say(claim, "progress", {"done": 1, "total": 3, "message": None})
        seqs.append(worker.log(claim, line))
    first = api.get(f"{here}/logs", params={"limit": 2}).json()
    assert [(item["seq"], item["message"], item["level"], item["attempt"]) for item in first["items"]] == [
        (seqs[0], "one", "info", 1),
        (seqs[1], "two", "info", 1),
    ]
    rest = api.get(f"{here}/logs", params={"after": first["next_after"]}).json()
    assert [item["message"] for item in rest["items"]] == ["three"]
    none_yet = api.get(f"{here}/logs", params={"after": rest["next_after"]}).json()
    assert none_yet == {"items": [], "next_after": seqs[2]}


def test_output_is_read_in_order_by_its_cursor_as_it_was_emitted(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    values: list[object] = ["Hel", {"n": [1e16, -0.0, 10**30]}, None]
    seqs = []
    for value in values:
        worker.log(claim, "between")
        seqs.append(worker.say(claim, "output", {"name": "row", "data": value}))
    first = api.get(f"{here}/output", params={"limit": 2}).json()
    assert [(item["seq"], item["name"], item["attempt"]) for item in first["items"]] == [
        (seqs[0], "row", 1),
        (seqs[1], "row", 1),
    ]
    rest = api.get(f"{here}/output", params={"after": first["next_after"]}).json()
    assert repr([item["data"] for item in first["items"] + rest["items"]]) == repr(values)
    none_yet = api.get(f"{here}/output", params={"after": rest["next_after"]}).json()
    assert none_yet == {"items": [], "next_after": seqs[2]}
    assert [item["message"] for item in api.get(f"{here}/logs").json()["items"]] == ["between"] * 3


@pytest.mark.parametrize("part", ["logs", "output"])
@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999999999999", "limit=0", "follow=1"])
def test_a_log_query_that_cannot_be_answered_names_the_parameter(
    api: httpx.Client, submit: Submit, query: str, part: str
) -> None:
    response = api.get(f"{submit()}/{part}?{query}")
    assert list(fields(problem(response, 422, "invalid-input"))) == [query.split("=", maxsplit=1)[0]]


def test_task_types_tell_what_they_take_and_give(api: httpx.Client) -> None:
    types = {item["name"]: item for item in api.get("/task-types").json()["items"]}
    scrape = types["web_scrape"]
    assert scrape["input_schema"]["required"] == ["url"]
    assert "title" in scrape["output_schema"]["properties"]
    assert scrape["description"]
    for item in types.values():
        response = api.post("/tasks", json={"task_type": item["name"], "input": item["example"]})
        assert response.status_code == 202, item["name"]


def test_workers_show_what_they_run(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    [shown] = [item for item in api.get("/workers").json()["items"] if item["id"] == str(worker.id)]
    assert (shown["state"], shown["queues"], shown["concurrency"]) == ("active", [worker.queue], 1)
    assert [(job["task_id"], job["task_type"], job["lane"], job["slot"], job["attempt"]) for job in shown["tasks"]] == [
        (here.removeprefix("/tasks/"), "echo", "process", 0, 1)
    ]
    assert (shown["jobs_per_child"], shown["runs"]) == (1, {"process": 1, "async": 0, "thread": 0})
    assert shown["room"] == {"process": 0, "async": 0, "thread": 0}
    worker.finish(claim)
    [shown] = [item for item in api.get("/workers").json()["items"] if item["id"] == str(worker.id)]
    assert shown["tasks"] == []
    assert shown["room"] == {"process": 1, "async": 0, "thread": 0}


def test_a_wrong_method_is_told_the_right_ones(api: httpx.Client) -> None:
    for method, path, allowed in [
        ("PUT", "/tasks", "GET, HEAD, OPTIONS, POST"),
        ("POST", f"/tasks/{UNKNOWN}", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/workers", "GET, HEAD, OPTIONS"),
    ]:
        response = api.request(method, path)
        problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == allowed


def test_an_unknown_path_is_told_where_to_look(api: httpx.Client) -> None:
    assert "/docs" in problem(api.get("/task"), 404, "not-found")["detail"]


def test_the_root_leads_to_docs_that_need_no_other_host(api: httpx.Client) -> None:
    page = api.get("/", follow_redirects=True)
    assert page.url.path == "/docs"
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(links) >= 2
    assert not [link for link in links if "//" in link]
    assert {api.get(link).status_code for link in links} == {200}


def test_the_openapi_document_shows_bodies_examples_and_problems(api: httpx.Client) -> None:
    openapi = api.get("/openapi.json").json()
    submit = openapi["paths"]["/tasks"]["post"]
    body = submit["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Submission"}
    assert body["examples"]["web_scrape"]["value"]["input"]["url"].startswith("https://")
    assert openapi["components"]["schemas"]["Submission"]["additionalProperties"] is False
    assert set(submit["responses"]) == {*("200", "202", "400", "409", "413", "415", "422", "429", "503", "default")}
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', str(openapi).replace("'", '"')))
    assert references <= openapi["components"]["schemas"].keys()
    assert "HTTPValidationError" not in openapi["components"]["schemas"]


def test_probes_answer(api: httpx.Client) -> None:
    assert api.get("/healthz").json() == {"status": "alive"}
    assert api.get("/readyz").json() == {"status": "ready", "redis": "up", "redis_problem": None, "stalled": []}
