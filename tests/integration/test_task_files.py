"""A file of plain functions is all that a job needs, and a broken file takes no other task type with it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from longrun_client import Longrun
from longrun_local import services
from tests.processes import Stack

TASKS = """
from jobcore import JobContext, task

@task
def greet(name: str, ctx: JobContext, times: int = 1) -> list[str]:
    '''Say hello.'''
    ctx.log(f"greeting {name}")
    return [f"Hello, {name}!"] * times

@task(max_attempts=1)
def fail(reason: str) -> None:
    raise ValueError(reason)
"""


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    """The path of a file of task types."""
    path = tmp_path / "greetings.py"
    path.write_text(TASKS)
    return str(path)


def test_plain_functions_of_a_file_run_as_jobs(stack: Stack, tasks: str) -> None:
    env = {"LONGRUN_TASKS": tasks}
    api = stack.api(env=env)
    stack.worker(env=env)
    with Longrun(api.url) as longrun:
        found = {each.name: each for each in longrun.task_types()}
        assert found["greet"].description == "Say hello."
        assert list(found["greet"].input_schema["properties"]) == ["name", "times"]
        task = longrun.submit("greet", {"name": "Ada", "times": 2})
        assert longrun.wait(task.task_id).result == ["Hello, Ada!", "Hello, Ada!"]
        assert [event.data["message"] for event in longrun.stream(task.task_id) if event.kind == "log"] == [
            "greeting Ada"
        ]
        error = longrun.wait(longrun.submit("fail", {"reason": "no luck"}).task_id).error
        assert error is not None
        assert (error.type, error.message) == ("ValueError", "no luck")
    refused = httpx.post(f"{api.url}/tasks", json={"task_type": "greet", "input": {"nme": "Ada"}})
    assert refused.status_code == 422
    assert {each["field"] for each in refused.json()["errors"]} == {"input.name", "input.nme"}


def test_a_broken_file_ends_the_worker_with_a_line_and_the_api_serves_the_others(
    stack: Stack, tasks: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_library\n")
    env = {"LONGRUN_TASKS": f"{broken}, {tasks}"}
    why = "ModuleNotFoundError: No module named 'no_such_library' (broken.py:1)"

    worker = stack.start("worker", services.worker(services.WORKER_APP, "worker"), env)
    assert worker.wait() == 1
    assert f"longrun: cannot import broken.py: {why}" in worker.log().splitlines()
    assert "Traceback" not in worker.log()

    api = stack.api(env=env)
    assert why in api.log()
    assert httpx.post(f"{api.url}/tasks", json={"task_type": "greet", "input": {"name": "Ada"}}).status_code == 202
    refused = httpx.post(f"{api.url}/tasks", json={"task_type": "of_the_broken_file", "input": {}})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:longrun:problem:unknown-task-type")
    assert f"cannot import broken.py: {why}" in refused.json()["detail"]
