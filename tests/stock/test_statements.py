"""Every statement of the store, on the distribution's PostgreSQL with its defaults.

Each is cheap in the planner's eyes, so that nothing is compiled (JIT), and a long history costs it no more than a short
one: `LONGRUN_TEST_HISTORY` says how many jobs the long one has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from jobcore.migrations import upgrade
from jobcore.models import (
    BULK_QUEUE,
    BULK_TYPES,
    Accepted,
    BulkAction,
    FeedFilter,
    FeedPosition,
    IdempotencyKey,
    JobFilter,
    JobOrder,
    JobPosition,
    JsonText,
    KnownJob,
    NewEvent,
    NewFile,
    NewJobWithFiles,
)
from jobcore.models.acts import Act, Kind
from jobcore.models.api_keys import KeyDigest, NewApiKey, new_key
from jobcore.models.caller import Scope
from jobcore.models.rollups import Span
from jobcore.models.subscriptions import NewSubscription, SubscriptionSettings
from jobcore.models.webhooks import SignatureScheme, SubscribedEvent, WebhookFormat
from jobcore.schedule import Firing, MissedRuns, Overlap, Plan
from jobcore.states import Status
from jobcore.store import (
    api_keys,
    audit_log,
    bulk,
    bulk_jobs,
    cancellations,
    claims,
    concurrency_limits,
    counts,
    deliveries,
    ended_sessions,
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
    job_sources,
    jobs,
    jobs_with_files,
    json_text,
    limits,
    listing,
    ownership,
    promotion,
    queue_deletion,
    queue_demand,
    queue_heads,
    queue_rates,
    queues,
    quotas,
    rate_limits,
    rescue,
    rollups,
    runs,
    schedules,
    sealed_inputs,
    served,
    start_permits,
    starts,
    steps,
    subscriptions,
    task_types,
    transactions,
    webhook_secrets,
    why,
    workers,
)
from jobcore.store.acting import acting
from jobcore.store.cancellations import CompletedCancel, OpenCancel
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.idempotency import StoredAnswer
from jobcore.store.job_batches import JobBatch
from jobcore.store.job_sources import Source
from jobcore.store.quotas import Quota
from jobcore.store.rate_limits import RateLimit
from jobcore.store.signing_keys import signing_key
from jobcore.tasks import load_tasks
from tests.integration.appending import append_events
from tests.integration.store.world import World
from tests.servers import DebianPostgres, execute
from tests.stock import history, plans
from tests.stock.plans import COMPILES_FROM, EXPLAINING, Recorder

SHORT = 10_000
LONG = int(os.environ.get("LONGRUN_TEST_HISTORY", "100000"))
SLACK = 60
"""Blocks: a level more of some indexes, pages that a vacuum left differently."""
PAGE = 51
UNSEEN = 1_100
"""Blocks: rows of a page of 51, of each of four types and five statuses, that no vacuum has marked as visible."""
COUNTS_MANY = {"gauges.OPEN"}
"""It counts up to 20,000 jobs of each queue, so it costs what it does, and asks for no JIT itself."""
CROWD = 30_000
"""Jobs of each kind that wait, unknown to the planner."""
COUNTS_TO = {
    "gauges.OPEN": 20_000,
    "queues.FIND": 10_000,
    "promotion.PROMOTE": 10_000,
    f"bulk.IDS[{Source.TYPE!r}]": 4 * bulk_jobs.CANDIDATES,  # blocks of an index and a row each
}
"""What counts at least so many of a backlog that is ten times as large. Promotion sorts what waits where nothing was
analysed: made to read in order it takes almost twice the time for a backlog that is due."""
LARGE = {"jobs", "job_events", "job_files", "input_files", "idempotency_keys"}

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def explaining(tmp_path_factory: pytest.TempPathFactory, server_folder: Path) -> Iterator[DebianPostgres]:
    """A stock PostgreSQL that tells its clients the plan of everything they send."""
    server = DebianPostgres(server_folder / "explaining", settings=EXPLAINING)
    try:
        server.programs()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with server:
        yield server


def make_keys(world: World) -> None:
    """Keys of the API, the key that signs stream tokens, and a session that was ended."""

    def new(owner: str | None) -> NewApiKey:
        digest = KeyDigest.of(new_key())
        assert digest is not None
        return NewApiKey(digest, "nightly", owner, frozenset({Scope.READ}))

    first, second = (world.call(api_keys.add, new("tenant")) for _ in range(2))
    for owner, after in product((None, "tenant"), (None, second.id)):
        world.call(api_keys.page, owner, after, PAGE)
    world.call(api_keys.find, first.id)
    world.call(api_keys.note_use, [first.id])
    world.call(api_keys.rotate, first.id, new(None), 60.0)
    world.call(api_keys.revoke, first.id)
    world.call(api_keys.put_bootstrap, new(None).digest)
    world.call(signing_key, "streams")
    world.call(ended_sessions.end, UUID(int=1), datetime.now(UTC))
    world.call(ended_sessions.ended, [UUID(int=1)])
    world.call(ended_sessions.forget, PAGE)
    for owner in (None, "tenant"):
        world.call(webhook_secrets.live, owner)
        world.call(webhook_secrets.rotate, owner, 60.0)
    world.call(deliveries.of_job, UUID(int=1))


def make_subscriptions(world: World) -> None:
    """Subscriptions, and deliveries to them."""
    settings = SubscriptionSettings(
        "https://example.com/",
        "example.com:443",
        tuple(SubscribedEvent),
        (),
        ("nowhere",),
        (),
        WebhookFormat.STANDARD,
        enabled=True,
    )
    for owner in (None, "tenant"):
        first, second = (
            world.call(subscriptions.add, NewSubscription(uuid7(), owner, settings, SignatureScheme.V1A))
            for _ in range(2)
        )
        assert first
        assert second
        world.call(subscriptions.page, owner, second.id, PAGE)
        world.call(subscriptions.find, first.id, owner)
        world.call(subscriptions.change, first.id, SubscriptionSettings(enabled=True), owner)
        world.call(subscriptions.secrets, first.id)
        world.call(subscriptions.rotate, first.id, 60.0)
        sent = world.call(subscriptions.ping, first.id)
        assert sent
        assert world.call(deliveries.find, sent)
        assert world.call(deliveries.again, sent)
        world.call(deliveries.of_webhook, first.id, None, PAGE)
        world.call(subscriptions.note_success, first.id)
        world.call(subscriptions.note_failure, first.id, 60.0, "it is gone", gone=True)
        world.call(subscriptions.delete, second.id)


def make_rollups(world: World) -> None:
    """Count what happened, read the counts and forget the old ones."""
    assert world.call(rollups.count, PAGE) == PAGE
    for span, owner in product(Span, [None, "tenant"]):
        world.call(rollups.read, span, 60, owner, None)
    world.call(rollups.forget, PAGE)


def make_quotas(world: World) -> None:
    """Quotas of owners."""
    world.call(quotas.put, Quota("tenant", {"queued": 100}))
    world.call(quotas.publish, {"submissions": 1000})
    world.call(quotas.fold)
    world.call(quotas.read_all)
    world.call(quotas.page, "", PAGE)
    world.call(quotas.find, "tenant")
    world.call(quotas.delete, "tenant")


def make_acts(world: World) -> None:
    """Entries of the audit log."""
    with acting(Act("run_schedule", "nightly")):
        world.call(audit_log.note, Kind.SCHEDULE, str(UUID(int=1)))
        world.call(queues.change, "audited", paused=True, set_max=False, max_running=None)
    for actor, subject, owner in product((None, "nightly"), (None, "audited"), (None, "tenant")):
        world.call(audit_log.page, limit=PAGE, actor=actor, subject=subject, owner=owner)
    world.call(audit_log.forget, 86_400.0, PAGE)


def new_database(server: DebianPostgres, name: str) -> str:
    """A migrated database; its URL."""
    with closing(psycopg2.connect(server.url_of("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
    upgrade(server.url_of(name))
    return server.url_of(name)


def exercise(world: World) -> None:
    """Call every store function, those of the hot path often enough that their plans are the cached ones."""
    old = old_job(world)
    worker = world.worker(concurrency=4)
    key = "tenant-7"
    for _ in range(7):
        world.insert_many(3, fairness_key="a", priority=2)
        for claim in world.take(worker, 3, quick=["echo"]):
            world.finish(claim)
    walk_through(world, worker)
    read_lists(world, old)
    change_many(world, worker, old)
    read_feed(world)
    world.call(task_types.publish, load_tasks().all())
    world.insert_many(2, concurrency_key=key)
    world.call(concurrency_limits.put, ConcurrencyLimit(key, 1))
    world.call(limits.blocked_keys)
    world.call(limits.unblock, [key, "full"])
    for owner in (None, "tenant"):
        world.call(concurrency_limits.page, owner=owner)
        world.call(rate_limits.page, owner=owner)
        world.call(schedules.page, limit=PAGE, owner=owner)
    world.call(ownership.owns, "tenant", old.id)
    world.sql("UPDATE key_limits SET used_at = now() - interval '9 days' RETURNING key")
    world.insert_many(1, concurrency_key="unused")
    world.call(concurrency_limits.put, ConcurrencyLimit("unused-7", 2))
    world.call(concurrency_limits.forget, -60.0)
    world.call(concurrency_limits.delete, key)
    limit_rates(world, worker)
    world.limit_queue(2, "limited")
    assert len(world.take(worker, 3, queue="limited", quick=["backlog"], types=["echo", "backlog"])) == 2
    for types in (["backlog"], ["echo", "backlog"], ["unheard-of", "echo"]):
        world.take(worker, 3, queue="backlog", quick=["backlog"], types=types)
    world.call(queues.busy)
    world.refresh_low_ranks()
    world.sql("UPDATE queues SET idle_since = now() - interval '2 hours' WHERE name = 'queue-7' RETURNING name")
    world.call(queues.forget, world.call(queues.names))
    world.call(queues.page)
    world.call(queues.find, "backlog")
    world.call(queue_heads.ages, ["backlog"])
    if was := world.call(queues.find, "backlog"):
        world.call(queues.change_if, was, paused=False, set_max=False, max_running=None)
    ask_why(world)
    seal_anew(world)
    world.call(served.read)
    world.call(queue_deletion.delete, "queue-9")
    world.call(queue_demand.read)
    world.call(gauges.open_jobs)
    world.call(gauges.fleets)
    world.call(gauges.rate_blocked)
    world.call(health.commit)
    delayed = world.insert_many(5, delay_s=60)
    world.sql("UPDATE jobs SET run_at = now() WHERE id = ANY(:ids) RETURNING id", ids=delayed)
    world.promote()
    expired = world.insert()
    world.edit(expired, "expires_at = now()")
    world.call(expiry.expire)
    world.retire(job_sources.LAST_ID, 8 * 86_400.0)
    world.call(fair_turns.forget)
    keep_a_schedule(world)
    use_keys(world)
    world.call(workers.leave, worker)
    world.call(cancellations.complete_orphaned)
    lost = world.call(rescue.lost)
    assert lost
    world.release_many(lost)
    world.call(confirm)


def limit_rates(world: World, worker: UUID) -> None:
    """Start jobs of a rate key and of a queue with a rate limit, and block others."""
    world.call(rate_limits.put, RateLimit("full", 1, 60))
    limit = RateLimit("rate-7", 2, 60)
    world.call(rate_limits.put, limit)
    world.call(rate_limits.put_if, limit, limit)
    world.insert_many(4, rate_key="rate-7", queue="rated")
    for _ in range(7):
        world.call(start_permits.unblock, ["rate-7", "full"])
        world.take(worker, 1, queue="rated", types=["echo"])
    world.call(start_permits.reclaim, ["rate-7", "full"])
    world.call(start_permits.waiting)
    world.call(rate_limits.find, "rate-7")
    world.limit_rate(1, 60, "rated")
    world.insert_many(4, queue="rated")
    for _ in range(7):
        world.take(worker, 1, queue="rated", types=["echo"])
    world.call(queue_rates.waiting)
    world.call(starts.forget, 100)
    asked = world.worker("rated", "backlog")
    for queue, key in (("rated", None), ("backlog", "full")):
        assert world.call(why.explain, world.insert(queue=queue, rate_key=key))
    world.call(workers.leave, asked)
    world.call(rate_limits.put, RateLimit("unused-7", 1, 60))
    world.call(rate_limits.forget, -60.0)
    world.call(rate_limits.delete, "rate-7")


def ask_why(world: World) -> None:
    """Ask why jobs of each kind of backlog do not run, and about one that ended."""
    for queue, key in (("backlog", None), ("backlog", "full"), ("limited", None)):
        last = world.insert(task_type="backlog", queue=queue, concurrency_key=key)
        for types in (["other"], ["backlog", "echo"], None):
            asked = world.worker(queue, types=types)
            assert world.call(why.explain, last)
            world.edit(last, "suspected = 1 - suspected")
            assert world.call(why.explain, last)
            world.call(workers.leave, asked)
    assert world.call(why.explain, old_job(world).id)


def read_lists(world: World, old: JobPosition) -> None:
    """Read and count lists from every source, in every order, from their ends and from the middle of the history."""
    statuses: list[tuple[Status, ...]] = [(), *((status,) for status in Status)]
    long_ago, now = datetime.now(UTC) - timedelta(days=10), datetime.now(UTC)
    lists = product(statuses, [(), ("sleep",), ("unheard-of",)], [None, UUID(int=3)], [None, "tenant"])
    for chosen, types, schedule, owner in lists:
        wanted = JobFilter(chosen, types, schedule_id=schedule, owner=owner)
        read_list(world, wanted, old)
        world.call(counts.of_lists, wanted, PAGE)
    for wanted in (
        JobFilter(queues=("default", "limited", "unheard-of")),
        JobFilter(created_after=long_ago, created_before=now),
        JobFilter(finished_after=long_ago, finished_before=now),
        JobFilter(tags=("red",), metadata=JsonText('{"customer": 42}'), input=JsonText('{"n": 1}')),
        JobFilter(error_contains="refused"),
        JobFilter(id_prefix=old.id.hex[:9]),
        JobFilter(owner="tenant", id_prefix=old.id.hex[:9]),
        JobFilter(schedule_id=UUID(int=3), tags=("red",)),
        JobFilter(owner="tenant", tags=("red",)),
        JobFilter(owner="tenant", schedule_id=UUID(int=3), tags=("red",)),
        JobFilter(owner="tenant", finished_after=long_ago, finished_before=now),
    ):
        read_list(world, wanted, old)
        world.call(counts.step, wanted, None, candidates=PAGE)
        for action, after in product(BulkAction, [None, old.id]):
            if changeable := action.changeable(wanted):
                world.call(bulk.matching, changeable, after, limit=PAGE, candidates=PAGE)


def read_feed(world: World) -> None:
    """Read the events of all jobs, from now and from the beginning."""
    for start in (world.call(feed.head).position, FeedPosition(1)):
        world.call(feed.page, FeedFilter(), start, candidates=PAGE, max_bytes=1_000_000)


def change_many(world: World, worker: UUID, old: JobPosition) -> None:
    """Cancel and retry several jobs at once, in a request and in a job of their own."""
    waiting = world.insert_many(PAGE)
    for action in BulkAction:
        world.call(bulk.look, action, waiting)
        assert len(world.call(bulk.change, action, waiting).changes) == PAGE
        assert len(world.call(bulk.change, action, waiting, JobFilter(queues=("default",))).seen) == PAGE
    world.call(exports.values, [old.id, *waiting], PAGE)
    world.insert(queue=BULK_QUEUE, task_type=BulkAction.CANCEL.task_type)
    assert world.call(bulk_jobs.wait)
    [run] = world.take(worker, 1, queue=BULK_QUEUE, types=list(BULK_TYPES))
    step = world.call(bulk_jobs.step, run, BulkAction.CANCEL, JobFilter(tags=("none",)), None, announce=True)
    assert step is not None
    world.finish(run)


def read_list(world: World, wanted: JobFilter, old: JobPosition) -> None:
    """Read steps of a list in each order."""
    for by_finish, descending, after in product([False, True], [True, False], [None, old]):
        world.call(listing.page, wanted, JobOrder(by_finish, descending), after, limit=PAGE, candidates=PAGE)


def old_job(world: World) -> JobPosition:
    """A job in the middle of the history."""
    [row] = world.sql(
        "SELECT id, finished_at FROM jobs WHERE finished_at < now() - interval '5 days' ORDER BY id DESC LIMIT 1"
    )
    return JobPosition(UUID(str(row["id"])), row["finished_at"])


def confirm(connection: Connection) -> None:
    """What follows a commit that PostgreSQL warned of."""
    connection.execute(transactions.CONFIRM)


def walk_through(world: World, worker: UUID) -> None:
    """One job's whole life, with everything that can be asked of it."""
    job_id = world.insert()
    [claim] = world.take(worker)
    assert claim.id == job_id
    world.call(claims.holds, job_id, claim.fence, worker)
    world.call(append_events, job_id, claim.fence, [NewEvent("log", {})], progress={"done": 1})
    world.call(event_pages.page, job_id, 0, max_events=100, max_bytes=100_000)
    world.call(event_pages.ahead, {job_id: 1})
    world.call(event_pages.end, job_id)
    world.call(steps.keep, job_id, claim.fence, "step", "1")
    world.call(steps.find, job_id, "step")
    keep_files(world, job_id, claim.fence)
    keep_input_files(world)
    make_keys(world)
    make_acts(world)
    make_quotas(world)
    make_rollups(world)
    make_subscriptions(world)
    world.call(workers.running, [worker])
    world.call(workers.beat, worker, draining=False)
    world.call(workers.live)
    world.call(workers.declare_dead, {worker: 99})
    world.call(workers.forget)
    world.call(glance.look, worker, 60.0)
    world.call(promotion.some_due)
    world.call(task_types.see, load_tasks().all())
    world.call(task_types.forget)
    world.cancel(job_id)
    world.call(cancellations.open_cancels, worker)
    world.call(cancellations.acknowledge, [OpenCancel(job_id, claim.fence, 0)])
    world.call(cancellations.complete, [CompletedCancel(job_id, claim.fence, "signal")])
    assert world.retry(job_id)
    [again] = world.take(worker)
    world.finish(again, Status.FAILED)
    for read in (jobs.get, lambda connection, one: jobs.find(connection, [one])):
        world.call(read, job_id)
    world.call(events.after, job_id, 0)
    world.call(events.logs, job_id, 0, 10)
    world.call(events.output, job_id, 0, 10)
    world.call(runs.page, job_id, 0, 10)


