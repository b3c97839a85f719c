"""One run of one job: whatever the task does, an outcome comes out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, RootModel
from uuid_utils.compat import uuid7

from jobcore.attempt import REFUSALS_MAX, Attempt
from jobcore.context import RunContext
from jobcore.errors import JobCancelled, PermanentError, RetryableError
from jobcore.interrupts import Interrupts
from jobcore.models import Claim, Outcome
from jobcore.slots import Slots
from jobcore.states import Status
from jobcore.store.database import Database
from jobcore.tasks import JobContext, Registry, RetryPolicy, TaskType


class Input(BaseModel):
    """Takes a number."""

    n: int = 1


Anything = RootModel[Any]


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def run(
    function: Callable[[JobContext, Any], Any],
    *,
    tries: int = 1,
    given: dict[str, Any] | None = None,
    retry: dict[str, float] | None = None,
    refusals: int = 0,
) -> Outcome:
    registry = Registry()
    registry.add(TaskType("t", function, Input, Anything, "default", "", RetryPolicy(backoff_s=2), None, None))
    text = json.dumps(given or {})
    claim = Claim(uuid7(), 7, "t", "default", text, tries, tries, 3, None, None, None, 2, datetime.now(UTC))
    claim = replace(claim, retry=retry, refusals=refusals)
    slot = Slots(1, os.getpid())[0]
    interrupts = Interrupts(slot)
    # no connection is made: nothing here writes before the outcome
    db = Database("postgresql://nobody@127.0.0.1:1/none", name="test")
    context = RunContext(claim, slot, db, interrupts.shield, lambda _: None, lambda _: None)
    outcome = Attempt(claim, context, registry, interrupts).run()
    assert outcome is not None
    assert (outcome.id, outcome.fence) == (claim.id, claim.fence)
    return outcome


def raising(error: BaseException) -> Callable[[JobContext, Any], Any]:
    def function(_ctx: JobContext, _input: Any) -> Any:
        raise error

    return function


def test_what_a_task_returns_is_the_result_with_its_last_words() -> None:
    def function(ctx: JobContext, input: Input) -> dict[str, int]:
        ctx.log("half way")
        ctx.progress(1, 2)
        ctx.progress(2, 2)
        return {"n": input.n}

    outcome = run(function, given={"n": 5})
    assert (outcome.status, outcome.result, outcome.error) == (Status.SUCCESS, {"n": 5}, None)
    assert [(event.kind, event.data.get("done")) for event in outcome.events] == [
        ("log", None),
        ("progress", 1),
        ("progress", 2),
    ]


def test_an_error_is_tried_again_until_the_last_try() -> None:
    again = run(raising(ValueError("no")), tries=2)
    assert again.status is Status.PENDING
    assert again.retry_s == pytest.approx(4, rel=0.25)
    final = run(raising(ValueError("no")), tries=3)
    assert (final.status, final.retry_s) == (Status.FAILED, None)
    assert final.error == {"kind": "raised", "type": "ValueError", "message": "no", "attempt": 3}


def test_the_log_shows_the_tasks_own_frames_and_none_of_ours() -> None:
    [event] = run(raising(ValueError("no"))).events
    assert "in function" in event.data["message"]
    assert "jobcore" not in event.data["message"]
    assert event.data["traceback"] is True, "which is how GET /tasks/{id}/attempts finds it"


def test_a_jobs_own_backoff_goes_before_its_task_types() -> None:
    assert run(raising(ValueError("no")), tries=2, retry={"backoff_s": 50, "jitter": 0}).retry_s == 100
    assert run(raising(ValueError("no")), tries=2, retry={"backoff_max_s": 3, "jitter": 0}).retry_s == 3
    asked = run(raising(RetryableError("later", retry_after_s=33)), retry={"backoff_max_s": 3})
    assert asked.retry_s == 33, "a delay that the task asks for goes before both"


def test_errors_raised_on_purpose_say_whether_and_when_to_try_again() -> None:
    assert run(raising(PermanentError("never"))).status is Status.FAILED
    assert run(raising(RetryableError("later", retry_after_s=33))).retry_s == 33
    assert run(raising(RetryableError("later"))).events == ()


@pytest.mark.parametrize("error", [BrokenError(), BaseExceptionGroup("several", [ValueError("\udcff"), BrokenError()])])
def test_an_exception_that_cannot_be_read_still_ends_the_job(error: BaseException) -> None:
    outcome = run(raising(error), tries=3)
    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert outcome.error["message"]


@pytest.mark.parametrize("value", ["a\0b", {"k": ["\ud800"]}, object()])
def test_a_result_that_cannot_be_stored_fails_its_job(value: Any) -> None:
    outcome = run(lambda _ctx, _input: value, tries=3)
    assert (outcome.status, outcome.result) == (Status.FAILED, None)


def test_an_input_that_its_model_refuses_is_never_run() -> None:
    outcome = run(raising(AssertionError("was run")), given={"n": "many"}, refusals=REFUSALS_MAX)
    assert (outcome.status, outcome.refused) == (Status.FAILED, False)
    assert outcome.error is not None
    assert outcome.error["kind"] == "invalid"
    assert outcome.error["message"].startswith("input.n: ")


def test_an_input_that_this_version_refuses_goes_back_for_another_ever_later_and_costs_no_try() -> None:
    refused = [run(raising(AssertionError("was run")), given={"n": "many"}, refusals=n) for n in range(REFUSALS_MAX)]
    assert {(outcome.status, outcome.refused) for outcome in refused} == {(Status.PENDING, True)}
    assert [outcome.retry_s for outcome in refused] == [30, 60, 120, 240, 480]


def test_a_task_that_claims_to_be_cancelled_when_it_is_not_fails() -> None:
    outcome = run(raising(JobCancelled("says who")))
    assert outcome.status is Status.FAILED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_an_error_that_is_tried_again(error: BaseException) -> None:
    assert run(raising(error)).status is Status.PENDING
