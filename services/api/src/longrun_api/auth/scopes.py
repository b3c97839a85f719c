"""Which scope each operation needs: declared at its function, checked before the function is called.

What an operation for operators or admins changes is an act, which the audit log has: no such route can forget it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

from fastapi import Request, Response

from jobcore.models.acts import Act
from jobcore.models.caller import Scope
from jobcore.store import acting
from longrun_api import request_ids
from longrun_api.auth.refusals import InsufficientScope
from longrun_api.callers import caller_of

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Endpoint = Callable[[Request], Awaitable[Response]]

ACTS: Final = frozenset({Scope.OPERATE, Scope.ADMIN})
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_NEEDED: Final[dict[Callable[..., Any], Scope | None]] = {}


def needs(scope: Scope) -> Callable[[FunctionT], FunctionT]:
    """Declare that the function of a route is only for callers with this scope."""

    def declare(function: FunctionT) -> FunctionT:
        _NEEDED[function] = scope
        return function

    return declare


def for_anyone(function: FunctionT) -> FunctionT:
    """Declare that the function of a route is for anyone, with credentials or without."""
    _NEEDED[function] = None
    return function


def scope_of(function: Callable[..., Any]) -> Scope | None:
    """The scope that a function needs, None if it is for anyone. KeyError if it declares nothing."""
    return _NEEDED[function]


async def check_scope(request: Request) -> None:
    """The dependency of every route: raises InsufficientScope."""
    check(request, request.scope["route"].endpoint)


def check(request: Request, function: Callable[..., Any]) -> None:
    """Raise InsufficientScope unless the caller has the scope that this function needs."""
    scope = _NEEDED[function]
    if scope is None:
        return
    caller = caller_of(request)
    if not caller.may(scope):
        has = ", ".join(sorted(caller.scopes)) or "none"
        raise InsufficientScope(f"this needs the scope {scope}, and the credentials have: {has}", scope)
    if scope in ACTS and request.method not in SAFE:
        address = request.client.host if request.client else None
        acting.begin(Act(function.__name__, caller.name, caller.owner, address, request_ids.current()))


def authorized(endpoint: Endpoint) -> Endpoint:
    """The same endpoint, for a route that FastAPI's dependencies do not reach."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        check(request, endpoint)
        return await endpoint(request)

    _NEEDED[checked] = _NEEDED[endpoint]
    return checked