def keep_files(world: World, job_id: UUID, fence: int) -> None:
    """Store, replace, abandon and delete files."""
    for _ in range(2):
        file = NewFile(uuid7(), "report", "text/plain")
        assert world.call(files.begin, job_id, fence, file, 100).added
        assert world.call(files.finish, job_id, fence, file, size=1, sha256="0")
    world.call(files.begin, job_id, fence, NewFile(UUID(int=7), "begun", "text/plain"), 100)
    world.call(files.discard, UUID(int=7))
    assert world.call(files.find, job_id, "report")
    assert len(world.call(files.of_job, job_id)) == 1
    world.call(files.abandon)
    doomed = world.call(files.doomed, 200)
    assert len(doomed) == 2
    world.call(files.forget, doomed)


def keep_input_files(world: World) -> None:
    """Stage, name, read, expire and delete input files."""
    staged = []
    for number in range(3):
        file_id = uuid7()
        world.call(input_files.begin, file_id, None, "text/plain", 3600.0)
        assert world.call(input_files.finish, file_id, size=1, sha256=str(number), keep_s=3600.0)
        staged.append(file_id)
    assert world.call(input_files.find_staged, staged[0], None)
    assert world.call(input_files.free_of, staged, None) == frozenset(staged)
    job = NewJobWithFiles.of(world.new(), {"a": staged[0]})
    assert isinstance(world.call(jobs_with_files.accept, job, None, None), Accepted)
    assert world.call(input_files.find, job.id, "a")
    assert len(world.call(input_files.of_job, job.id)) == 1
    assert world.call(input_files.discard, staged[1:2], None) == 1
    world.call(input_files.expire)
    doomed = world.call(input_files.doomed, 200)
    assert doomed == staged[1:2]
    world.call(input_files.forget, doomed)


