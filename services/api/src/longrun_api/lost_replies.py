"""Submissions whose commit got no reply: whether they are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted
from jobcore.store import health
from longrun_api.database import AsyncDatabase


async def committed(database: AsyncDatabase, ids: Sequence[UUID], failure: StoreUnavailable) -> list[Accepted]:
    """Those of the jobs that are accepted although the call failed; raises `failure` if none is, or nobody knows."""
    try:
        found = await database.call(health.committed, ids)
    except StoreUnavailable:
        raise failure from None
    if not found:
        raise failure
    return found
