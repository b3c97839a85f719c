"""Who makes a request, for whom, and what that allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobcore.models import owned_keys


class Scope(StrEnum):
    """What a caller may do. `ADMIN` includes all others."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    OPERATE = "operate"
    """Queues, limits, schedules and workers."""
    ADMIN = "admin"
    """Keys, owners, quotas and the audit log; submitting on behalf of an owner."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The party behind a request.

    A caller with an owner submits, sees and changes what belongs to that owner, and nothing else. One without an owner
    acts for the operator, and sees what belongs to everyone.
    """

    owner: str | None
    scopes: frozenset[Scope]
    name: str
    """What the audit log calls it: the id of a key, or the subject of a token."""

    def __post_init__(self) -> None:
        if self.owner is not None and not owned_keys.is_owner(self.owner):
            raise ValueError(f"an owner has 1 to {owned_keys.OWNER_MAX} characters, and no control characters")

    def may(self, scope: Scope) -> bool:
        """Whether this caller has the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


OPERATOR: Final = Caller(owner=None, scopes=frozenset(Scope), name="anyone")
"""The caller of every request while authentication is off."""
