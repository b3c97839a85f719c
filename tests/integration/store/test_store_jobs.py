"""Jobs as clients see them: accepted all or none, looked up, listed page by page, cancelled once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from jobcore.models import Change
from jobcore.states import TERMINAL, Status
from jobcore.store import jobs
from jobcore.store.database import RowRefused
from tests.integration.store.world import QUEUE, World

BAD_ROWS: dict[str, dict[str, Any]] = {
    "a NUL in the input": {"input": {"text": "a\0b"}},
    "a lone surrogate in the input": {"input": {"text": "\ud800"}},
    "a NaN in the input": {"input": {"x": float("nan")}},
    "a NUL in a tag": {"tags": ("a\0b",)},
    "a priority that is none": {"priority": 10},
    "a priority beyond smallint": {"priority": 2**40},
    "a timeout of nothing": {"timeout_s": 0.0},
    "no attempts": {"max_attempts": 0},
    "a delay beyond all time": {"delay_s": 1e300},
}


@pytest.mark.parametrize("fields", BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_one_bad_row_refuses_the_whole_batch(world: World, fields: dict[str, Any]) -> None:
    good, bad = world.new(), world.new(**fields)
    with pytest.raises(RowRefused):
        world.call(jobs.insert, [good, bad])
    assert world.call(jobs.find, [good.id, bad.id]) == []
    assert world.events(good.id) == []


def test_an_id_is_accepted_once(world: World) -> None:
    job = world.new()
    world.call(jobs.insert, [job])
    with pytest.raises(RowRefused):
        world.call(jobs.insert, [world.new(), job])


def test_what_was_submitted_is_what_is_stored(world: World) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    fields: dict[str, Any] = {
        "input": {"deep": [{"ключ": "значение", "n": None}]},
        "priority": 4,
        "expires_at": expires_at,
        "timeout_s": 0.25,
        "tags": ("a", "b,c", '"'),
        "metadata": {"k": [1, 2.5]},
        "traceparent": "00-aa-bb-01",
        "max_attempts": 9,
        "fairness_key": "tenant-7",
    }
    new = world.new(**fields)
    [accepted] = world.call(jobs.insert, [new])
    job = world.call(jobs.get, new.id)
    assert job is not None
    assert {name: getattr(job, name) for name in fields} | {"input": json.loads(job.input or "")} == fields
    assert (job.status, job.attempt, job.fence, job.last_seq, job.cancel) == (Status.PENDING, 0, 0, 1, None)
    assert (accepted.id, accepted.queue, accepted.created_at) == (new.id, QUEUE, job.created_at)
    assert (accepted.ready, accepted.traceparent) == (True, "00-aa-bb-01")
    [first] = world.events(new.id)
    assert (first.seq, first.kind, first.attempt, first.data) == (1, "state", 0, {"status": "PENDING"})
    assert world.call(jobs.find, [new.id, uuid7()]) == [accepted]


@pytest.mark.parametrize(
    ("fields", "ready"),
    [
        ({}, True),
        ({"delay_s": 0.0}, True),
        ({"delay_s": 30.0}, False),
        ({"run_at": datetime.now(UTC) + timedelta(days=1)}, False),
        ({"run_at": datetime.now(UTC) - timedelta(days=1)}, True),
    ],
)
def test_a_job_is_ready_once_it_waits_for_nothing(world: World, fields: dict[str, Any], ready: bool) -> None:
    new = world.new(**fields)
    [accepted] = world.call(jobs.insert, [new])
    assert accepted.ready is ready
    assert world.row(new.id)["ready"] is ready


def test_an_unknown_job_is_none(world: World) -> None:
    assert world.call(jobs.get, uuid7()) is None
    assert world.cancel(uuid7()) is None


def test_a_queued_job_is_cancelled_with_its_whole_receipt(world: World) -> None:
    job_id = world.insert()
    change = world.cancel(job_id)
    job = world.call(jobs.get, job_id)
    assert isinstance(change, Change)
    assert job is not None
    assert job.cancel is not None
    assert (job.status, job.finished_at, job.cancel.method) == (Status.CANCELLED, change.at, "queued")
    assert job.cancel.requested_at == job.cancel.acknowledged_at == job.cancel.stopped_at == change.at
    assert change.data["cancel"]["method"] == "queued"
    assert world.take(world.worker()) == []
    assert world.check_ending(job_id) == [Status.CANCELLED]


def test_a_running_job_is_cancelled_at_once_and_its_worker_still_known(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    change = world.cancel(claim.id)
    row = world.row(claim.id)
    assert change is not None
    assert change.event == world.events(claim.id)[-1]
    assert (row["status"], row["worker_id"], row["fence"]) == (Status.CANCELLED, worker, claim.fence)
    assert row["cancel_requested_at"] == change.at
    assert (row["cancel_acknowledged_at"], row["cancel_stopped_at"], row["cancel_method"]) == (None, None, None)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_cannot_be_cancelled(world: World, status: Status) -> None:
    job_id = world.ended(status)
    before = world.row(job_id)
    assert world.cancel(job_id) is None
    assert world.row(job_id) == before
