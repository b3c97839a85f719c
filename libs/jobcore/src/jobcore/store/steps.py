"""The results of a job's steps. Each is stored once, by a run that still has its claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.transactions import DURABLE


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is done, with its stored result."""

    result: Any


RESULT: Final = json_text.stored("result")

FIND: Final = text(f"SELECT {RESULT} AS result FROM job_steps WHERE job_id = :job_id AND name = :name")


def find(connection: Connection, job_id: UUID, name: str) -> Step | None:
    """The step, if any run of the job has done it."""
    row = connection.execute(FIND, {"job_id": job_id, "name": name}).first()
    return Step(json_text.loads(row.result)) if row else None


KEEP: Final = text(
    DURABLE
    + f"""
WITH claimed AS (
    SELECT id, attempt FROM jobs WHERE id = :job_id AND fence = :fence AND status = 'RUNNING' FOR NO KEY UPDATE
)
INSERT INTO job_steps AS kept (job_id, name, attempt, result, result_exact)
SELECT id, :name, attempt, CAST(:result AS jsonb), :result_exact FROM claimed
-- it was stored before and the reply was lost: this returns what is stored
ON CONFLICT (job_id, name) DO UPDATE SET name = kept.name
RETURNING {RESULT} AS result
"""
)


def keep(connection: Connection, job_id: UUID, fence: int, name: str, result: str) -> Step | None:
    """Store the result (JSON text) of a step that has none, and return the step as it is stored.

    None if the run lost its claim.
    """
    parameters = {"job_id": job_id, "fence": fence, "name": name, "result": result}
    row = connection.execute(KEEP, parameters | {"result_exact": json_text.exact(result)}).first()
    return Step(json_text.loads(row.result)) if row else None
