"""Schedules on a real PostgreSQL: exactly one job a tick however many keepers fire, and changes that are not lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.keeper.scheduler import BATCH, Scheduler
from jobcore.models import Change
from jobcore.schedule import Firing, Plan, Schedule, fire
from jobcore.states import Status
from jobcore.store import firings, schedules
from tests.integration.store.world import QUEUE, World, race

KEEPERS = 8
ROUNDS = 40
JOB = {"task_type": "echo", "queue": QUEUE, "input": {}, "max_attempts": 3, "tags": ["t"]}


class Heard(EventPublisher):
    """An event publisher that only remembers."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.announced = 0

    def publish_changes(self, changes: Sequence[Change]) -> None:
        self.changes += changes

    def announce(self) -> None:
        self.announced += 1


def plan(**fields: Any) -> Plan:
    defaults: dict[str, Any] = {
        "name": f"s{uuid7()}", "cron": "0 * * * *", "timezone": "UTC", "overlap": "allow_all",
        "missed_runs": "run_once", "max_missed_runs": 10, "start_deadline_s": None, "paused": False,
        "task": {"task_type": "echo", "input": {}}, "job": JOB,
    }  # fmt: skip
    return Plan(**defaults | fields)


def keep(world: World, next_at: datetime | None = None, **fields: Any) -> Schedule:
    """A new schedule, due since the last full hour unless said otherwise."""
    given = plan(**fields)
    last_hour = world.call(schedules.now).replace(minute=0, second=0, microsecond=0)
    kept = world.call(schedules.insert, uuid7(), given, None if given.paused else next_at or last_hour)
    assert kept is not None
    return kept


def scheduler(world: World, publisher: EventPublisher | None = None) -> Scheduler:
    return Scheduler(world.db, publisher or Heard(), Limits(world.db, lambda queue, count: None))


def read(world: World, schedule: Schedule) -> Schedule:
    found = world.call(schedules.get, schedule.id)
    assert found is not None
    return found


def jobs_of(world: World, schedule: Schedule) -> list[Any]:
    return world.sql("SELECT * FROM jobs WHERE schedule_id = :id ORDER BY id", id=schedule.id)


def firing(world: World, schedule: Schedule) -> Firing:
    return fire(read(world, schedule), world.call(schedules.now))


def test_a_due_schedule_makes_a_job_like_any_other_and_waits_for_its_next_tick(world: World) -> None:
    kept = keep(world, overlap="skip")
    heard = Heard()
    scheduler(world, heard).check()
    [job] = jobs_of(world, kept)
    assert heard.announced == 1
    assert (job["status"], job["ready"], job["scheduled_for"], job["tags"]) == ("PENDING", True, kept.next_at, ["t"])
    world.check_events(job["id"])
    [claim] = world.take(world.worker())
    assert claim.id == job["id"]
    after = read(world, kept)
    assert kept.next_at is not None
    assert after.next_at is not None
    assert after.next_at > world.call(schedules.now)
    assert (after.runs, after.skipped, after.missed, after.last_at) == (1, 0, 0, kept.next_at)


def test_keepers_that_fire_at_once_make_one_job_a_tick(world: World) -> None:
    kept = keep(world)
    winners: Counter[int] = Counter()
    for number in range(ROUNDS):
        tick = world.call(schedules.now).replace(minute=0, second=0, microsecond=0) - timedelta(hours=ROUNDS - number)
        world.sql("UPDATE schedules SET next_at = :tick WHERE id = :id RETURNING id", tick=tick, id=kept.id)
        due = fire(read(world, kept), tick + timedelta(seconds=1))
        fired = race(*[partial(world.call, firings.fire, [due])] * KEEPERS)
        assert sorted(len(each.jobs) for each in fired) == [0] * (KEEPERS - 1) + [1]
        winners[[bool(each.jobs) for each in fired].index(True)] += 1
        assert [job["scheduled_for"] for job in jobs_of(world, kept)][number:] == [tick]
    assert len(winners) > 1, "the race was never close"
    assert read(world, kept).runs == ROUNDS


def test_keepers_that_check_at_once_make_one_job_a_tick_of_many_schedules(world: World) -> None:
    kept = [keep(world) for _ in range(2 * BATCH + 10)]
    race(*[scheduler(world).check] * KEEPERS)
    rows = world.sql("SELECT schedule_id, count(*) AS jobs FROM jobs GROUP BY schedule_id")
    assert {row["schedule_id"]: row["jobs"] for row in rows} == {schedule.id: 1 for schedule in kept}


def test_a_clock_that_was_set_back_makes_no_second_job_of_a_tick(world: World) -> None:
    kept = keep(world)
    scheduler(world).check()
    world.sql("UPDATE schedules SET next_at = :tick WHERE id = :id RETURNING id", tick=kept.next_at, id=kept.id)
    scheduler(world).check()
    assert len(jobs_of(world, kept)) == 1
    assert read(world, kept).next_at != kept.next_at


