"""Whose jobs there are. The owner of a job never changes, so whoever has looked once may act later."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

OWNED: Final = "(CAST(:owner AS text) IS NULL OR owner = CAST(:owner AS text))"
"""Whether a row with a column `owner` is of the owner `:owner`; NULL: of anyone."""

OF_KEY: Final = "strpos({key}, chr(31)) > 0 AND split_part({key}, chr(31), 1) = CAST(:owner AS text)"
"""Whether the stored key in the column `{key}` is of the owner `:owner`, as the indexes of keys by owner say it."""

OWNS: Final = text("SELECT EXISTS (SELECT FROM jobs WHERE id = :id AND owner = :owner)")


def owns(connection: Connection, owner: str, job_id: UUID) -> bool:
    """Whether there is such a job and it is of this owner."""
    return bool(connection.execute(OWNS, {"id": job_id, "owner": owner}).scalar_one())