def accept_with_keys(world: World) -> None:
    """Accept jobs with and without keys, and repeat one."""
    keys = [IdempotencyKey(f"{uuid7()}", "00" * 32) for _ in range(3)]
    given = [world.new(dedupe_key="live"), world.new(dedupe_key=keys[0].text), world.new(), world.new()]
    outcomes = world.call(idempotency.accept_once, list(zip(given, [*keys, None], strict=True)))
    assert len(outcomes) == 4
    [again] = world.call(idempotency.accept_once, [(world.new(), keys[1])]).values()
    assert isinstance(again, KnownJob)
    assert world.call(job_batches.find, IdempotencyKey("unused", "00" * 32)) is None
    batch = JobBatch((), json_text.rows([world.new(dedupe_key="live"), world.new()]), "[]")
    for accepted in (1, 0):
        outcome = world.call(job_batches.accept, batch, IdempotencyKey(f"{keys[0].text}-batch", "00" * 32))
        assert len(outcome.accepted) == accepted


def use_keys(world: World) -> None:
    """Use and forget idempotency keys and dedupe keys."""
    world.insert(dedupe_key="live")
    for _ in range(7):
        accept_with_keys(world)
    key = IdempotencyKey("once", "00" * 32)
    answer = StoredAnswer(200, "/here", "{}")
    for done in (True, None):
        assert world.call(idempotency.once, key, lambda _: (answer, True)) == (answer, done)
    assert world.call(idempotency.is_used, key.text)
    assert world.call(idempotency.forget, 8 * 86_400.0, 100) == 100


