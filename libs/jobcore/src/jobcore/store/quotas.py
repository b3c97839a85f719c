"""Quotas of owners, and what they use of them. An owner without a row has the quotas of the settings.

Each change of the use of an owner is a row of its own in `owner_use_changes`, written by triggers, so that no two
transactions wait for each other. The keeper adds these rows up in `owner_uses`. The use is both together. A trigger at
the end of each transaction that makes tasks checks how many are queued, behind a lock of the owner
(docs/adr/0054-hard-quotas.md). Whoever stores more bytes looks at them before, without a lock
(docs/adr/0059-more-quotas.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

FOLDED: Final = 10_000
"""The most changes that one statement adds up."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an owner may take where it differs from the settings."""

    owner: str
    amounts: Mapping[str, int | None]
    """By the name of the quota; None: any number."""


@dataclass(frozen=True, slots=True)
class Use:
    """What an owner may take, and how much it has taken."""

    owner: str
    amounts: Mapping[str, int | None] | None
    """Those of a `Quota`; None: it has those of the settings."""
    queued: int
    names: int
    stored_bytes: int


_QUOTAS: Final = Rows(Quota)
_USES: Final = Rows(Use)
ALL: Final = text(f"SELECT {_QUOTAS.columns} FROM quotas")
PAGE: Final = text(
    "SELECT owner, amounts, queued_of(owner) AS queued, names_of(owner) AS names, bytes_of(owner) AS stored_bytes "
    "FROM quotas WHERE owner > :after ORDER BY owner LIMIT :limit"
)
FIND: Final = text("""
SELECT :owner AS owner, (SELECT amounts FROM quotas WHERE owner = :owner) AS amounts, queued_of(:owner) AS queued,
       names_of(:owner) AS names, bytes_of(:owner) AS stored_bytes
""")
PUT: Final = text(
    DURABLE + "INSERT INTO quotas (owner, amounts) VALUES (:owner, CAST(:amounts AS jsonb)) "
    "ON CONFLICT (owner) DO UPDATE SET amounts = excluded.amounts"
)
DELETE: Final = text(DURABLE + "DELETE FROM quotas WHERE owner = :owner")
PUBLISH: Final = text(
    DURABLE + "INSERT INTO default_quotas AS known (amounts) VALUES (CAST(:amounts AS jsonb)) "
    "ON CONFLICT (only_one) DO UPDATE SET amounts = excluded.amounts WHERE known.amounts <> excluded.amounts"
)
FOLD: Final = text(
    DURABLE
    + """
WITH change AS (
    DELETE FROM owner_use_changes
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM owner_use_changes LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING owner, queued, bytes
), folded AS (
    INSERT INTO owner_uses AS use (owner, queued, bytes)
    SELECT owner, sum(queued), sum(bytes) FROM change GROUP BY owner ORDER BY owner
    ON CONFLICT (owner) DO UPDATE SET queued = use.queued + excluded.queued, bytes = use.bytes + excluded.bytes
)
SELECT count(*) FROM change
"""
)


def read_all(connection: Connection) -> dict[str, Quota]:
    """The quotas of all owners that have their own."""
    return {quota.owner: quota for quota in _QUOTAS.read(connection.execute(ALL))}


def page(connection: Connection, after: str, limit: int) -> list[Use]:
    """The first `limit` owners after `after` that have quotas of their own, by owner."""
    return _USES.read(connection.execute(PAGE, {"after": after, "limit": limit}))


def find(connection: Connection, owner: str) -> Use:
    """What this owner may take and has taken."""
    (found,) = _USES.read(connection.execute(FIND, {"owner": owner}))
    return found


def put(connection: Connection, quota: Quota) -> None:
    """Give an owner quotas of its own."""
    connection.execute(PUT, _stored(quota.amounts) | {"owner": quota.owner})


def delete(connection: Connection, owner: str) -> None:
    """Give an owner those of the settings."""
    connection.execute(DELETE, {"owner": owner})


def publish(connection: Connection, amounts: Mapping[str, int | None]) -> None:
    """Say what owners may take who have no quotas of their own."""
    connection.execute(PUBLISH, _stored(amounts))


def fold(connection: Connection) -> bool:
    """Add up changes of uses; returns whether there may be more."""
    return bool(connection.execute(FOLD, {"limit": FOLDED}).scalar_one() == FOLDED)


def _stored(amounts: Mapping[str, int | None]) -> dict[str, Any]:
    return {"amounts": json_text.dumps(dict(amounts))}
