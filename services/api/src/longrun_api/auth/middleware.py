"""ASGI middleware that lets only known callers pass. It stands before everything that handles requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from jobcore.errors import LongrunError
from jobcore.models.caller import Caller
from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.grants import set_grant
from longrun_api.auth.refusals import Unauthenticated
from longrun_api.auth.sessions import is_console, is_open
from longrun_api.callers import set_caller
from longrun_api.header_checks import PROBES
from longrun_api.prefixes import own_path
from longrun_api.problems import problem

PAGES: Final = frozenset({"/", "/docs", "/openapi.json"})
"""The docs, in which a person enters a key. They show what can be submitted, and no data."""
STATIC: Final = "/static-offline-docs/"
ANYONE: Final = Caller(owner=None, scopes=frozenset(), name="anyone")


class Authentication:
    """Recognises the caller of each request, or refuses it with a problem document; a person may sign in."""

    def __init__(
        self, app: ASGIApp, authenticator: Callable[[], Authenticator], sign_in: Callable[[Scope], ASGIApp]
    ) -> None:
        """`sign_in` answers the request of a browser that has no session."""
        self._app = app
        self._authenticator = authenticator
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its caller, or refuse it. What it asks for without credentials, anyone may have."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _is_open(scope):
            set_caller(scope, ANYONE)
            await self._app(scope, receive, send)
            return
        try:
            grant = await self._authenticator().grant(scope)
        except LongrunError as error:
            is_person = isinstance(error, Unauthenticated) and is_console(scope)
            refusal = self._sign_in(scope) if is_person else problem(error)
            await refusal(scope, receive, send)
            return
        set_caller(scope, grant.caller)
        set_grant(scope, grant)
        grant.open.add(receive)
        try:
            await self._app(scope, receive, send)
        finally:
            grant.open.discard(receive)


def _is_open(scope: Scope) -> bool:
    path = own_path(scope)
    return path in PROBES or path in PAGES or path.startswith(STATIC) or is_open(scope)
