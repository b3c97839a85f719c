"""What this process knows of the credentials that are in use: who they are, until when, and their open requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Final
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope

from jobcore.models.caller import OPERATOR, Caller
from longrun_api.event_stream import abort

FRESH_S: Final = 5.0
"""Seconds for which a look into the database is believed: no longer is a revoked key accepted."""
MAX_GRANTS: Final = 10_000
"""Credentials that a process remembers. Only valid ones get here, so nobody can fill it by guessing."""

GRANT: Final = "longrun.grant"


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a browser: it ends at its time, or earlier if the person signs out."""

    id: UUID
    until: float
    """In seconds since the epoch."""


@dataclass(slots=True, eq=False)
class Grant:
    """A valid credential and what it allows."""

    caller: Caller
    until: float = inf
    """When it expires, in seconds since the epoch."""
    key_id: str | None = None
    """The API key behind it, which may be revoked; None: there is none."""
    signed_by: str | None = None
    """The thumbprint of the issuer's key behind it, which may be withdrawn; None: there is none."""
    session: Session | None = None
    """The session of a browser that has it; None: it is no browser's."""
    checked_at: float = inf
    """When that key or session was looked up last, on the monotonic clock."""
    used_at: float = 0.0
    """When a request used it last, in seconds since the epoch."""
    open: set[Receive] = field(default_factory=set)
    """Its requests that are not answered yet. `receive` identifies a request, and leads to its connection."""

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.until <= time.time()

    def renew(self, found: Grant) -> None:
        """Take over what a later look has found."""
        self.caller, self.checked_at = found.caller, found.checked_at
        self.until = found.until if self.session is None else min(found.until, self.session.until)
        self.signed_by = found.signed_by

    def cut(self) -> None:
        """Reset the connections of its open requests: whoever has lost the credential hears no more."""
        for receive in tuple(self.open):
            abort(receive)


def set_grant(scope: Scope, grant: Grant) -> None:
    """Note what the credentials of the request of this ASGI scope allow."""
    scope[GRANT] = grant


def grant_of(request: HTTPConnection) -> Grant:
    """What the credentials of this request allow; while authentication is off, everything."""
    grant: Grant | None = request.scope.get(GRANT)
    return grant or Grant(OPERATOR, key_id=OPERATOR.name)


class Grants:
    """Grants by the SHA-256 of their credential, so that no memory dump has a credential from here."""

    def __init__(self) -> None:
        self._grants: dict[bytes, Grant] = {}

    def fresh(self, digest: bytes) -> Grant | None:
        """The grant of this credential, marked as used; None if it must be checked first."""
        grant = self._grants.get(digest)
        if grant is None or time.monotonic() - grant.checked_at > FRESH_S:
            return None
        now = time.time()
        if grant.until <= now:
            return None
        grant.used_at = now
        return grant

    def keep(self, digest: bytes, grant: Grant) -> Grant:
        """Remember what a check has found; returns the grant, which keeps its open requests."""
        known = self._grants.get(digest)
        if known is None:
            if len(self._grants) >= MAX_GRANTS:
                self._make_room()
            self._grants[digest] = known = grant
        known.renew(grant)
        known.used_at = time.time()
        return known

    def drop(self, digest: bytes) -> None:
        """Forget a credential that is not valid any more, and end its requests."""
        if grant := self._grants.pop(digest, None):
            grant.cut()

    def all(self) -> Iterator[tuple[bytes, Grant]]:
        """All grants as they are now."""
        return iter(tuple(self._grants.items()))

    def drop_expired(self) -> None:
        """Forget those whose time is over, and end their requests."""
        for digest, grant in self.all():
            if grant.expired:
                self.drop(digest)

    def forget_unused(self, idle_s: float) -> None:
        """Forget those that no request has used for so long. They are found again when they are."""
        since = time.time() - idle_s
        for digest, grant in self.all():
            if grant.used_at < since and not grant.open:
                del self._grants[digest]

    def _make_room(self) -> None:
        # those with open requests must stay: they have to be cut when their key is revoked
        idle = (digest for digest, grant in self.all() if not grant.open)
        if (first := next(idle, None)) is not None:
            del self._grants[first]