def keep_a_schedule(world: World) -> None:
    """Make, change, fire and forget a schedule."""
    at = datetime.now(UTC) - timedelta(seconds=1)
    plan = Plan("nightly", "0 3 * * *", "UTC", Overlap.CANCEL_OTHER, MissedRuns.SKIP, 10, None, False, {}, {})
    schedule = world.call(schedules.insert, UUID(int=2), plan, at)
    assert schedule is not None
    for key in (schedule.id, "nightly"):
        assert world.call(schedules.get, key)
    world.call(schedules.page, limit=9)
    world.call(schedules.due, 9)
    world.call(schedules.due_in_s)
    job = world.new(schedule_id=schedule.id, scheduled_for=at)
    firing = Firing(schedule.id, schedule.version, at, Overlap.CANCEL_OTHER, (job,), 0, 0, None)
    assert world.call(firings.fire, [firing]).accepted
    world.call(schedules.fail, schedule, "no")
    world.call(schedules.update, schedule, plan, moves=False, next_at=None)
    world.call(schedules.delete, schedule.id)


def seal_anew(world: World) -> None:
    """Give the sealed inputs of a job and of a schedule another key."""
    world.insert(sealed="old.token", delay_s=3600.0)
    job = {"input": {}, "sealed": "old.other"}
    plan = Plan("sealed", "0 3 * * *", "UTC", Overlap.SKIP, MissedRuns.SKIP, 10, None, True, {}, job)
    assert world.call(schedules.insert, UUID(int=3), plan, None)
    for find, replace in (
        (sealed_inputs.of_jobs, sealed_inputs.replace_in_jobs),
        (sealed_inputs.of_schedules, sealed_inputs.replace_in_schedules),
    ):
        found = world.call(find, "new", sealed_inputs.FIRST, 9)
        assert world.call(replace, dict.fromkeys(found, "new.token")) == 1
        assert not world.call(find, "new", sealed_inputs.FIRST, 9)


