"""Cursors of task lists: the position of a page's last task, bound to the filter and the order of the list."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from jobcore.models import JobFilter, JobOrder, JobPosition
from longrun_api import cursors

MARK_BYTES: Final = 6
ID_BYTES: Final = 16
TIME_BYTES: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def encode(position: JobPosition, wanted: JobFilter, order: JobOrder) -> str:
    """The cursor that continues a list behind this position."""
    at = position.finished_at
    time = b"" if at is None else ((at - EPOCH) // MICROSECOND).to_bytes(TIME_BYTES, signed=True)
    return cursors.to_text(_mark(wanted, order) + position.id.bytes + time)


def decode(cursor: str, wanted: JobFilter, order: JobOrder) -> JobPosition:
    """The position of a cursor; raises InvalidInput if it is none, or belongs to another filter or order."""

    def read(data: bytes) -> JobPosition | None:
        mark, rest = data[:MARK_BYTES], data[MARK_BYTES:]
        job_id, time = UUID(bytes=rest[:ID_BYTES]), rest[ID_BYTES:]
        if mark != _mark(wanted, order) or len(time) != (TIME_BYTES if order.by_finish else 0):
            return None
        at = EPOCH + int.from_bytes(time, signed=True) * MICROSECOND if time else None
        return JobPosition(job_id, at)

    if position := cursors.from_text(cursor, read):
        return position
    raise cursors.refused(
        "belongs to a list with another filter or sort: repeat the parameters of its page, or leave it out"
    )


def _mark(wanted: JobFilter, order: JobOrder) -> bytes:
    """A hash of the conditions that are set, so that new ones leave the cursors of older versions valid."""
    given = sorted((name, str(value)) for name, value in asdict(wanted).items() if value not in (None, ()))
    return hashlib.blake2b(repr((given, asdict(order))).encode(), digest_size=MARK_BYTES).digest()
