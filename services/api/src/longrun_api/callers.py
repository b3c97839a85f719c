"""The caller of a request, as authentication has put it into the request's scope, and what that means for owners.

A caller with an owner acts for this owner: what it submits belongs to the owner, and what belongs to others is to it as
if it did not exist. One without an owner acts for the operator, and sees what belongs to everyone.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from jobcore.errors import FieldError, InvalidInput, LongrunError
from jobcore.models.caller import OPERATOR, Caller, Scope

CALLER: Final = "longrun.caller"


class OperatorsOnly(LongrunError):
    """What is asked for belongs to no owner: it is about the tasks of everyone."""

    status = 403
    slug = "operators-only"
    title = "This is for callers without an owner"


def set_caller(scope: AsgiScope, caller: Caller) -> None:
    """Note who makes the request of this ASGI scope."""
    scope[CALLER] = caller


def caller_of(request: HTTPConnection) -> Caller:
    """Who makes this request: the operator while authentication is off."""
    caller: Caller = request.scope.get(CALLER, OPERATOR)
    return caller


def owner_of(request: HTTPConnection) -> str | None:
    """For whom this request is made; None: the operator."""
    return caller_of(request).owner


async def operators_only(request: HTTPConnection) -> None:
    """A dependency of routes about the tasks of everyone; raises OperatorsOnly for a caller with an owner."""
    if owner_of(request) is not None:
        raise OperatorsOnly("queues and workers are shared by all owners: ask the operator, or GET /tasks:count")


def owner_to_submit_for(caller: Caller, given: str | None) -> str | None:
    """Whose a new task or schedule is, if the request names this owner; raises InvalidInput."""
    if given is not None and caller.owner is None and not caller.may(Scope.ADMIN):
        raise InvalidInput(FieldError("owner", "to submit for an owner needs the scope admin"))
    return owner_to_look_at(caller, given)


def owner_to_look_at(caller: Caller, given: str | None) -> str | None:
    """Of whom a request is, if it names this owner; None: of everyone, or of the operator. Raises InvalidInput."""
    if caller.owner is None or given is None or given == caller.owner:
        return caller.owner or given
    raise InvalidInput(FieldError("owner", f"is not yours: you act for {caller.owner!r}, so leave it out"))
