"""The audit log. Triggers write it (store/acting.py); here it is read, and its old entries are deleted."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.models.acts import AuditEntry, Kind
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_ENTRIES: Final = Rows(AuditEntry)

PAGES: Final = {
    (by_actor, by_subject, owned): text(
        f"SELECT {_ENTRIES.columns} FROM audit_log WHERE id < :before "
        f"AND {'actor = :actor' if by_actor else 'true'} AND {'subject = :subject' if by_subject else 'true'} "
        f"AND {'owner = :owner' if owned else 'true'} ORDER BY id DESC LIMIT :limit"
    )
    for by_actor in (False, True)
    for by_subject in (False, True)
    for owned in (False, True)
}
"""A page, by whether it is of one actor, about one subject, and about what belongs to one owner."""
LAST: Final = 2**63 - 1


def page(
    connection: Connection,
    *,
    limit: int,
    before: int = LAST,
    actor: str | None = None,
    subject: str | None = None,
    owner: str | None = None,
) -> list[AuditEntry]:
    """Up to `limit` entries with ids below `before`, newest first: of an actor, about a subject, or of an owner."""
    statement = PAGES[actor is not None, subject is not None, owner is not None]
    given = {"before": before, "limit": limit, "actor": actor, "subject": subject, "owner": owner}
    return _ENTRIES.read(connection.execute(statement, given))


NOTE: Final = text(DURABLE + "SELECT write_audit_log(:kind, :subject, :owner, NULL, NULL)")


def note(connection: Connection, kind: Kind, subject: str, owner: str | None = None) -> None:
    """Write that the current act is about this subject, for an act that changes no settings of it."""
    connection.execute(NOTE, {"kind": kind, "subject": subject, "owner": owner})


FORGET: Final = text(
    DURABLE
    + """
DELETE FROM audit_log WHERE id = ANY(ARRAY(SELECT id FROM audit_log ORDER BY id LIMIT :limit))
  AND at < now() - make_interval(secs => :age_s)
"""
)


def forget(connection: Connection, age_s: float, limit: int) -> int:
    """Delete the oldest entries that are older than `age_s` seconds; returns how many, at most `limit`."""
    return connection.execute(FORGET, {"age_s": age_s, "limit": limit}).rowcount