def record(server: DebianPostgres, name: str, count: int, statistics: history.Statistics = "fresh") -> Recorder:
    """The plans of the same work beside a history of `count` ended jobs."""
    url = new_database(server, name)
    if statistics != "fresh":
        for table in ("jobs", "job_events", "job_files", "input_files", "idempotency_keys", "queues"):
            execute(url, f"ALTER TABLE longrun.{table} SET (autovacuum_enabled = off)")
    backlog = history.BACKLOG if statistics == "fresh" else CROWD
    history.make(url, count, "longrun", backlog=backlog, statistics=statistics)
    recorder = Recorder()
    with World(url) as world, recorder.recording(world.db):
        exercise(world)
    return recorder


@pytest.fixture(scope="module")
def short(explaining: DebianPostgres) -> Recorder:
    return record(explaining, "short", SHORT)


@pytest.fixture(scope="module")
def long(explaining: DebianPostgres) -> Recorder:
    return record(explaining, "long", LONG)


@pytest.fixture(scope="module")
def unanalysed(explaining: DebianPostgres) -> Recorder:
    return record(explaining, "unanalysed", LONG, "none")


@pytest.fixture(scope="module")
def outdated(explaining: DebianPostgres) -> Recorder:
    return record(explaining, "outdated", LONG, "outdated")


