"""Jobs that carry out bulk actions: each batch commits together with the checkpoint that says it is done.

So whatever process dies, the next run continues behind the last batch, no job is counted twice, and none is missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, text

from jobcore.models import BULK_QUEUE, Batch, BulkAction, Change, Claim, Event, JobFilter, JsonText, NewEvent, Tally
from jobcore.states import Status
from jobcore.store import bulk, json_text
from jobcore.store.appends import append_inside
from jobcore.store.bulk import Changed
from jobcore.store.prepared import ORDERED
from jobcore.store.ready_jobs import OF_TYPE
from jobcore.store.transactions import transaction

LIMIT: Final = 500
"""The most jobs that one batch changes; it holds their rows for some ten milliseconds."""
CANDIDATES: Final = 2000
"""The most jobs that one batch looks at."""

WAIT: Final = text(f"""{ORDERED}
SELECT NOT EXISTS (SELECT FROM queues WHERE name = :queue AND paused) AND EXISTS (
    SELECT FROM unnest(CAST(:types AS text[])) AS type CROSS JOIN LATERAL (
        SELECT FROM jobs WHERE {OF_TYPE.format(queue="CAST(:queue AS text)", task_type="type")} LIMIT 1
    ) AS first
)
""")


def wait(connection: Connection) -> bool:
    """Whether a job that carries out a bulk action waits for a run."""
    types = [action.task_type for action in BulkAction]
    return bool(connection.execute(WAIT, {"queue": BULK_QUEUE, "types": types}).scalar_one())


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that is committed: its transitions, the tally after it, and whether it was the last one.

    `event` is the progress that it stored.
    """

    changes: list[Change]
    tally: Tally
    ended: bool
    event: Event | None


LOCK: Final = text(f"""
SELECT {json_text.stored("checkpoint", changes=True)} AS checkpoint, created_at, attempt FROM jobs
WHERE id = :id AND fence = :fence AND status = 'RUNNING' FOR UPDATE
""")


def step(
    connection: Connection, run: Claim, action: BulkAction, wanted: JobFilter, total: int | None, *, announce: bool
) -> Step | None:
    """Change the next jobs of the filter that were created before the run's job; None if the run lost its claim.

    With `announce`, the progress is stored as an event too.
    """
    with transaction(connection):
        row = connection.execute(LOCK, {"id": run.id, "fence": run.fence}).first()
        if row is None:
            return None
        before = min(filter(None, (wanted.created_before, row.created_at)))
        wanted = replace(wanted, created_before=before)
        tally = Tally.of(json_text.loads(row.checkpoint))
        changeable = action.changeable(wanted)
        if changeable is None:
            return Step([], tally, ended=True, event=None)
        found = bulk.matching(connection, changeable, tally.after, limit=LIMIT, candidates=CANDIDATES)
        done = bulk.change(connection, action, found.ids, wanted) if found.ids else Changed([], [])
        skipped = Counter(seen.status for seen in done.seen if not seen.changed)
        tally = tally.passed(found.reached, len(done.changes), skipped)
        progress = _progress(tally, total)
        events = (NewEvent("progress", progress),) if announce or found.ended else ()
        batch = Batch(run.id, run.fence, None, events, progress, JsonText(json_text.dumps(tally.checkpoint())))
        stored = append_inside(connection, batch)
        if stored is None:
            raise AssertionError("the row of the run is locked")
    event = Event(stored.last_seq, stored.at, row.attempt, "progress", progress) if events else None
    return Step(list(done.changes), tally, found.ended, event)


def _progress(tally: Tally, total: int | None) -> Mapping[str, Any]:
    skips: Counter[Status] = tally.skips
    done = tally.changed + skips.total()
    message = f"{tally.changed:,} changed, {skips.total():,} skipped"
    return {"done": done, "total": None if total is None else max(total, done), "message": message}
