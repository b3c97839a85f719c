"""Quotas of single owners. An owner without a row has the quotas of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE


@dataclass(frozen=True, slots=True)
class Quota:
    """What an owner may take."""

    owner: str
    submissions: int | None
    """Tasks that it may submit in a second; None: any number."""


_QUOTAS: Final = Rows(Quota)
ALL: Final = text(f"SELECT {_QUOTAS.columns} FROM quotas")
PAGE: Final = text(f"SELECT {_QUOTAS.columns} FROM quotas WHERE owner > :after ORDER BY owner LIMIT :limit")
FIND: Final = text(f"SELECT {_QUOTAS.columns} FROM quotas WHERE owner = :owner")
PUT: Final = text(
    DURABLE + "INSERT INTO quotas (owner, submissions) VALUES (:owner, :submissions) "
    "ON CONFLICT (owner) DO UPDATE SET submissions = excluded.submissions"
)
DELETE: Final = text(DURABLE + "DELETE FROM quotas WHERE owner = :owner")


def read_all(connection: Connection) -> dict[str, Quota]:
    """The quotas of all owners that have their own."""
    return {quota.owner: quota for quota in _QUOTAS.read(connection.execute(ALL))}


def page(connection: Connection, after: str, limit: int) -> list[Quota]:
    """Those of the first `limit` owners after `after`, by owner."""
    return _QUOTAS.read(connection.execute(PAGE, {"after": after, "limit": limit}))


def find(connection: Connection, owner: str) -> Quota | None:
    """The quota of this owner; None: it has that of the settings."""
    return next(iter(_QUOTAS.read(connection.execute(FIND, {"owner": owner}))), None)


def put(connection: Connection, quota: Quota) -> None:
    """Give an owner quotas of its own."""
    connection.execute(PUT, {"owner": quota.owner, "submissions": quota.submissions})


def delete(connection: Connection, owner: str) -> None:
    """Give an owner those of the settings."""
    connection.execute(DELETE, {"owner": owner})
