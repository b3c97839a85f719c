"""Which scope each operation needs: declared at its function, checked before the function is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

from fastapi import Request, Response

from jobcore.models.caller import Scope
from longrun_api.auth.refusals import InsufficientScope
from longrun_api.callers import caller_of

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Endpoint = Callable[[Request], Awaitable[Response]]

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


def authorized(endpoint: Endpoint) -> Endpoint:
    """The same endpoint, for a route that FastAPI's dependencies do not reach."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        check(request, endpoint)
        return await endpoint(request)

    _NEEDED[checked] = _NEEDED[endpoint]
    return checked
