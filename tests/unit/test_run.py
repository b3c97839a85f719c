"""One run of one job: whatever the task does, an outcome comes out."""

from __future__ import annotations

import gc
import json
import weakref
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from jobcore.errors import InvalidValue, JobCancelled, PermanentError, RetryableError
from jobcore.states import Status
from jobcore.tasks import JobContext
from jobcore.worker.run import REFUSALS_MAX
from jobcore.worker.values import Bounds
from tests.unit.running import Input, raising, run, run_type, type_of


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def test_what_a_run_held_is_freed_as_it_ends_and_does_not_wait_for_the_garbage_collector() -> None:
    held: list[weakref.ref[Any]] = []

    def function(ctx: Any, input: Input) -> None:
        held.append(weakref.ref(ctx._store))

    gc.disable()
    try:
        run(function)
        assert held[0]() is None
    finally:
        gc.enable()


def test_what_a_task_returns_is_the_result_with_its_last_words() -> None:
    def function(ctx: JobContext, input: Input) -> dict[str, int]:
        ctx.log("half way")
        ctx.progress(1, 2)
        ctx.progress(2, 2)
        return {"n": input.n}

    outcome = run(function, given={"n": 5})
    assert (outcome.status, json.loads(outcome.result), outcome.error) == (Status.SUCCESS, {"n": 5}, None)
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


class Told(RetryableError):
    """Has more to say than a message."""

    def __init__(self, details: Any) -> None:
        super().__init__("no")
        self.details = details


def test_the_details_of_an_error_are_fields_of_the_jobs_error_and_no_detail_hides_what_it_is() -> None:
    outcome = run(raising(Told({"status": 503, "headers": {"a": "b"}, "kind": "mine"})))
    assert outcome.error == {
        "status": 503,
        "headers": {"a": "b"},
        "kind": "raised",
        "type": "Told",
        "message": "no",
        "attempt": 1,
    }


@pytest.mark.parametrize("details", [{"a": object()}, {"a": "\0"}, {"a": "x" * 20_000}, 5])
def test_details_that_cannot_be_stored_do_not_change_how_the_run_ended(details: Any) -> None:
    outcome = run(raising(Told(details)))
    assert outcome.error is not None
    assert (outcome.status, outcome.error["type"]) == (Status.PENDING, "Told")
    assert "cannot be stored" in outcome.error["details"]


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


class Shape(BaseModel):
    """Needs a number."""

    n: int


@pytest.mark.parametrize(
    "returned",
    [
        float("nan"),
        {"x": [float("inf")]},
        [None, {-1: [float("nan")]}],
        {1, object()},
        10**1001,
        ["\0"],
        "\ud800",
        b"\xff",
    ],
)
def test_a_result_that_is_no_json_is_invalid_and_not_tried_again(returned: Any) -> None:
    outcome = run(lambda _ctx, _input: returned)
    assert outcome.error is not None
    assert (outcome.status, outcome.error["kind"], outcome.retry_s) == (Status.FAILED, "invalid", None)


