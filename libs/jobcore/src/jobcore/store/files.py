"""The rows of result files. The bytes are elsewhere (`jobcore.files`), so each file has three steps:

    begin       a row that is not stored yet; without its claim, a run gets none
                … the bytes are written, in no transaction …
    finish      the row is stored, and the file of that name before it is to be deleted: readers see one or the other
    forget      the row of a file whose bytes the keeper has deleted

So there are no bytes without a row, and no stored row without bytes, whatever dies in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import JobFile, NewFile
from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

FILES: Final = Rows(JobFile)

CLAIMED: Final = "SELECT FROM jobs WHERE id = :job_id AND fence = :fence AND status = 'RUNNING'"
VISIBLE: Final = "stored_at IS NOT NULL AND delete_at IS NULL"
ABANDONED: Final = "interval '15 minutes'"
"""How long after the end of its run an unfinished file is deleted: longer than a last request of the run may take."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Whether the run has its claim, and whether its job may have another file."""

    claimed: bool
    added: bool


BEGIN: Final = text(
    DURABLE
    + f"""
WITH claimed AS (
    SELECT id, owner FROM jobs WHERE id = :job_id AND fence = :fence AND status = 'RUNNING' FOR NO KEY UPDATE
), added AS (
    INSERT INTO job_files (id, job_id, fence, name, media_type, owner)
    SELECT :id, id, :fence, :name, :media_type, owner FROM claimed
    WHERE (SELECT count(*) FROM job_files WHERE job_id = :job_id AND name <> :name AND delete_at IS NULL
           AND ({VISIBLE} OR fence = :fence)) < :max_files
    -- it was added before and the reply was lost
    ON CONFLICT (id) DO UPDATE SET id = excluded.id
    RETURNING id
)
SELECT EXISTS (SELECT FROM claimed) AS claimed, EXISTS (SELECT FROM added) AS added
"""
)


def begin(connection: Connection, job_id: UUID, fence: int, file: NewFile, max_files: int) -> Begun:
    """Add the row of a file that the run is about to write, unless its job has `max_files` others."""
    parameters = {"job_id": job_id, "fence": fence, "max_files": max_files}
    given = {"id": file.id, "name": file.name, "media_type": file.media_type}
    row = connection.execute(BEGIN, parameters | given).one()
    return Begun(row.claimed, row.added)


FINISH: Final = text(
    DURABLE
    + f"""
{CLAIMED} FOR NO KEY UPDATE;
UPDATE job_files SET delete_at = now()
WHERE job_id = :job_id AND name = :name AND id <> :id AND {VISIBLE} AND EXISTS ({CLAIMED});
UPDATE job_files SET stored_at = coalesce(stored_at, now()), size = :size, sha256 = :sha256
WHERE id = :id AND delete_at IS NULL AND EXISTS ({CLAIMED})
RETURNING {FILES.columns}
"""
)


def finish(
    connection: Connection, job_id: UUID, fence: int, file: NewFile, *, size: int, sha256: str
) -> JobFile | None:
    """Make a file visible whose bytes are durable, in place of the one of its name; None if the run lost its claim."""
    parameters = {"job_id": job_id, "fence": fence, "id": file.id, "name": file.name, "size": size, "sha256": sha256}
    found = FILES.read(connection.execute(FINISH, parameters))
    return found[0] if found else None


DISCARD: Final = text(DURABLE + "UPDATE job_files SET delete_at = now() WHERE id = :id AND stored_at IS NULL")


def discard(connection: Connection, file_id: UUID) -> None:
    """Have the keeper delete a file that could not be written."""
    connection.execute(DISCARD, {"id": file_id})


OF_JOB: Final = text(f"SELECT {FILES.columns} FROM job_files WHERE job_id = :job_id AND {VISIBLE} ORDER BY name")


def of_job(connection: Connection, job_id: UUID) -> list[JobFile]:
    """The files of the job by name; [] also if there is no such job."""
    return FILES.read(connection.execute(OF_JOB, {"job_id": job_id}))


LISTED: Final = """
SELECT CAST(json_agg(json_build_object('name', name, 'size', size, 'media_type', media_type, 'sha256', sha256,
    'created_at', to_char(stored_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US"Z"')) ORDER BY name) AS text)
"""
"""Files of a job as JSON text, without the FROM; NULL if there are none."""

AS_JSON: Final = f"{LISTED} FROM job_files WHERE job_id = jobs.id AND {VISIBLE}"
"""The files of a row of `jobs` as JSON text; NULL if it has none."""

FIND: Final = text(f"SELECT {FILES.columns} FROM job_files WHERE job_id = :job_id AND name = :name AND {VISIBLE}")


def find(connection: Connection, job_id: UUID, name: str) -> JobFile | None:
    """The file of that name, if the job has one."""
    found = FILES.read(connection.execute(FIND, {"job_id": job_id, "name": name}))
    return found[0] if found else None


ABANDON: Final = text(
    ORDERED
    + DURABLE
    + f"""
UPDATE job_files SET delete_at = now() + {ABANDONED}
WHERE id = ANY(ARRAY(SELECT id FROM job_files WHERE stored_at IS NULL AND delete_at IS NULL ORDER BY id LIMIT 1000))
  AND stored_at IS NULL AND delete_at IS NULL
  AND NOT EXISTS (SELECT FROM jobs WHERE id = job_files.job_id AND fence = job_files.fence AND status = 'RUNNING')
"""
)


def abandon(connection: Connection) -> int:
    """Have unfinished files deleted whose run has ended; returns how many."""
    return connection.execute(ABANDON).rowcount


DOOMED: Final = text(
    ORDERED
    + """
(SELECT id FROM job_files WHERE delete_at <= now() ORDER BY delete_at LIMIT :limit)
UNION
(SELECT id FROM job_files WHERE job_id IS NULL AND stored_at IS NOT NULL ORDER BY id LIMIT :limit)
LIMIT :limit
"""
)


def doomed(connection: Connection, limit: int) -> list[UUID]:
    """Files whose bytes are to be deleted now: replaced, not finished, or of jobs that were deleted."""
    return list(connection.execute(DOOMED, {"limit": limit}).scalars())


FORGET: Final = text(DURABLE + "DELETE FROM job_files WHERE id = ANY(:ids)")


def forget(connection: Connection, ids: Sequence[UUID]) -> None:
    """Delete the rows of files whose bytes are deleted."""
    connection.execute(FORGET, {"ids": list(ids)})
