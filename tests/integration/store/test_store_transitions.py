"""Each transition is done by the store function that docs/state-machine.md names, and nothing else moves a job.

Every function of the store is tried on a job in every status and in every condition in which it could want to move it.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

import jobcore.store
from jobcore.models import (
    Batch,
    BulkAction,
    Claim,
    FeedFilter,
    FeedPosition,
    IdempotencyKey,
    InputFileUse,
    JobFilter,
    JobOrder,
    JsonText,
    NewEvent,
    NewFile,
    NewJobWithFiles,
    Outcome,
)
from jobcore.models.rollups import Span
from jobcore.schedule import Plan, Schedule, fire
from jobcore.states import TERMINAL, TRANSITIONS, Status
from jobcore.store import (
    appends,
    bulk,
    bulk_jobs,
    cancellations,
    claims,
    concurrency_limits,
    counts,
    deliveries,
    event_pages,
    events,
    expiry,
    exports,
    fair_turns,
    feed,
    files,
    firings,
    gauges,
    glance,
    health,
    idempotency,
    input_files,
    job_batches,
    jobs,
    jobs_with_files,
    json_text,
    limits,
    listing,
    low_ranks,
    ownership,
    promotion,
    queue_deletion,
    queue_demand,
    queue_heads,
    queue_rates,
    queues,
    rate_limits,
    rate_situations,
    rescue,
    retention,
    rollups,
    runs,
    schedules,
    sealed_inputs,
    served,
    situations,
    start_permits,
    starts,
    steps,
    suspects,
    task_types,
    why,
    workers,
)
from jobcore.store.cancellations import CompletedCancel, OpenCancel
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.database import RowRefused
from jobcore.store.job_batches import JobBatch
from jobcore.store.outcomes import finish
from jobcore.store.rate_limits import RateLimit
from jobcore.store.releases import Cause, Release, release
from jobcore.store.situations import Situation
from jobcore.tasks import load_tasks
from tests.integration.appending import append_events
from tests.integration.store.world import ERROR, LEASE_S, MAX_CRASHES, MAX_LOSSES, QUEUE, TYPES, World

RATE = RateLimit("rate", 1, 60)
PAGE = (Path(__file__).parents[3] / "docs" / "state-machine.md").read_text()
DONE_BY = {
    (source, event): functions.split("`, `")
    for source, event, functions in re.findall(
        r"^\| `([A-Z]+)` \| (.+?) \| `[A-Z]+` \| `([a-z_.`, ]+)` \|", PAGE, re.MULTILINE
    )
}
LAST = UUID(int=2**128 - 1)
WAITING = JobFilter((Status.PENDING,))
FILE = NewFile(UUID(int=1), "report.pdf", "application/pdf")

OF_NO_JOB = {"api_keys", "audit_log", "ended_sessions", "quotas", "signing_keys", "subscriptions", "webhook_secrets"}
"""Modules whose statements cannot move a job."""

ENDED = "ready = false, finished_at = now(), worker_id = :worker, slot = 0, started_at = now()"
IN_STATUS = {
    Status.PENDING: "fence = 3",
    Status.RUNNING: "fence = 3, ready = false, worker_id = :worker, slot = 0, started_at = now()",
    Status.SUCCESS: f"fence = 3, {ENDED}",
    Status.FAILED: f"fence = 3, error = '{{}}', {ENDED}",
    Status.CANCELLED: f"fence = 3, cancel_requested_at = now(), {ENDED}",
}
IN_CONDITION = {
    "fresh": "attempt = 1",
    "due, and too late": "ready = false, run_at = now(), expires_at = now(), attempt = 1",
    "worn out": f"attempt = 99, crashes = {MAX_CRASHES - 1}, losses = {MAX_LOSSES - 1}",
    "deserted": "attempt = 1",
    "at rest": "attempt = 1",
}


@dataclass(frozen=True)
class Case:
    """A job, and the fence with which its run writes."""

    world: World
    id: UUID
    fence: int
    worker: UUID
    hunter: UUID


@dataclass(frozen=True)
class Trial:
    """One use of a store function, and what the page calls the moves it may make."""

    function: Callable[..., object]
    use: Callable[[Case], object]
    events: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"


def finishes(status: Status, event: str, retry_s: float | None = None) -> Trial:
    error = None if status is Status.SUCCESS else ERROR

    def use(case: Case) -> object:
        return case.world.call(finish, [Outcome(case.id, case.fence, status, error=error, retry_s=retry_s)])

    return Trial(finish, use, (event,))


def releases(cause: Cause, *event: str) -> Trial:
    return Trial(release, lambda case: case.world.release_many([Release(case.id, case.fence, cause)]), event)


def claim(case: Case) -> object:
    return case.world.call(
        claims.claim, queue=QUEUE, worker_id=case.hunter, slot=0, limit=9, quick=["echo"], types=TYPES, lease_s=LEASE_S
    )


def insert_again(case: Case) -> None:
    with pytest.raises(RowRefused):
        case.world.call(jobs.insert, [case.world.new()._replace(id=case.id)])


def insert_inside_again(case: Case) -> None:
    with pytest.raises(RowRefused):
        case.world.call(jobs.insert_inside, [case.world.new()._replace(id=case.id)])


def accept_once_again(case: Case) -> None:
    with pytest.raises(RowRefused):
        case.world.call(idempotency.accept_once, [(case.world.new()._replace(id=case.id), new_key())])


def accept_once_inside_again(case: Case) -> None:
    with pytest.raises(RowRefused):
        case.world.call(idempotency.accept_once_inside, [(case.world.new()._replace(id=case.id), new_key())])


def accept_with_files_again(case: Case) -> None:
    job = NewJobWithFiles.of(case.world.new()._replace(id=case.id), {"film.mp4": staged(case)})
    with pytest.raises(RowRefused):
        case.world.call(jobs_with_files.accept, job, new_key(), None)


def staged(case: Case) -> UUID:
    """The id of a new file that a submission may name."""
    file_id = uuid7()
    case.world.call(input_files.begin, file_id, None, "video/mp4", 60.0)
    assert case.world.call(input_files.finish, file_id, size=1, sha256="0" * 64, keep_s=60.0)
    return file_id


def give_file(case: Case) -> object:
    return case.world.call(input_files.give_inside, [InputFileUse(staged(case), case.id, "film.mp4", "files")], None)


def accept_batch_again(case: Case) -> None:
    job = case.world.new()._replace(id=case.id)
    with pytest.raises(RowRefused):
        case.world.call(job_batches.accept, JobBatch((job.id,), json_text.rows([job]), "[]"), new_key())


def answer_once(case: Case) -> object:
    return case.world.call(idempotency.once, new_key(), lambda _: (idempotency.StoredAnswer(202), None))


def change_queue_if(case: Case) -> object:
    was = case.world.call(queues.find, QUEUE)
    assert was is not None
    return case.world.call(queues.change_if, was, paused=True, set_max=True, max_running=0)


def new_key() -> IdempotencyKey:
    return IdempotencyKey(str(uuid7()), "0" * 64)


def of_situation(function: Callable[[Any, Situation], object]) -> Trial:
    """A function that is given what was found about the job."""

    def use(case: Case) -> object:
        situation = case.world.call(situations.find, case.id)
        assert situation is not None
        return case.world.call(function, situation)

    return Trial(function, use)


def schedule(case: Case) -> Schedule:
    """A schedule that cancels its own jobs, and no others."""
    plan = Plan(
        name=f"s{uuid7()}", cron="* * * * *", timezone="UTC", overlap="cancel_other", missed_runs="run_once",
        max_missed_runs=1, start_deadline_s=None, paused=False, task={},
        job={"task_type": "echo", "queue": "another", "input": {}, "max_attempts": 1, "tags": []},
    )  # fmt: skip
    now = case.world.call(schedules.now)
    made = case.world.call(schedules.insert, uuid7(), plan, now.replace(second=0, microsecond=0))
    assert made is not None
    return made


def change_schedule(case: Case) -> object:
    made = schedule(case)
    return case.world.call(schedules.update, made, made.plan, moves=False, next_at=None)


def fire_schedule(case: Case) -> object:
    fired = case.world.call(firings.fire, [fire(schedule(case), case.world.call(schedules.now))])
    assert fired.jobs
    return fired


def append(case: Case) -> object:
    new = [NewEvent("log", {})]
    return case.world.call(append_events, case.id, case.fence, new, progress={"done": 1}, checkpoint="{}")


def append_inside(case: Case) -> object:
    batch = Batch(case.id, case.fence, None, (NewEvent("log", {}),), {"done": 1}, JsonText("{}"))
    return case.world.call(appends.append_inside, batch)


def take_bulk_step(case: Case) -> object:
    """Nothing was created before the job, so its checkpoint is all that it may change."""
    run = Claim(case.id, case.fence, "longrun.cancel", QUEUE, "{}", 1, 1, 1, None, None, None, 2, datetime.now(UTC))
    return case.world.call(bulk_jobs.step, run, BulkAction.CANCEL, JobFilter(), None, announce=True)


def seal_anew(replace: Callable[..., int]) -> Callable[[Case], object]:
    return lambda case: case.world.call(replace, {sealed_inputs.SealedInput(case.id, "old.x"): "new.x"})


FENCED = [
    finishes(Status.SUCCESS, "finish(ok)"),
    finishes(Status.FAILED, "finish(error, final)"),
    finishes(Status.PENDING, "retry", retry_s=0.0),
    finishes(Status.PENDING, "retry", retry_s=60.0),
    releases("handed_back", "hand back"),
    releases("crash", "rescue", "quarantine"),
    releases("loss", "rescue", "quarantine"),
    releases("timeout", "rescue", "quarantine"),
    Trial(appends.append, append),
    Trial(appends.append_inside, append_inside),
    Trial(bulk_jobs.step, take_bulk_step),
    Trial(steps.keep, lambda case: case.world.call(steps.keep, case.id, case.fence, "step", "1")),
    Trial(files.begin, lambda case: case.world.call(files.begin, case.id, case.fence, FILE, 9)),
    Trial(
        files.finish,
        lambda case: case.world.call(files.finish, case.id, case.fence, FILE, size=1, sha256="0" * 64),
    ),
    Trial(
        cancellations.acknowledge,
        lambda case: case.world.call(cancellations.acknowledge, [OpenCancel(case.id, case.fence, 0)]),
    ),
    Trial(
        cancellations.complete,
        lambda case: case.world.call(cancellations.complete, [CompletedCancel(case.id, case.fence, "kill")]),
    ),
]
UNFENCED = [
    Trial(claims.claim, claim, ("claim",)),
    Trial(jobs.cancel, lambda case: case.world.cancel(case.id), ("cancel",)),
    Trial(jobs.retry, lambda case: case.world.retry(case.id), ("manual retry",)),
    Trial(bulk.change, lambda case: case.world.call(bulk.change, BulkAction.CANCEL, [case.id]), ("cancel",)),
    Trial(bulk.change, lambda case: case.world.call(bulk.change, BulkAction.RETRY, [case.id]), ("manual retry",)),
    Trial(bulk.look, lambda case: case.world.call(bulk.look, BulkAction.CANCEL, [case.id])),
    Trial(bulk.matching, lambda case: case.world.call(bulk.matching, WAITING, None, limit=9, candidates=9)),
    Trial(bulk_jobs.wait, lambda case: case.world.call(bulk_jobs.wait)),
    Trial(exports.values, lambda case: case.world.call(exports.values, [case.id], 99)),
    Trial(runs.page, lambda case: case.world.call(runs.page, case.id, 0, 9)),
    Trial(claims.holds, lambda case: case.world.call(claims.holds, case.id, case.fence, case.worker)),
    Trial(steps.find, lambda case: case.world.call(steps.find, case.id, "step")),
    Trial(expiry.expire, lambda case: case.world.call(expiry.expire), ("expire",)),
    Trial(retention.delete_ended, lambda case: case.world.retire(LAST, 3600.0)),
    Trial(glance.look, lambda case: case.world.call(glance.look, case.hunter, 9.0)),
    Trial(fair_turns.forget, lambda case: case.world.call(fair_turns.forget)),
    Trial(rescue.lost, lambda case: case.world.call(rescue.lost)),
    Trial(jobs.insert, insert_again),
    Trial(idempotency.accept_once, accept_once_again),
    Trial(idempotency.accept_once_inside, accept_once_inside_again),
    Trial(jobs_with_files.accept, accept_with_files_again),
    Trial(job_batches.accept, accept_batch_again),
    Trial(job_batches.find, lambda case: case.world.call(job_batches.find, new_key())),
    Trial(idempotency.once, answer_once),
    Trial(idempotency.is_used, lambda case: case.world.call(idempotency.is_used, new_key().text)),
    Trial(idempotency.find, lambda case: case.world.call(idempotency.find, new_key())),
    Trial(idempotency.forget, lambda case: case.world.call(idempotency.forget, 0.0)),
    Trial(jobs.find, lambda case: case.world.call(jobs.find, [case.id])),
    Trial(jobs.get, lambda case: case.world.call(jobs.get, case.id)),
    Trial(listing.page, lambda case: case.world.call(listing.page, JobFilter(), JobOrder(), limit=9)),
    Trial(counts.of_lists, lambda case: case.world.call(counts.of_lists, JobFilter(), 9)),
    Trial(counts.step, lambda case: case.world.call(counts.step, JobFilter(), None, candidates=9)),
    Trial(events.after, lambda case: case.world.call(events.after, case.id, 0)),
    Trial(events.logs, lambda case: case.world.call(events.logs, case.id, 0, 9)),
    Trial(events.output, lambda case: case.world.call(events.output, case.id, 0, 9)),
    Trial(event_pages.page, lambda case: case.world.call(event_pages.page, case.id, 0, max_events=9, max_bytes=99)),
    Trial(event_pages.ahead, lambda case: case.world.call(event_pages.ahead, {case.id: 0})),
    Trial(feed.head, lambda case: case.world.call(feed.head)),
    Trial(
        feed.page,
        lambda case: case.world.call(feed.page, FeedFilter(), FeedPosition(1), candidates=9, max_bytes=99),
    ),
    Trial(event_pages.end, lambda case: case.world.call(event_pages.end, case.id)),
    Trial(files.discard, lambda case: case.world.call(files.discard, FILE.id)),
    Trial(files.of_job, lambda case: case.world.call(files.of_job, case.id)),
    Trial(files.find, lambda case: case.world.call(files.find, case.id, FILE.name)),
    Trial(files.abandon, lambda case: case.world.call(files.abandon)),
    Trial(files.doomed, lambda case: case.world.call(files.doomed, 9)),
    Trial(files.forget, lambda case: case.world.call(files.forget, [FILE.id])),
    Trial(input_files.begin, staged),
    Trial(input_files.finish, staged),
    Trial(input_files.give_inside, give_file),
    Trial(input_files.find_staged, lambda case: case.world.call(input_files.find_staged, FILE.id, None)),
    Trial(input_files.free_of, lambda case: case.world.call(input_files.free_of, [FILE.id], None)),
    Trial(input_files.discard, lambda case: case.world.call(input_files.discard, [staged(case)], None)),
    Trial(input_files.of_job, lambda case: case.world.call(input_files.of_job, case.id)),
    Trial(input_files.find, lambda case: case.world.call(input_files.find, case.id, FILE.name)),
    Trial(input_files.expire, lambda case: case.world.call(input_files.expire)),
    Trial(input_files.doomed, lambda case: case.world.call(input_files.doomed, 9)),
    Trial(input_files.forget, lambda case: case.world.call(input_files.forget, [staged(case)])),
    Trial(gauges.open_jobs, lambda case: case.world.call(gauges.open_jobs)),
    Trial(gauges.fleets, lambda case: case.world.call(gauges.fleets)),
    Trial(health.commit, lambda case: case.world.call(health.commit)),
    Trial(health.committed, lambda case: case.world.call(health.committed, [case.id])),
    Trial(health.rehearse, lambda case: case.world.call(health.rehearse)),
    Trial(promotion.some_due, lambda case: case.world.call(promotion.some_due)),
    Trial(promotion.promote, lambda case: case.world.promote()),
    Trial(queue_demand.read, lambda case: case.world.call(queue_demand.read)),
    Trial(queue_heads.ages, lambda case: case.world.call(queue_heads.ages, [QUEUE])),
    Trial(queue_deletion.delete, lambda case: case.world.call(queue_deletion.delete, "another")),
    Trial(served.read, lambda case: case.world.call(served.read)),
    Trial(task_types.see, lambda case: case.world.call(task_types.see, load_tasks().all())),
    Trial(task_types.forget, lambda case: case.world.call(task_types.forget)),
    Trial(task_types.publish, lambda case: case.world.call(task_types.publish, load_tasks().all())),
    Trial(task_types.see, lambda case: case.world.call(task_types.see, load_tasks().all())),
    Trial(task_types.forget, lambda case: case.world.call(task_types.forget)),
    Trial(situations.find, lambda case: case.world.call(situations.find, case.id)),
    of_situation(situations.before),
    of_situation(situations.blocking),
    of_situation(situations.pace),
    Trial(ownership.owns, lambda case: case.world.call(ownership.owns, "alice", case.id)),
    Trial(deliveries.of_job, lambda case: case.world.call(deliveries.of_job, case.id)),
    Trial(deliveries.of_webhook, lambda case: case.world.call(deliveries.of_webhook, case.id, None, 9)),
    Trial(deliveries.find, lambda case: case.world.call(deliveries.find, case.id)),
    Trial(deliveries.again, lambda case: case.world.call(deliveries.again, case.id)),
    Trial(sealed_inputs.of_jobs, lambda case: case.world.call(sealed_inputs.of_jobs, "key", sealed_inputs.FIRST, 9)),
    Trial(
        sealed_inputs.of_schedules,
        lambda case: case.world.call(sealed_inputs.of_schedules, "key", sealed_inputs.FIRST, 9),
    ),
    Trial(sealed_inputs.replace_in_jobs, seal_anew(sealed_inputs.replace_in_jobs)),
    Trial(sealed_inputs.replace_in_schedules, seal_anew(sealed_inputs.replace_in_schedules)),
    Trial(suspects.needs_fewer_runs_than, lambda case: case.world.call(suspects.needs_fewer_runs_than, case.id)),
    Trial(why.explain, lambda case: case.world.call(why.explain, case.id)),
    Trial(queues.page, lambda case: case.world.call(queues.page)),
    Trial(queues.find, lambda case: case.world.call(queues.find, QUEUE)),
    Trial(queues.names, lambda case: case.world.call(queues.names)),
    Trial(queues.busy, lambda case: case.world.call(queues.busy)),
    Trial(queues.forget, lambda case: case.world.call(queues.forget, [QUEUE])),
    Trial(queues.change, lambda case: case.world.call(queues.change, QUEUE, paused=True, set_max=True, max_running=0)),
    Trial(queues.change_if, change_queue_if),
    Trial(limits.unblock, lambda case: case.world.call(limits.unblock, ["key"])),
    Trial(limits.blocked_keys, lambda case: case.world.call(limits.blocked_keys)),
    Trial(concurrency_limits.page, lambda case: case.world.call(concurrency_limits.page)),
    Trial(concurrency_limits.put, lambda case: case.world.call(concurrency_limits.put, ConcurrencyLimit("key", 2))),
    Trial(concurrency_limits.forget, lambda case: case.world.call(concurrency_limits.forget, 0.0)),
    Trial(concurrency_limits.delete, lambda case: case.world.call(concurrency_limits.delete, "key")),
    Trial(start_permits.unblock, lambda case: case.world.call(start_permits.unblock, ["rate"])),
    Trial(start_permits.waiting, lambda case: case.world.call(start_permits.waiting)),
    Trial(start_permits.reclaim, lambda case: case.world.call(start_permits.reclaim, ["rate"])),
    Trial(gauges.rate_blocked, lambda case: case.world.call(gauges.rate_blocked)),
    Trial(rate_situations.of_key, lambda case: case.world.call(rate_situations.of_key, "rate")),
    Trial(rate_situations.of_queue_named, lambda case: case.world.call(rate_situations.of_queue_named, QUEUE)),
    Trial(queue_rates.waiting, lambda case: case.world.call(queue_rates.waiting)),
    Trial(starts.forget, lambda case: case.world.call(starts.forget, 10)),
    Trial(rate_limits.page, lambda case: case.world.call(rate_limits.page)),
    Trial(rate_limits.find, lambda case: case.world.call(rate_limits.find, "rate")),
    Trial(rate_limits.put, lambda case: case.world.call(rate_limits.put, RATE)),
    Trial(rate_limits.put_if, lambda case: case.world.call(rate_limits.put_if, RATE, RATE)),
    Trial(rate_limits.forget, lambda case: case.world.call(rate_limits.forget, 0.0)),
    Trial(rate_limits.delete, lambda case: case.world.call(rate_limits.delete, "rate")),
    Trial(low_ranks.refresh, lambda case: case.world.refresh_low_ranks()),
    Trial(cancellations.open_cancels, lambda case: case.world.call(cancellations.open_cancels, case.worker)),
    Trial(cancellations.complete_orphaned, lambda case: case.world.call(cancellations.complete_orphaned)),
    Trial(workers.register, lambda case: case.world.worker()),
    Trial(workers.live, lambda case: case.world.call(workers.live)),
    Trial(workers.running, lambda case: case.world.call(workers.running, [case.worker])),
    Trial(workers.forget, lambda case: case.world.call(workers.forget)),
    Trial(workers.beat, lambda case: case.world.call(workers.beat, case.worker, draining=True)),
    Trial(workers.leave, lambda case: case.world.call(workers.leave, case.worker)),
    Trial(workers.declare_dead, lambda case: case.world.call(workers.declare_dead, {case.worker: 0})),
    Trial(jobs.insert_inside, insert_inside_again),
    Trial(rollups.count, lambda case: case.world.call(rollups.count, 9)),
    Trial(rollups.forget, lambda case: case.world.call(rollups.forget, 9)),
    Trial(rollups.times, lambda case: case.world.call(rollups.times, Span.MINUTE, 9)),
    Trial(rollups.read, lambda case: case.world.call(rollups.read, Span.MINUTE, 9, None, None)),
    Trial(schedules.now, lambda case: case.world.call(schedules.now)),
    Trial(schedules.insert, schedule),
    Trial(schedules.get, lambda case: case.world.call(schedules.get, case.hunter)),
    Trial(schedules.page, lambda case: case.world.call(schedules.page, limit=9)),
    Trial(schedules.update, change_schedule),
    Trial(schedules.delete, lambda case: case.world.call(schedules.delete, schedule(case).id)),
    Trial(schedules.due, lambda case: case.world.call(schedules.due, 9)),
    Trial(schedules.due_in_s, lambda case: case.world.call(schedules.due_in_s)),
    Trial(firings.fire, fire_schedule),
    Trial(schedules.fail, lambda case: case.world.call(schedules.fail, schedule(case), "no")),
]
TRIALS = FENCED + UNFENCED


def case_of(world: World, status: Status, condition: str) -> Case:
    world.sql("DELETE FROM jobs RETURNING id")
    worker = world.worker("elsewhere", state="dead" if condition == "deserted" else "active")
    job_id = world.insert()
    values = {"worker": worker} if ":worker" in IN_STATUS[status] else {}
    settings = dict(part.split(" = ", 1) for part in IN_CONDITION[condition].split(", "))
    if status is not Status.PENDING:
        settings.pop("ready", None)
    if condition == "at rest" and status is Status.CANCELLED:
        settings |= dict.fromkeys(("cancel_acknowledged_at", "cancel_stopped_at"), "now()")
    conditions = ", ".join(f"{name} = {value}" for name, value in settings.items())
    world.edit(job_id, f"status = '{status}', {IN_STATUS[status]}, {conditions}", **values)
    return Case(world, job_id, 3, worker, world.worker())


def test_every_function_of_the_store_is_on_trial() -> None:
    names = {module.name for module in pkgutil.iter_modules(jobcore.store.__path__)}
    modules = [import_module(f"{jobcore.store.__name__}.{name}") for name in names - OF_NO_JOB]
    functions = {
        f"{function.__module__.rpartition('.')[2]}.{name}"
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and next(iter(inspect.signature(function).parameters), None) == "connection"
    }
    assert {trial.name for trial in TRIALS} == functions - {"transactions.transaction"}


@pytest.mark.parametrize("name", sorted(OF_NO_JOB))
def test_what_is_not_on_trial_names_no_table_of_jobs(name: str) -> None:
    source = inspect.getsource(import_module(f"{jobcore.store.__name__}.{name}"))
    assert not re.search(r"\b(jobs|job_\w+)\b", source)


def test_exactly_the_listed_transitions_exist_and_the_functions_named_do_them(world: World) -> None:
    seen: set[tuple[Status, str]] = set()
    for trial, status, condition in product(TRIALS, Status, IN_CONDITION):
        case = case_of(world, status, condition)
        trial.use(case)
        target = world.status(case.id)
        if target is status:
            continue
        what = f"{trial.name} moved a job ({condition}) from {status} to {target}"
        moves = [event for event in trial.events if TRANSITIONS.get((status, event)) is target]
        assert len(moves) == 1, what
        assert trial.name in DONE_BY[status, moves[0]], what
        seen.add((status, moves[0]))
    assert seen == set(TRANSITIONS) == set(DONE_BY)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_but_its_receipt_changes_in_an_ended_job_that_nobody_retries(world: World, status: Status) -> None:
    receipt = {"cancel_acknowledged_at", "cancel_stopped_at", "cancel_method"}
    others = [trial for trial in TRIALS if trial.events != ("manual retry",)]
    for trial, condition in product(others, IN_CONDITION):
        case = case_of(world, status, condition)
        before = world.row(case.id)
        trial.use(case)
        after = world.row(case.id)
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= (receipt if status is Status.CANCELLED else set()), trial.name


@pytest.mark.parametrize("away", [-1, 1])
def test_another_fence_changes_nothing(world: World, away: int) -> None:
    for trial, status, condition in product(FENCED, Status, IN_CONDITION):
        case = case_of(world, status, condition)
        before = world.row(case.id)
        trial.use(replace(case, fence=case.fence + away))
        assert world.row(case.id) == before, f"{trial.name} on {status}"
        assert len(world.events(case.id)) == 1