class Weights(BaseModel):
    """Numbers that may be infinite, in a model that says how JSON has them."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    most: float
    least: float | None = None


def test_a_number_that_is_not_finite_is_stored_as_a_model_says_that_json_has_it() -> None:
    def function(_ctx: JobContext, _input: Any) -> Any:
        return Weights(most=float("inf"))

    outcome = run_type(type_of(function, output_model=Weights), "{}")
    assert (outcome.status, json.loads(outcome.result)) == (Status.SUCCESS, {"most": "Infinity", "least": None})


@pytest.mark.parametrize("returned", [None, 5, {}, {"n": "many"}, Input])
def test_a_result_that_is_not_its_output_model_is_invalid_and_not_tried_again(returned: Any) -> None:
    outcome = run_type(type_of(lambda _ctx, _input: returned, output_model=Shape), "{}")
    assert outcome.error is not None
    assert (outcome.status, outcome.error["kind"], outcome.retry_s) == (Status.FAILED, "invalid", None)


def test_a_result_beyond_the_bound_is_invalid_at_once_and_says_the_setting() -> None:
    bounds = Bounds(result_bytes=2_000)
    assert run(lambda _ctx, _input: "x" * 1_998, bounds=bounds).status is Status.SUCCESS
    outcome = run(lambda _ctx, _input: "x" * 1_999, bounds=bounds)
    assert outcome.error is not None
    assert (outcome.status, outcome.error["kind"]) == (Status.FAILED, "invalid")
    assert "2,001 bytes" in outcome.error["message"]
    assert "LONGRUN_MAX_RESULT_BYTES" in outcome.error["message"]
    assert "ctx.file" in outcome.error["message"]


def test_a_checkpoint_beyond_a_mebibyte_is_refused_at_its_line_and_ends_the_job() -> None:
    outcome = run(lambda ctx, _input: ctx.checkpoint("x" * (2**20 - 1)))
    assert outcome.error is not None
    assert (outcome.status, outcome.error["type"]) == (Status.FAILED, "InvalidValue")
    assert "checkpoint has 1,048,577 bytes as JSON, but may have 1,048,576 at most: " in outcome.error["message"]


def test_a_result_may_have_a_mebibyte_unless_a_setting_says_otherwise() -> None:
    assert run(lambda _ctx, _input: "x" * (2**20 - 2)).status is Status.SUCCESS
    outcome = run(lambda _ctx, _input: "x" * (2**20 - 1))
    assert outcome.error is not None
    assert (outcome.status, outcome.error["kind"]) == (Status.FAILED, "invalid")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (33, 33),
        (0.5, 0.5),
        ("120", 120),
        (" 120 ", 120),
        (Decimal("1.5"), 1.5),
        (timedelta(minutes=2), 120),
        (-5, 0),
        (float("inf"), 366 * 86_400),
        (10**400, 366 * 86_400),
        ("9" * 5_000, 366 * 86_400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (None, None),
    ],
)
def test_a_delay_is_taken_in_each_form_that_libraries_and_headers_have(given: Any, seconds: float | None) -> None:
    outcome = run(raising(RetryableError("later", retry_after_s=given)))
    assert outcome.status is Status.PENDING
    assert outcome.retry_s == (pytest.approx(2, rel=0.25) if seconds is None else seconds)


def test_a_delay_is_taken_as_the_date_of_a_header() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert run(raising(RetryableError("later", retry_after_s=at))).retry_s == pytest.approx(100, abs=3)


@pytest.mark.parametrize("given", ["soon", "", True, [1], float("nan"), "-5", "1e3", "١٢"])
def test_a_delay_that_is_none_is_refused_where_it_is_given_and_tried_again(given: Any) -> None:
    def function(_ctx: JobContext, _input: Any) -> Any:
        raise RetryableError("later", retry_after_s=given)

    outcome = run(function)
    assert outcome.error is not None
    assert (outcome.status, outcome.error["type"]) == (Status.PENDING, "ValueError")
    assert "retry_after_s: must be a number of seconds" in outcome.error["message"]


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("error", "status", "retry_s"),
    [
        (group(ValueError("a"), OSError("b")), Status.PENDING, pytest.approx(2, rel=0.25)),
        (group(ValueError("a"), PermanentError("b")), Status.FAILED, None),
        (group(ValueError("a"), group(PermanentError("b"))), Status.FAILED, None),
        (group(RetryableError("a", 5), group(RetryableError("b", 50)), ValueError("c")), Status.PENDING, 50),
        (group(RetryableError("a", 5), InvalidValue("b")), Status.FAILED, None),
    ],
)
def test_a_group_is_tried_again_if_all_in_it_may_be_after_the_longest_delay(
    error: Exception, status: Status, retry_s: Any
) -> None:
    outcome = run(raising(error))
    assert (outcome.status, outcome.retry_s) == (status, retry_s)


def test_a_group_that_holds_a_cancel_is_a_stop() -> None:
    outcome = run(raising(BaseExceptionGroup("several", [JobCancelled("stop"), ValueError("a")])))
    assert outcome.status is Status.FAILED, "nobody asked it to stop"
