"""The agent in examples/ does what its page says: it speaks as it goes, stops at a cancel, and repeats no step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from longrun_client import Longrun, Status
from tests.harness import children
from tests.packages import ROOT
from tests.processes import Process, Stack
from tests.waiting import until

AGENT = {"LONGRUN_TASKS": str(ROOT / "examples/agent.py")}
QUESTION = {"question": "How high is the lighthouse, in feet?"}
ANSWER = "The lighthouse was lit in 1871. It is 42 metres high. That is 138 feet."
SAID = f"CALL look_up lighthouse CALL feet 42 {ANSWER}"


@pytest.fixture
def worker(stack: Stack) -> Process:
    """A worker that knows the agent, with one child."""
    return stack.worker(concurrency=1, env=AGENT)


@pytest.fixture
def longrun(stack: Stack, worker: Process) -> Iterator[Longrun]:
    """A client of an API that knows the agent too."""
    with Longrun(stack.api(env=AGENT).url) as client:
        yield client


def words(longrun: Longrun, task_id: str) -> str:
    """What the model has said so far."""
    return " ".join(piece.data for piece in longrun.output(task_id, follow=False))


def test_the_agent_calls_its_tools_and_each_word_is_output_once_and_in_order(longrun: Longrun) -> None:
    task = longrun.submit("ask", QUESTION)
    heard = [piece.data for piece in longrun.output(task.task_id)]
    ended = longrun.get(task.task_id)
    assert ended.status is Status.SUCCESS
    assert ended.result == {"answer": ANSWER, "turns": 3}
    assert " ".join(heard) == SAID
    assert [line.message.partition(":")[0] for line in longrun.logs(task.task_id)] == [
        "look_up(lighthouse)",
        "feet(42)",
    ]


def test_a_cancel_stops_the_agent_while_it_waits_for_a_word(longrun: Longrun) -> None:
    task = longrun.submit("ask", {**QUESTION, "pace_s": 600})
    until(lambda: longrun.get(task.task_id).status is Status.RUNNING)
    longrun.cancel(task.task_id)
    until(lambda: (cancel := longrun.get(task.task_id).cancel) and cancel.stopped_at)
    cancel = longrun.get(task.task_id).cancel
    assert cancel is not None
    assert cancel.method in {"cooperative", "signal"}
    assert words(longrun, task.task_id) == ""


def test_after_the_death_of_its_process_the_agent_goes_on_with_the_next_step(longrun: Longrun, worker: Process) -> None:
    task = longrun.submit("ask", {**QUESTION, "pace_s": 0.3})
    next(event for event in longrun.stream(task.task_id) if event.kind == "log")  # it has called the first tool
    [child] = children(worker)
    child.kill()
    ended = longrun.wait(task.task_id)
    assert ended.result == {"answer": ANSWER, "turns": 3}
    assert ended.attempt == 2
    said = words(longrun, task.task_id)
    assert said.startswith("CALL look_up lighthouse ")
    assert said.count("look_up") == 1, "the model is not asked again for a turn that is done"