def test_every_statement_of_the_store_is_tried(short: Recorder) -> None:
    assert set(plans.statements().values()) - set(short.plans) == set()
    assert sum(map(len, short.plans.values())) > 100, "auto_explain reports"


def test_no_statement_is_dear_enough_to_be_compiled(short: Recorder, long: Recorder) -> None:
    dear = {
        name: plan.text
        for recorder in (short, long)
        for name, found in recorder.plans.items()
        for plan in found
        if plan.cost >= COMPILES_FROM * (100 if name in COUNTS_MANY else 1)
    }
    assert not dear, "\n".join(f"{name}\n{text}" for name, text in dear.items())


def test_no_statement_is_compiled_whatever_its_cost(
    short: Recorder, long: Recorder, unanalysed: Recorder, outdated: Recorder
) -> None:
    compiled = {
        name
        for recorder in (short, long, unanalysed, outdated)
        for name, found in recorder.plans.items()
        for plan in found
        if plan.text.startswith("JIT")
    }
    assert not compiled
    dearest = max(plan.cost for found in unanalysed.plans.values() for plan in found)
    assert dearest >= COMPILES_FROM, "PostgreSQL would have compiled something"


def test_no_statement_reads_a_large_table_as_a_whole(long: Recorder, unanalysed: Recorder, outdated: Recorder) -> None:
    scans = {
        name: plan.text
        for recorder in (long, unanalysed, outdated)
        for name, found in recorder.plans.items()
        for plan in found
        if plan.scanned & LARGE
    }
    assert not scans, "\n".join(f"{name}\n{text}" for name, text in scans.items())


