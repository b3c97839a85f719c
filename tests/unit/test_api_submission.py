"""How a request becomes a job to store, without a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from jobcore.errors import InvalidInput
from jobcore.models import NewJob
from jobcore.models.caller import OPERATOR
from jobcore.tasks import Registry, RetryPolicy, TaskType
from longrun_api import cursors
from longrun_api.problems import path
from longrun_api.submission import parse, to_job


class StrictInput(BaseModel):
    """A model that takes no value of another type than declared."""

    model_config = ConfigDict(strict=True, extra="forbid")

    day: datetime
    pair: tuple[int, int] = (1, 2)


registry = Registry()
registry.add(
    TaskType(
        name="strict",
        function=lambda ctx, input: None,
        input_model=StrictInput,
        output_model=StrictInput,
        queue="its-own",
        description="",
        retry=RetryPolicy(max_attempts=7),
        timeout_s=12.5,
        example=None,
    )
)


def job_of(traceparent: str | None = None, **fields: Any) -> NewJob:
    body = {"task_type": "strict", "input": {"day": "2026-11-24T12:00:00Z"}, **fields}
    return to_job(parse(json.dumps(body).encode()), registry, traceparent, OPERATOR)


def test_a_strict_model_reads_json_and_the_row_gets_what_the_client_sent() -> None:
    assert json.loads(str(job_of().input)) == {"day": "2026-11-24T12:00:00Z"}


def test_what_is_not_given_comes_from_the_task_type() -> None:
    job = job_of(traceparent="00-1-2-01")
    assert (job.queue, job.max_attempts, job.timeout_s, job.priority) == ("its-own", 7, 12.5, 0)
    assert (job.traceparent, job.id.version) == ("00-1-2-01", 7)


def test_what_is_given_wins() -> None:
    job = job_of(queue="other", max_attempts=1, timeout_s=0.25, priority=3, delay_s=0)
    assert (job.queue, job.max_attempts, job.timeout_s, job.priority, job.delay_s) == ("other", 1, 0.25, 3, 0)


@pytest.mark.parametrize("days", [-365, 0, 365])
def test_a_time_within_a_year_is_taken_in_any_offset(days: int) -> None:
    time = datetime.now(UTC) + timedelta(days=days)
    text = time.isoformat()
    assert job_of(run_at=text).run_at == time
    shifted = (time + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
    assert job_of(run_at=shifted).run_at == time


@pytest.mark.parametrize(
    "text", ["2026-11-24", "2026-11-24T12:00Z", "2026-11-24T12:00:00", "1795000000", "2026-W48-2T12:00:00Z", ""]
)
def test_a_time_in_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"run_at: must be an RFC 3339 time .* such as"):
        job_of(run_at=text)


def test_an_expiry_before_the_start_is_refused() -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    assert job_of(expires_at=soon, delay_s=60).expires_at is not None
    with pytest.raises(InvalidInput, match="expires_at"):
        job_of(expires_at=soon, delay_s=3600)


def test_paths_read_like_json() -> None:
    assert path("input", "links", 0, "url") == "input.links[0].url"
    assert path("", "limit") == "limit"
    assert path("") == "body"
    assert len(path("input", "x" * 10_000)) == 200


@given(st.uuids())
def test_a_cursor_leads_back_to_its_job(job_id: UUID) -> None:
    assert cursors.decode(cursors.encode(job_id)) == job_id


@given(st.text(max_size=40).filter(lambda text: len(text) != 22))
def test_any_other_cursor_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="cursor: is not a cursor of this API"):
        cursors.decode(text)


@pytest.mark.parametrize(
    ("retry", "field", "says"),
    [
        ({"backoff_s": -1}, "retry.backoff_s", "greater than or equal to 0"),
        ({"backoff_s": 700_000}, "retry.backoff_s", "less than or equal to 604800"),
        ({"jitter": 1.5}, "retry.jitter", "less than or equal to 1"),
        ({"backoff_s": "2"}, "retry.backoff_s", "valid number"),
        ({"max_backoff_s": 2}, "retry.max_backoff_s", "unknown field"),
        ({"backoff_s": 900}, "retry.backoff_s", "must not exceed backoff_max_s (600 s)"),
        ({"backoff_max_s": 1}, "retry.backoff_max_s", "backoff_s (2 s) must not exceed"),
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused_by_name(retry: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        job_of(retry=retry)
    [error] = refused.value.errors
    assert error.field == field
    assert says in error.message


def test_only_what_a_client_says_of_the_backoff_is_stored() -> None:
    assert job_of().retry is job_of(retry={}).retry is None
    assert job_of(retry={"backoff_s": 900, "backoff_max_s": 900}).retry == {"backoff_s": 900, "backoff_max_s": 900}
