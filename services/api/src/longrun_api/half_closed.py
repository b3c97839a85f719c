"""Requests whose client has closed its half of the connection: it may have left, or still read the response."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import Receive, Scope

STATE: Final = "half_closed"
"""A key of the state of a scope, which all copies of the scope share."""


def note(cycle: Any) -> None:
    """Note that the client of uvicorn's request sends nothing more; wakes the application if it waits in `receive`."""
    cycle.scope["state"][STATE] = True
    cycle.message_event.set()


async def left(scope: Scope, receive: Receive) -> bool:
    """Wait until the client closes the connection; False if only its half. The body must have been read."""
    while not scope["state"].get(STATE):
        if (await receive())["type"] == "http.disconnect":
            return True
    return False
