"""What clients and tasks say: it comes back as it went in, or is refused where it was said, and never harms others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import Harness
from tests.invariants import check
from tests.thorough import cases

pytestmark = pytest.mark.fault

NUMBERS = "[-0.0,0.0,1e16,1e+308,5e-324,1.0,0.1,9007199254740993,1000000000000000000000000000000,-1]"
DOORS = {
    "progress of text": "progress: done must be a number",
    "progress of NaN": "progress: done must be a finite number",
    "progress of a list": "progress: total must be a number",
    "checkpoint of an object": "checkpoint is not JSON",
    "checkpoint of NUL": "checkpoint.a contains a NUL",
    "level": "log: level must be one of",
    "step of a set": "step 's': its result is not JSON",
}


def shown(text: str, *names: str | int) -> Any:
    """A value of an answer; repr tells 1e16 from an integer, and -0.0 from 0.0."""
    value = json.loads(text)
    for name in names:
        value = value[name]
    return repr(value)


def test_numbers_come_back_as_they_went_in_wherever_they_are_shown(longrun: Harness) -> None:
    expected = repr(json.loads(NUMBERS))
    body = f'{{"task_type":"echo","queue":"{longrun.queue}","input":{{"n":{NUMBERS}}},"metadata":{{"n":{NUMBERS}}}}}'
    answer = longrun.api.post("/tasks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["task_id"]
    longrun.reaches(job_id, "SUCCESS")
    task = longrun.api.get(f"/tasks/{job_id}").text
    assert len(task) < 3_000, "1e308 is not written with 309 digits"
    assert shown(task, "input", "n") == shown(task, "metadata", "n") == expected
    assert shown(task, "result", "n") == expected
    page = longrun.api.get("/tasks", params={"limit": 1, "task_type": "echo"}).text
    assert shown(page, "items", 0, "metadata", "n") == expected


def test_numbers_of_a_schedule_reach_each_of_its_jobs(longrun: Harness) -> None:
    expected = repr(json.loads(NUMBERS))
    task = f'{{"task_type":"echo","queue":"{longrun.queue}","input":{{"n":{NUMBERS}}},"metadata":{{"n":{NUMBERS}}}}}'
    body = f'{{"name":"numbers","cron":"0 0 1 1 *","task":{task}}}'
    headers = {"content-type": "application/json"}
    assert longrun.api.post("/schedules", content=body, headers=headers).status_code == 201
    changed = longrun.api.patch("/schedules/numbers", content='{"cron":"0 0 2 1 *"}', headers=headers)
    assert changed.status_code == 200
    assert shown(longrun.api.get("/schedules/numbers").text, "task", "input", "n") == expected
    job_id = longrun.api.post("/schedules/numbers/run").json()["task_id"]
    longrun.reaches(job_id, "SUCCESS")
    ran = longrun.api.get(f"/tasks/{job_id}").text
    assert shown(ran, "input", "n") == shown(ran, "metadata", "n") == shown(ran, "result", "n") == expected
    assert longrun.api.delete("/schedules/numbers").is_success


@pytest.mark.parametrize("door", DOORS)
def test_what_cannot_be_stored_is_refused_where_it_is_said_and_not_tried_again(longrun: Harness, door: str) -> None:
    job_id = longrun.submit("test_unstorable", {"door": door})
    neighbours = [longrun.submit() for _ in range(5)]
    job = longrun.reaches(job_id, "FAILED")
    assert (job["attempt"], job["crashes"]) == (1, 0)
    assert DOORS[door] in job["error"]["message"]
    longrun.all_reach(neighbours, "SUCCESS")
    assert longrun.api.get("/tasks?limit=10").status_code == 200
    check(longrun, [job_id, *neighbours])


def test_odd_numbers_and_texts_of_a_task_are_stored(longrun: Harness) -> None:
    job_id = longrun.submit("test_numbers", {"door": "any"})
    job = longrun.reaches(job_id, "SUCCESS")
    assert job["progress"] == {"done": 0.5, "total": 1.5, "message": "door='any'"}
    [line] = longrun.api.get(f"/tasks/{job_id}/logs").json()["items"]
    assert line["message"] == "NUL \ufffd and a lone surrogate \ufffd"
    check(longrun, [job_id])


@pytest.mark.parametrize(("lines", "length"), cases([(3_000, 9_990), (1_000_000, 20)]))
def test_a_log_without_end_costs_its_child_little_memory_and_says_what_it_lacks(
    longrun: Harness, lines: int, length: int
) -> None:
    job_id = longrun.submit("test_chatty", {"lines": lines, "length": length})
    neighbours = [longrun.submit() for _ in range(5)]
    longrun.all_reach(neighbours, "SUCCESS")
    job = longrun.reaches(job_id, "SUCCESS", 90)
    assert job["result"]["grown_mib"] < 100
    [kept] = longrun.sql("SELECT count(*) FROM job_events WHERE job_id = %s AND kind = 'log'", job_id)
    last = longrun.sql(
        "SELECT data FROM job_events WHERE job_id = %s AND kind = 'log' ORDER BY seq DESC LIMIT 1", job_id
    )
    if lines > 100_000:
        assert kept["count"] <= 100_001
        assert "lines of this log were dropped" in last[0]["data"]["message"]
    else:
        assert kept["count"] == lines
    check(longrun, [job_id, *neighbours])
