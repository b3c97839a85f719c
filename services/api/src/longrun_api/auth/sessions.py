"""The session of a browser that is signed in to the console: a cookie which only the console's own pages send back.

The cookie holds no credential. It names the API key, or the caller of a JWT, and is signed; see `grant_tokens`. So a
revoked key ends its sessions within FRESH_S seconds, as it ends everything else. JavaScript cannot read the cookie
(HttpOnly), and the browser does not send it with the requests that pages of other sites make (SameSite, RFC 6265bis).

    [id of the session, until, what `grant_tokens` says of the grant]
"""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Final
from uuid import UUID, uuid4

from starlette.types import Scope

from jobcore.store import ended_sessions
from longrun_api.auth.grant_tokens import meant, said
from longrun_api.auth.grants import Grant, Grants, Session
from longrun_api.auth.refusals import Unauthenticated, invalid
from longrun_api.auth.signed_texts import SignedTexts
from longrun_api.database import AsyncDatabase
from longrun_api.prefixes import own_path

CONSOLE: Final = "/console"
"""Paths that take the cookie: those of the console alone. For every other path, it means nothing."""
COOKIE: Final = "longrun_session"
SESSION_S: Final = 8 * 3600
"""Seconds after which a person must sign in again: a working day."""
OPEN: Final = re.compile(f"{CONSOLE}/(sign-in(/.*)?|sign-out|assets/.*)")
"""What a browser can ask for without a session. One that ends must not be cut off with the session's other requests."""


class Sessions:
    """Begins, reads and ends sessions, and makes the tokens of their forms."""

    def __init__(self, grants: Grants, database: AsyncDatabase) -> None:
        self._grants = grants
        self._database = database
        self._texts = SignedTexts(database, "sessions")

    async def begin(self, grant: Grant) -> str:
        """The value of the cookie for a caller with this grant."""
        until = int(time.time()) + SESSION_S
        return await self._texts.make([str(uuid4()), until, said(grant, until)])

    async def read(self, cookie: str) -> Grant:
        """The grant for which the session was begun, to be checked again; raises Unauthenticated."""
        session, grant = await self._parts(cookie)
        asked_at = time.monotonic()
        if await self._database.call(ended_sessions.ended, [session.id]):
            raise invalid()
        grant.session, grant.checked_at = session, asked_at
        grant.until = min(grant.until, session.until)
        return grant

    async def end(self, cookie: str) -> None:
        """End the session: at once here, and within FRESH_S seconds in every process. One that is none has ended."""
        try:
            session, _ = await self._parts(cookie)
        except Unauthenticated:
            return
        await self._database.call(ended_sessions.end, session.id, datetime.fromtimestamp(session.until, UTC))
        self._grants.drop(digest_of(cookie))

    async def check(self) -> None:
        """Look the sessions in use up again; end the requests of those that were ended."""
        asked_at = time.monotonic()
        in_use = [(digest, grant, grant.session) for digest, grant in self._grants.all() if grant.session is not None]
        if not in_use:
            return
        ended = await self._database.call(ended_sessions.ended, [session.id for _, _, session in in_use])
        for digest, grant, session in in_use:
            if session.id in ended:
                self._grants.drop(digest)
            elif grant.key_id is None:  # otherwise it is as fresh as the look at its key
                grant.checked_at = asked_at

    async def form_token(self, cookie: str) -> str:
        """What each form of this session sends back, so that no other page can have made it."""
        return await self._texts.signature(b"form " + cookie.encode())

    async def is_own_form(self, cookie: str, token: str) -> bool:
        """Whether a form with this token is one of the session's."""
        return await self._texts.is_signature(b"form " + cookie.encode(), token)

    async def _parts(self, cookie: str) -> tuple[Session, Grant]:
        session, until, of_grant = await self._texts.read(cookie)
        return Session(UUID(session), until), meant(of_grant)


def digest_of(cookie: str) -> bytes:
    """The name of a session's grant: no SHA-256 of another credential has this length."""
    return b"session " + hashlib.sha256(cookie.encode()).digest()


def is_console(scope: Scope) -> bool:
    """Whether this request is for a page of the console."""
    path = own_path(scope)
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def is_open(scope: Scope) -> bool:
    """Whether this page of the console needs no session."""
    return OPEN.fullmatch(own_path(scope)) is not None


def session_of(scope: Scope) -> str:
    """The session that a browser sends; empty if it sends none."""
    return cookie_of(scope, COOKIE)


def cookie_of(scope: Scope, name: str) -> str:
    """The cookie of this name that a browser sends; empty if it sends none."""
    jar = SimpleCookie()
    for header, value in scope["headers"]:
        if header == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                continue
    return jar[name].value if name in jar else ""