def test_what_was_seen_due_is_not_fired_once_the_schedule_changed(world: World) -> None:
    kept = keep(world)
    due = firing(world, kept)
    assert world.call(schedules.update, kept, plan(name=kept.plan.name, job=JOB | {"input": {"n": 2}}), moves=False,
                      next_at=None)  # fmt: skip
    assert world.call(firings.fire, [due]).jobs == []
    scheduler(world).check()
    assert [job["input"] for job in jobs_of(world, kept)] == [{"n": 2}]


def test_pause_against_fire_never_makes_a_job_after_it_was_paused(world: World) -> None:
    winners: Counter[bool] = Counter()
    for _ in range(ROUNDS):
        kept = keep(world)
        due = firing(world, kept)
        pause = partial(world.call, schedules.update, kept, kept.plan.resting(True), moves=True, next_at=None)
        fired, paused = race(partial(world.call, firings.fire, [due]), pause)
        assert paused is not None
        assert read(world, kept).next_at is None
        assert len(jobs_of(world, kept)) == len(fired.jobs)
        assert world.call(firings.fire, [due]).jobs == []
        winners[bool(fired.jobs)] += 1
    assert sum(winners.values()) == ROUNDS


def test_a_deleted_schedule_makes_no_job_and_leaves_those_it_made(world: World) -> None:
    kept, other = keep(world), keep(world)
    scheduler(world).check()
    due = fire(other, world.call(schedules.now))
    assert world.call(schedules.delete, kept.id) is not None
    assert world.call(schedules.delete, kept.id) is None
    assert world.call(firings.fire, [due]).jobs == []
    assert len(jobs_of(world, kept)) == 1


def again(world: World, schedule: Schedule) -> None:
    """Let a tick be due once more, and the job of the latest one be hours older than it is."""
    world.sql(
        """
        WITH older AS (
            UPDATE jobs SET scheduled_for = scheduled_for - runs * interval '1 hour'
            FROM schedules WHERE schedules.id = :id AND schedule_id = :id AND scheduled_for = last_at
        )
        UPDATE schedules SET next_at = date_trunc('hour', now()) WHERE id = :id RETURNING id
        """,
        id=schedule.id,
    )


def test_skip_makes_no_job_until_the_one_before_has_ended_and_its_process_stopped(world: World) -> None:
    kept = keep(world, overlap="skip")
    check = scheduler(world).check
    check()
    again(world, kept)
    check()
    assert (len(jobs_of(world, kept)), read(world, kept).skipped) == (1, 1)
    worker = world.worker()
    [claim] = world.take(worker)
    again(world, kept)
    check()
    assert (len(jobs_of(world, kept)), read(world, kept).skipped) == (1, 2)
    world.cancel(claim.id)
    again(world, kept)
    check()
    assert (len(jobs_of(world, kept)), read(world, kept).skipped) == (1, 3), "it was cancelled, but still runs"
    world.edit(claim.id, "cancel_stopped_at = now()")
    again(world, kept)
    check()
    assert (len(jobs_of(world, kept)), read(world, kept).runs) == (2, 2)


def test_allow_all_makes_a_job_whatever_runs(world: World) -> None:
    kept = keep(world)
    scheduler(world).check()
    world.take(world.worker())
    again(world, kept)
    scheduler(world).check()
    assert [job["status"] for job in jobs_of(world, kept)] == ["RUNNING", "PENDING"]


def test_a_job_that_a_limit_holds_back_waits_at_its_gate_and_passes_in_the_same_check_if_it_may(
    world: World,
) -> None:
    kept = [keep(world, job=JOB | {"concurrency_key": "one"}) for _ in range(2)]
    scheduler(world).check()
    assert sorted(job["ready"] for schedule in kept for job in jobs_of(world, schedule)) == [False, True]


def test_cancel_other_cancels_what_has_not_ended_and_says_so(world: World) -> None:
    kept, heard = keep(world, overlap="cancel_other"), Heard()
    stranger = keep(world)
    scheduler(world, heard).check()
    again(world, kept)
    scheduler(world, heard).check()
    first, second = jobs_of(world, kept)
    assert (first["status"], second["status"]) == ("CANCELLED", "PENDING")
    assert world.check_ending(first["id"]) == [Status.CANCELLED]
    assert [(change.id, change.status) for change in heard.changes] == [(first["id"], Status.CANCELLED)]
    assert [job["status"] for job in jobs_of(world, stranger)] == ["PENDING"]


