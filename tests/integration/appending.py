"""Appends events of a run, as its worker does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from threading import Lock
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from jobcore.models import Batch, JsonText, NewEvent
from jobcore.store import appends
from jobcore.store.appends import Appended

_numbers = count(1)
_turns = Lock()
"""As in a worker, the batches of a run are sent one after the other."""


def append_events(
    connection: Connection,
    job_id: UUID,
    fence: int,
    events: Sequence[NewEvent],
    *,
    progress: Mapping[str, Any] | None = None,
    checkpoint: str | None = None,
    output_bytes: int = 0,
) -> Appended | None:
    """Append one batch with a number above all before; None if the run lost its claim."""
    state = None if checkpoint is None else JsonText(checkpoint)
    with _turns:
        number = (fence << 32) + next(_numbers)
        batch = Batch(job_id, fence, number, tuple(events), progress, state, output_bytes)
        return appends.append(connection, [batch]).get(job_id)
