"""The results of a job's steps: each is stored once, by a run that still has its claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.database import DURABLE


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is done, and its result as PostgreSQL keeps it."""

    result: Any


RESULT: Final = json_text.stored("result")

FIND: Final = text(f"SELECT {RESULT} FROM job_steps WHERE job_id = :job_id AND name = :name")


def find(connection: Connection, job_id: UUID, name: str) -> Step | None:
    """The step if it was done, by whichever run."""
    row = connection.execute(FIND, {"job_id": job_id, "name": name}).first()
    return Step(json_text.loads(row[0])) if row else None


KEEP: Final = text(
    DURABLE
    + f"""
WITH claimed AS (
    SELECT id, attempt FROM jobs WHERE id = :job_id AND fence = :fence AND status = 'RUNNING' FOR NO KEY UPDATE
)
INSERT INTO job_steps AS kept (job_id, name, attempt, result, result_exact)
SELECT id, :name, attempt, CAST(:result AS jsonb), :result_exact FROM claimed
-- stored before and its reply lost: this gives back what is there
ON CONFLICT (job_id, name) DO UPDATE SET name = kept.name
RETURNING {RESULT}
"""
)


def keep(connection: Connection, job_id: UUID, fence: int, name: str, result: str) -> Step | None:
    """Store a step's result, JSON text, unless it has one; the step as it is stored, None if the run lost its claim."""
    parameters = {"job_id": job_id, "fence": fence, "name": name, "result": result}
    row = connection.execute(KEEP, parameters | {"result_exact": json_text.exact(result)}).first()
    return Step(json_text.loads(row[0])) if row else None
