"""The rows of input files. The bytes are elsewhere (`jobcore.files`), and a file goes this way:

    begin       a row; the bytes are being uploaded, in no transaction
    finish      its bytes are durable: it is staged, and one submission may name it
    give        it belongs to the job of that submission, from the transaction on that makes the job
    expire      nobody named it in time, or its upload has not ended: the keeper deletes it
    forget      the row of a file whose bytes the keeper has deleted

So there are no bytes without a row, no accepted job without its input files, and no file that belongs to two jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import InputFileUse, JobFile, StagedFile
from jobcore.store import files, json_text
from jobcore.store.ownership import OWNED
from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_STAGED: Final = Rows(StagedFile)

UNFINISHED: Final = "interval '15 minutes'"
"""How long after its time an unfinished upload is deleted: longer than a last request to the store of files may take"""
FREE: Final = f"name IS NULL AND stored_at IS NOT NULL AND delete_at IS NULL AND expires_at > now() AND {OWNED}"
"""Whether a submission of the caller may name a row."""

BEGIN: Final = text(
    DURABLE
    + """
INSERT INTO input_files (id, owner, media_type, expires_at)
VALUES (:id, :owner, :media_type, now() + make_interval(secs => :keep_s))
-- it was added before and the reply was lost
ON CONFLICT (id) DO NOTHING
"""
)


def begin(connection: Connection, file_id: UUID, owner: str | None, media_type: str, keep_s: float) -> None:
    """Add the row of a file whose upload begins, and may last `keep_s` seconds."""
    connection.execute(BEGIN, {"id": file_id, "owner": owner, "media_type": media_type, "keep_s": keep_s})


FINISH: Final = text(
    DURABLE
    + f"""
UPDATE input_files SET stored_at = coalesce(stored_at, now()), size = :size, sha256 = :sha256,
    expires_at = now() + make_interval(secs => :keep_s)
WHERE id = :id AND name IS NULL AND delete_at IS NULL
RETURNING {_STAGED.columns}
"""
)


def finish(connection: Connection, file_id: UUID, *, size: int, sha256: str, keep_s: float) -> StagedFile | None:
    """Stage a file whose bytes are durable, for `keep_s` seconds; None if its upload took too long."""
    parameters = {"id": file_id, "size": size, "sha256": sha256, "keep_s": keep_s}
    return next(iter(_STAGED.read(connection.execute(FINISH, parameters))), None)


FIND_STAGED: Final = text(f"SELECT {_STAGED.columns} FROM input_files WHERE id = :id AND {FREE}")


def find_staged(connection: Connection, file_id: UUID, owner: str | None) -> StagedFile | None:
    """The file, if a submission of this owner may name it."""
    return next(iter(_STAGED.read(connection.execute(FIND_STAGED, {"id": file_id, "owner": owner}))), None)


FREE_OF: Final = text(f"SELECT id FROM input_files WHERE id = ANY(:ids) AND {FREE}")


def free_of(connection: Connection, ids: Collection[UUID], owner: str | None) -> frozenset[UUID]:
    """Those of these files that a submission of this owner may name."""
    return frozenset(connection.execute(FREE_OF, {"ids": list(ids), "owner": owner}).scalars())


DISCARD: Final = text(
    DURABLE + f"UPDATE input_files SET delete_at = now() WHERE id = ANY(:ids) AND name IS NULL AND {OWNED} RETURNING id"
)


def discard(connection: Connection, ids: Sequence[UUID], owner: str | None) -> int:
    """Have the keeper delete files that no submission has named; returns how many."""
    return connection.execute(DISCARD, {"ids": list(ids), "owner": owner}).rowcount


GIVE: Final = text(
    DURABLE
    + f"""
-- in one order, so that two submissions that name the same files do not wait for each other
SELECT FROM input_files WHERE id = ANY(:ids) ORDER BY id FOR UPDATE;
UPDATE input_files SET job_id = new_job, name = called
FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS given (file_id uuid, new_job uuid, called text)
WHERE id = file_id AND id = ANY(:ids) AND {FREE}
RETURNING id
"""
)


def give_inside(connection: Connection, uses: Sequence[InputFileUse], owner: str | None) -> None:
    """Give staged files to the jobs that the transaction of the caller makes.

    Raises InvalidInput, which names each file that cannot be used, so that no job is made.
    """
    if not uses:
        return
    given = [{"file_id": use.file_id, "new_job": use.job_id, "called": use.name} for use in uses]
    parameters = {"given": json_text.dumps(given), "ids": [use.file_id for use in uses], "owner": owner}
    done = frozenset(connection.execute(GIVE, parameters).scalars())
    if missing := [unusable(use) for use in uses if use.file_id not in done]:
        raise InvalidInput(*missing)


def unusable(use: InputFileUse) -> FieldError:
    """What is wrong with the use of a file that is not there for it."""
    return FieldError(
        use.field,
        f"no file with the id {use.file_id} waits for a submission: it was never uploaded as a whole, another task has "
        "it, or it has expired; upload it again with POST /files",
    )


OF_JOB: Final = text(f"SELECT {files.FILES.columns} FROM input_files WHERE job_id = :job_id ORDER BY name")


def of_job(connection: Connection, job_id: UUID) -> list[JobFile]:
    """The input files of the job by name; [] also if there is no such job."""
    return files.FILES.read(connection.execute(OF_JOB, {"job_id": job_id}))


AS_JSON: Final = f"{files.LISTED} FROM input_files WHERE job_id = jobs.id"
"""The input files of a row of `jobs` as JSON text; NULL if it has none."""

FIND: Final = text(f"SELECT {files.FILES.columns} FROM input_files WHERE job_id = :job_id AND name = :name")


def find(connection: Connection, job_id: UUID, name: str) -> JobFile | None:
    """The input file of that name, if the job has one."""
    return next(iter(files.FILES.read(connection.execute(FIND, {"job_id": job_id, "name": name}))), None)


EXPIRE: Final = text(
    ORDERED
    + DURABLE
    + f"""
UPDATE input_files SET delete_at = now() + CASE WHEN stored_at IS NULL THEN {UNFINISHED} ELSE interval '0' END
WHERE id = ANY(ARRAY(SELECT id FROM input_files WHERE name IS NULL AND delete_at IS NULL AND expires_at <= now()
                     ORDER BY expires_at LIMIT 1000
                     -- a transaction of an application may hold a file that it has named for hours
                     FOR UPDATE SKIP LOCKED))
"""
)


def expire(connection: Connection) -> int:
    """Have files deleted that no submission has named in time; returns how many."""
    return connection.execute(EXPIRE).rowcount


DOOMED: Final = text(
    ORDERED
    + """
(SELECT id FROM input_files WHERE delete_at <= now() ORDER BY delete_at LIMIT :limit)
UNION
(SELECT id FROM input_files WHERE job_id IS NULL AND name IS NOT NULL ORDER BY id LIMIT :limit)
LIMIT :limit
"""
)


def doomed(connection: Connection, limit: int) -> list[UUID]:
    """Files whose bytes are to be deleted now: expired, discarded, or of jobs that were deleted."""
    return list(connection.execute(DOOMED, {"limit": limit}).scalars())


FORGET: Final = text(DURABLE + "DELETE FROM input_files WHERE id = ANY(:ids)")


def forget(connection: Connection, ids: Sequence[UUID]) -> None:
    """Delete the rows of files whose bytes are deleted."""
    connection.execute(FORGET, {"ids": list(ids)})
