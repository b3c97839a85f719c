"""Cursors of task lists: the position of a page's last task, bound to the filter and the order of the list."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import JobFilter, JobOrder, JobPosition

MARK_BYTES: Final = 6
ID_BYTES: Final = 16
TIME_BYTES: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def encode(position: JobPosition, wanted: JobFilter, order: JobOrder) -> str:
    """The cursor that continues a list behind this position."""
    at = position.finished_at
    time = b"" if at is None else ((at - EPOCH) // MICROSECOND).to_bytes(TIME_BYTES, signed=True)
    return base64.urlsafe_b64encode(_mark(wanted, order) + position.id.bytes + time).rstrip(b"=").decode()


def decode(cursor: str, wanted: JobFilter, order: JobOrder) -> JobPosition:
    """The position of a cursor; raises InvalidInput if it is none, or belongs to another filter or order."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, rest = data[:MARK_BYTES], data[MARK_BYTES:]
        job_id, time = UUID(bytes=rest[:ID_BYTES]), rest[ID_BYTES:]
        if mark == _mark(wanted, order) and len(time) == (TIME_BYTES if order.by_finish else 0):
            at = EPOCH + int.from_bytes(time, signed=True) * MICROSECOND if time else None
            return JobPosition(job_id, at)
    except (ValueError, OverflowError, binascii.Error):
        raise _refused("is not a cursor of this API: pass `next` of a page unchanged") from None
    raise _refused("belongs to a list with another filter or sort: repeat the parameters of its page, or leave it out")


def _refused(message: str) -> InvalidInput:
    return InvalidInput(FieldError("cursor", message))


def _mark(wanted: JobFilter, order: JobOrder) -> bytes:
    """A hash of the conditions that are set, so that new ones leave the cursors of older versions valid."""
    given = sorted((name, str(value)) for name, value in asdict(wanted).items() if value not in (None, ()))
    return hashlib.blake2b(repr((given, asdict(order))).encode(), digest_size=MARK_BYTES).digest()
