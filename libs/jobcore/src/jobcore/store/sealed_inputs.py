"""Sealed inputs, in jobs and in schedules, that get another key: a bounded number at a time, in order of their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.sealing.keys import END_OF_ID
from jobcore.store import json_text
from jobcore.store.transactions import DURABLE

FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SealedInput:
    """A sealed input of the job or schedule with this id."""

    id: UUID
    sealed: str


OF_JOBS: Final = text(f"""
SELECT id, sealed FROM jobs
WHERE sealed IS NOT NULL AND id > :after AND split_part(sealed, '{END_OF_ID}', 1) <> :key_id ORDER BY id LIMIT :limit
""")
OF_SCHEDULES: Final = text(f"""
SELECT id, job ->> 'sealed' AS sealed FROM schedules
WHERE jsonb_exists(job, 'sealed') AND id > :after AND split_part(job ->> 'sealed', '{END_OF_ID}', 1) <> :key_id
ORDER BY id LIMIT :limit
""")


def of_jobs(connection: Connection, key_id: str, after: UUID, limit: int) -> list[SealedInput]:
    """Inputs of jobs that were sealed with another key than this one, behind the id `after`."""
    found = connection.execute(OF_JOBS, {"key_id": key_id, "after": after, "limit": limit})
    return [SealedInput(row.id, row.sealed) for row in found]


def of_schedules(connection: Connection, key_id: str, after: UUID, limit: int) -> list[SealedInput]:
    """`of_jobs`, of the tasks of schedules."""
    found = connection.execute(OF_SCHEDULES, {"key_id": key_id, "after": after, "limit": limit})
    return [SealedInput(row.id, row.sealed) for row in found]


CHANGED: Final = "jsonb_to_recordset(CAST(:changed AS jsonb)) AS changed (id uuid, before text, after text)"
IN_JOBS: Final = text(f"""{DURABLE}
UPDATE jobs SET sealed = after FROM {CHANGED} WHERE jobs.id = changed.id AND sealed = before
""")
# the number of the version stays: for clients, nothing has changed
IN_SCHEDULES: Final = text(f"""{DURABLE}
UPDATE schedules SET job = CAST(replace(CAST(job AS text), before, after) AS jsonb),
    job_exact = replace(job_exact, before, after)
FROM {CHANGED} WHERE schedules.id = changed.id AND job ->> 'sealed' = before
""")


def replace_in_jobs(connection: Connection, changed: Mapping[SealedInput, str]) -> int:
    """Store inputs that were sealed anew, unless they have changed meanwhile; returns how many were stored."""
    return connection.execute(IN_JOBS, {"changed": _rows(changed)}).rowcount


def replace_in_schedules(connection: Connection, changed: Mapping[SealedInput, str]) -> int:
    """`replace_in_jobs`, of the tasks of schedules."""
    return connection.execute(IN_SCHEDULES, {"changed": _rows(changed)}).rowcount


def _rows(changed: Mapping[SealedInput, str]) -> str:
    return json_text.dumps(
        [{"id": each.id, "before": each.sealed, "after": sealed} for each, sealed in changed.items()]
    )
