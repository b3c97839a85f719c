"""The caller of a request, as authentication has put it into the request's scope."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from jobcore.models.caller import OPERATOR, Caller

CALLER: Final = "longrun.caller"


def set_caller(scope: AsgiScope, caller: Caller) -> None:
    """Note who makes the request of this ASGI scope."""
    scope[CALLER] = caller


def caller_of(request: HTTPConnection) -> Caller:
    """Who makes this request: the operator while authentication is off."""
    caller: Caller = request.scope.get(CALLER, OPERATOR)
    return caller
