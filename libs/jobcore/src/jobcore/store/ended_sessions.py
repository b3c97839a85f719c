"""Sessions of browsers that somebody has ended before their time. Nothing is stored of all others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store.transactions import DURABLE

END: Final = text(DURABLE + "INSERT INTO ended_sessions (id, until) VALUES (:id, :until) ON CONFLICT (id) DO NOTHING")
FIND: Final = text("SELECT id FROM ended_sessions WHERE id = ANY(CAST(:ids AS uuid[]))")
FORGET: Final = text(
    DURABLE
    + """
DELETE FROM ended_sessions WHERE id = ANY(ARRAY(
    SELECT id FROM ended_sessions WHERE until < now() ORDER BY until LIMIT :limit))
"""
)


def end(connection: Connection, session: UUID, until: datetime) -> None:
    """End a session, which would otherwise last until then; a second time changes nothing."""
    connection.execute(END, {"id": session, "until": until})


def ended(connection: Connection, sessions: Sequence[UUID]) -> frozenset[UUID]:
    """Those of these sessions that were ended."""
    return frozenset(connection.execute(FIND, {"ids": [str(each) for each in sessions]}).scalars())


def forget(connection: Connection, limit: int) -> int:
    """Forget at most `limit` sessions whose time is over anyway; returns how many."""
    return connection.execute(FORGET, {"limit": limit}).rowcount
