"""The session of a browser that is signed in to the console: a cookie which only the console's own pages send back.

The cookie holds no credential. It names the API key, or the caller of a JWT, and is signed; see `grant_tokens`. So a
revoked key ends its sessions within FRESH_S seconds, as it ends everything else. JavaScript cannot read the cookie
(HttpOnly), and the browser does not send it with the requests that pages of other sites make (SameSite, RFC 6265bis).
"""

from __future__ import annotations

import base64
import hmac
import re
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.types import Scope

from longrun_api.auth.grant_tokens import GrantTokens
from longrun_api.auth.grants import Grant
from longrun_api.database import AsyncDatabase
from longrun_api.prefixes import own_path

CONSOLE: Final = "/console"
"""Paths that take the cookie: those of the console alone. For every other path, it means nothing."""
COOKIE: Final = "longrun_session"
SESSION_S: Final = 8 * 3600
"""Seconds after which a person must sign in again: a working day."""
OPEN: Final = re.compile(f"{CONSOLE}/(sign-in|assets/.*)")
"""What a browser needs before it is signed in."""


class Sessions:
    """Begins and reads sessions, and makes the tokens of their forms."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._tokens = GrantTokens(database, "console-sessions", SESSION_S)

    async def begin(self, grant: Grant) -> str:
        """The value of the cookie for a caller with this grant."""
        token, _ = await self._tokens.make(grant)
        return token

    async def read(self, session: str) -> Grant:
        """The grant for which the session was begun, to be checked again; raises Unauthenticated."""
        return await self._tokens.read(session)

    async def form_token(self, session: str) -> str:
        """What each form of this session sends back, so that no other page can have made it."""
        signature = await self._tokens.signature(b"form " + session.encode())
        return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()

    async def is_own_form(self, session: str, token: str) -> bool:
        """Whether a form with this token is one of the session's."""
        return hmac.compare_digest((await self.form_token(session)).encode(), token.encode())


def is_console(scope: Scope) -> bool:
    """Whether this request is for a page of the console."""
    path = own_path(scope)
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def is_open(scope: Scope) -> bool:
    """Whether this page of the console needs no session."""
    return OPEN.fullmatch(own_path(scope)) is not None


def session_of(scope: Scope) -> str:
    """The session that a browser sends; empty if it sends none."""
    jar = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                continue
    return jar[COOKIE].value if COOKIE in jar else ""
