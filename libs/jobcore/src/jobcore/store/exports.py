"""What an export reads of its tasks: inputs, results and files, up to a bound of bytes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store import files, json_text
from jobcore.store.prepared import ORDERED

ONE: Final = f"""
SELECT {json_text.stored("input")} AS input, {json_text.stored("result")} AS result,
       CAST(({files.AS_JSON}) AS text) AS files
FROM jobs WHERE id = given.id
"""
BYTES: Final = """
coalesce(octet_length(one.input), 0) + coalesce(octet_length(one.result), 0) + coalesce(octet_length(one.files), 0)
"""

# one after the other, so that no value behind the bound is read
VALUES: Final = text(f"""{ORDERED}
WITH RECURSIVE given AS MATERIALIZED (
    SELECT id, number FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS given (id, number)
), page AS (
    SELECT given.number, given.id, one.input, one.result, one.files, CAST({BYTES} AS bigint) AS bytes
    FROM given LEFT JOIN LATERAL ({ONE}) AS one ON true WHERE given.number = 1
    UNION ALL
    SELECT given.number, given.id, one.input, one.result, one.files, page.bytes + {BYTES}
    FROM page JOIN given ON given.number = page.number + 1 LEFT JOIN LATERAL ({ONE}) AS one ON true
    WHERE page.bytes < :max_bytes
)
SELECT id, input, result, files FROM page ORDER BY number
""")


@dataclass(frozen=True, slots=True)
class Values:
    """The JSON texts of a job's values. `input` is None if the job was deleted meanwhile."""

    id: UUID
    input: str | None
    result: str | None
    files: str | None


def values(connection: Connection, ids: Sequence[UUID], max_bytes: int) -> list[Values]:
    """The values of the first of these jobs: as many as `max_bytes` bound, but for the last one, and at least one."""
    rows = connection.execute(VALUES, {"ids": list(ids), "max_bytes": max_bytes})
    return [Values(row.id, row.input, row.result, row.files) for row in rows]