def test_keepers_that_fire_at_once_never_cancel_the_new_job(world: World) -> None:
    kept = keep(world, overlap="cancel_other")
    for number in range(ROUNDS // 2):
        tick = world.call(schedules.now).replace(minute=0, second=0, microsecond=0) - timedelta(hours=ROUNDS - number)
        world.sql("UPDATE schedules SET next_at = :tick WHERE id = :id RETURNING id", tick=tick, id=kept.id)
        due = fire(read(world, kept), tick + timedelta(seconds=1))
        race(*[partial(world.call, firings.fire, [due])] * KEEPERS)
        assert [job["status"] for job in jobs_of(world, kept)] == ["CANCELLED"] * number + ["PENDING"]


@pytest.mark.parametrize(
    "broken",
    [
        {"timezone": "Mars/Olympus"},
        {"cron": "nonsense"},
        {"job": JOB | {"priority": 99}},
        {"job": JOB | {"no_such_option": 1}},
        {"job": {"task_type": "echo"}},
    ],
    ids=str,
)
def test_one_schedule_that_fails_says_why_and_does_not_hold_up_the_others(world: World, broken: dict[str, Any]) -> None:
    bad, good = keep(world, **broken), keep(world)
    scheduler(world).check()
    assert len(jobs_of(world, good)) == 1
    assert jobs_of(world, bad) == []
    failed = read(world, bad)
    assert failed.error
    assert failed.error_at
    assert failed.next_at == bad.next_at
    assert [each.id for each, _ in world.call(schedules.due, 10)] == [], "it is left alone for a minute"
    world.sql("UPDATE schedules SET error_at = error_at - interval '61 s' WHERE id = :id RETURNING id", id=bad.id)
    mended = world.call(schedules.update, failed, plan(name=bad.plan.name), moves=False, next_at=None)
    assert mended is not None
    assert (mended.error, mended.error_at) == (None, None)
    scheduler(world).check()
    assert len(jobs_of(world, bad)) == 1


def test_a_thousand_due_schedules_are_fired_in_one_check(world: World) -> None:
    world.sql(
        """
        INSERT INTO schedules (id, name, cron, timezone, overlap, missed_runs, max_missed_runs, paused, task, job,
                               next_at)
        SELECT gen_random_uuid(), 'many-' || n, '0 * * * *', 'UTC', 'skip', 'run_once', 1, false, '{}', CAST(:job AS
               jsonb), date_trunc('hour', now()) FROM generate_series(1, 1000) AS n RETURNING id
        """,
        job='{"task_type": "echo", "queue": "default", "input": {}, "max_attempts": 1, "tags": []}',
    )
    scheduler(world).check()
    assert world.sql("SELECT count(*) AS due FROM schedules WHERE next_at <= now()")[0]["due"] == 0
    assert world.sql("SELECT count(DISTINCT schedule_id) AS jobs FROM jobs")[0]["jobs"] == 1000


def test_a_name_is_kept_once(world: World) -> None:
    made = race(*[partial(world.call, schedules.insert, uuid7(), plan(name="one"), None) for _ in range(4)])
    assert sum(each is not None for each in made) == 1
    other = keep(world)
    assert world.call(schedules.update, other, plan(name="one"), moves=False, next_at=None) is None


def test_of_two_changes_to_what_both_read_one_is_refused(world: World) -> None:
    kept = keep(world)
    changes = [partial(world.call, schedules.update, kept, plan(name=kept.plan.name, max_missed_runs=number),
                       moves=False, next_at=None) for number in (1, 2, 3)]  # fmt: skip
    changed = [each for each in race(*changes) if each]
    assert len(changed) == 1
    assert read(world, kept).plan == changed[0].plan


def test_pages_come_newest_first_and_whole(world: World) -> None:
    ids = [keep(world).id for _ in range(5)]
    seen: list[UUID] = []
    while page := world.call(schedules.page, limit=2, before=seen[-1] if seen else None):
        seen += [schedule.id for schedule in page]
    assert seen == ids[::-1]


def test_what_a_check_asks_does_not_read_the_history(world: World) -> None:
    """Of 20,000 ended jobs, a third of them of schedules."""
    world.sql(
        """
        INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts, finished_at,
                          schedule_id, scheduled_for)
        SELECT gen_random_uuid(), 'echo', 'default', now(), 'SUCCESS', false, now(), '{}', 1, now(),
               CASE WHEN n % 3 = 0 THEN CAST('00000000-0000-0000-0000-' || lpad(CAST(n % 20 AS text), 12, '0') AS uuid)
               END, CASE WHEN n % 3 = 0 THEN now() + n * interval '1 s' END
        FROM generate_series(1, 20000) AS n RETURNING id
        """
    )
    world.call(_execute, "ANALYZE jobs")
    ids = "CAST('{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}' AS uuid[])"
    for statement, index in [
        (str(firings.OPEN_JOBS.text).replace(":ids", ids), "jobs_open_by_schedule"),
        (str(firings.SUBMITTED.text).replace(":ids", ids).replace(":ticks", "ARRAY[now()]"), "jobs_one_a_tick"),
    ]:
        settings, _, query = statement.rpartition(";")
        plan_lines = [str(row["QUERY PLAN"]) for row in world.sql(f"{settings or 'SELECT'}; EXPLAIN {query}")]
        assert any(index in line for line in plan_lines), plan_lines


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
