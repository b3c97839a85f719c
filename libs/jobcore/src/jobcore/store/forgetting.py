"""The deletion of limits of keys that no job uses any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, TextClause, text


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Finds unused limits without a lock, then locks their keys, looks again, and deletes them."""

    find: TextClause
    delete: TextClause

    @classmethod
    def of(cls, table: str, is_unused: str, lock: str) -> Self:
        """That of the limits in `table`, by a condition with the parameter `:age_s`; `lock` locks the keys `:names`."""
        return cls(
            text(f"SELECT key FROM {table} WHERE {is_unused} LIMIT :limit"),
            text(f"{lock}\nDELETE FROM {table} WHERE key = ANY(:names) AND {is_unused}"),
        )

    def run(self, connection: Connection, age_s: float, limit: int) -> int:
        """Delete at most `limit` of those that were unused for `age_s` seconds; returns how many."""
        unused = list(connection.execute(self.find, {"age_s": age_s, "limit": limit}).scalars())
        return connection.execute(self.delete, {"names": unused, "age_s": age_s}).rowcount if unused else 0