def test_no_statement_reads_more_blocks_with_a_long_history(short: Recorder, long: Recorder) -> None:
    grown = grown_beside(short, long)
    assert not grown, "\n".join(grown)


def test_no_statement_reads_more_blocks_where_there_are_no_statistics(short: Recorder, unanalysed: Recorder) -> None:
    grown = grown_beside(short, unanalysed, UNSEEN)
    assert not grown, "\n".join(grown)


def test_no_statement_reads_more_blocks_for_what_came_after_the_statistics(short: Recorder, outdated: Recorder) -> None:
    grown = grown_beside(short, outdated, UNSEEN)
    assert not grown, "\n".join(grown)


def grown_beside(short: Recorder, long: Recorder, slack: int = SLACK) -> list[str]:
    """The statements that read more than twice as many blocks, with their plans."""
    most = {
        name: (max(plan.blocks for plan in short.plans[name]), max(long.plans[name], key=lambda plan: plan.blocks))
        for name in long.plans
        if long.plans[name] and short.plans[name]
    }
    return [
        f"{name}: {before} → {plan.blocks}\n{plan.text}"
        for name, (before, plan) in most.items()
        if plan.blocks > 2 * before + slack + COUNTS_TO.get(name, 0)
    ]


def test_a_plan_made_while_the_tables_were_empty_stays_cheap_when_they_grow(
    explaining: DebianPostgres,
) -> None:
    url = new_database(explaining, "grown")
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        for statement in ("VACUUM (ANALYZE)", "ALTER TABLE jobs SET (autovacuum_enabled = off)"):
            connection.cursor().execute(statement)
    early, late = Recorder(), Recorder()
    with World(url, pool_size=1) as world:

        def hot() -> None:
            worker = world.worker(concurrency=4)
            world.insert_many(3, fairness_key="a", priority=2)
            for claim in world.take(worker, 3, quick=["echo"]):
                world.finish(claim)
            accept_with_keys(world)

        with early.recording(world.db):
            hot()
        history.make(url, SHORT, "longrun", statistics="none")
        with late.recording(world.db):
            hot()
    for name in (
        "jobs.INSERT",
        "idempotency.ACCEPT_ONCE",
        "idempotency.ACCEPT_KEYED",
        "claims.CLAIM",
        "outcomes.FINISH",
    ):
        assert late.plans[name], name
        for plan in late.plans[name]:
            assert plan.blocks < 300, f"{name}: {plan.blocks} blocks\n{plan.text}"
