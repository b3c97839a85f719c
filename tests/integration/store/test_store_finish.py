"""Finishing: the outcome, the last words and the terminal event in one fenced statement."""

from __future__ import annotations

import json

import pytest

from jobcore.models import NewEvent, Outcome
from jobcore.states import TERMINAL, Status
from jobcore.store import jobs, json_text
from jobcore.store.database import RowRefused
from jobcore.store.outcomes import finish
from tests.integration.store.world import ERROR, World

ENDINGS = [
    (Status.SUCCESS, {"result": {"n": 1}}),
    (Status.FAILED, {"error": ERROR}),
    (Status.PENDING, {"error": ERROR, "retry_s": 5.0}),
]


@pytest.mark.parametrize(("status", "fields"), ENDINGS)
def test_a_finish_with_an_old_fence_writes_nothing(world: World, status: Status, fields: dict[str, object]) -> None:
    stale = world.running()
    world.release(stale, "handed_back")
    [current] = world.take(world.worker())
    before = world.row(current.id), world.events(current.id)
    outcome = Outcome(stale.id, stale.fence, status, events=(NewEvent("log", {}),), **fields)  # type: ignore[arg-type]
    assert world.call(finish, [outcome]) == []
    assert (world.row(current.id), world.events(current.id)) == before


@pytest.mark.parametrize("ended", sorted(TERMINAL))
@pytest.mark.parametrize(("status", "fields"), ENDINGS)
def test_an_ended_job_cannot_be_finished_again(
    world: World, ended: Status, status: Status, fields: dict[str, object]
) -> None:
    job_id = world.ended(ended)
    before = world.row(job_id)
    outcome = Outcome(job_id, before["fence"], status, **fields)  # type: ignore[arg-type]
    assert world.call(finish, [outcome]) == []
    assert world.row(job_id) == before


def test_success_stores_the_result_the_last_words_and_one_terminal_event(world: World) -> None:
    claim = world.running()
    words = (NewEvent("log", {"message": "a"}, age_s=2.0), NewEvent("progress", {"done": 1}))
    [change] = world.finish(claim, result=[1, None], progress={"done": 1}, events=words)
    row = world.row(claim.id)
    assert (row["status"], row["result"], row["error"], row["progress"]) == ("SUCCESS", [1, None], None, {"done": 1})
    assert row["finished_at"] == change.at
    log, progress, end = world.events(claim.id)[2:]
    assert (log.seq, log.kind, log.data, log.attempt) == (3, "log", {"message": "a"}, 1)
    assert (end.at - log.at).total_seconds() == pytest.approx(2.0)
    assert (progress.seq, progress.kind) == (4, "progress")
    assert end == change.event
    assert end.data == {"status": "SUCCESS"}
    assert world.check_ending(claim.id) == [Status.SUCCESS]


@pytest.mark.parametrize("number", ["1e16", "1e+16", "1e-300", "-0.0", "1.5"])
def test_a_result_that_is_json_text_is_read_as_its_serializer_wrote_it(world: World, number: str) -> None:
    """As Pydantic writes numbers (1e16) and as Python does (1e+16), beside words that look like such numbers."""
    text = f'{{"n":{number},"words":"[1e16,e1","beside":null}}'
    claims_of_both = [world.running(), world.running()]
    outcomes = [
        Outcome(claim.id, claim.fence, Status.SUCCESS, result=json_text.as_written_here(text))
        for claim in claims_of_both
    ]
    world.call(finish, [outcomes[0], outcomes[1]._replace(result={"plain": 1})])
    first, second = (world.call(jobs.get, claim.id) for claim in claims_of_both)
    assert first is not None
    assert repr(json.loads(first.result or "")) == repr(json.loads(text))
    assert second is not None
    assert json.loads(second.result or "") == {"plain": 1}


def test_failure_says_why_in_the_row_and_in_the_event(world: World) -> None:
    claim = world.running()
    [change] = world.finish(claim, Status.FAILED)
    assert world.row(claim.id)["error"] == ERROR
    assert change.data == {"status": "FAILED", "error": ERROR}
    assert world.check_ending(claim.id) == [Status.FAILED]


def test_a_retry_waits_for_its_time_without_a_worker(world: World) -> None:
    claim = world.running()
    [change] = world.finish(claim, Status.PENDING, retry_s=90.0)
    row = world.row(claim.id)
    assert (row["status"], row["ready"], row["worker_id"], row["slot"]) == ("PENDING", False, None, None)
    assert (row["run_at"] - change.at).total_seconds() == pytest.approx(90.0)
    assert (row["attempt"], row["finished_at"], row["error"]) == (1, None, ERROR)
    assert not change.ready
    assert change.data["error"] == ERROR
    assert world.take(world.worker()) == []


def test_a_retry_without_delay_takes_its_place_at_the_back(world: World) -> None:
    claim = world.running()
    other = world.insert()
    [change] = world.finish(claim, Status.PENDING, retry_s=0.0)
    assert change.ready
    worker = world.worker()
    assert [taken.id for _ in range(2) for taken in world.take(worker)] == [other, claim.id]


def test_one_unstorable_result_refuses_the_batch_and_leaves_all_of_it_running(world: World) -> None:
    worker = world.worker()
    good, bad = world.running(worker), world.running(worker)
    outcomes = [Outcome(claim.id, claim.fence, Status.SUCCESS, result="fine") for claim in (good, bad)]
    spoilt = outcomes[1]._replace(result="\0")
    with pytest.raises(RowRefused):
        world.call(finish, [outcomes[0], spoilt])
    assert {world.status(good.id), world.status(bad.id)} == {Status.RUNNING}
    assert len(world.call(finish, outcomes)) == 2


@pytest.mark.parametrize("retry_s", [float("inf"), float("nan"), 1e300])
def test_a_retry_delay_that_is_no_time_is_refused(world: World, retry_s: float) -> None:
    with pytest.raises(RowRefused):
        world.finish(world.running(), Status.PENDING, retry_s=retry_s)


def test_in_a_batch_only_those_that_lost_their_claim_are_left_out(world: World) -> None:
    worker = world.worker()
    runs = [world.running(worker) for _ in range(3)]
    world.cancel(runs[1].id)
    changes = world.call(finish, [Outcome(run.id, run.fence, Status.SUCCESS) for run in runs])
    assert {change.id for change in changes} == {runs[0].id, runs[2].id}
    assert world.check_ending(*[run.id for run in runs]) == [Status.SUCCESS, Status.CANCELLED, Status.SUCCESS]
