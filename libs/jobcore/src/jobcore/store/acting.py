"""On whose behalf statements run: triggers of the tables with settings write it into the audit log (ADR 53).

The act is a context variable, because it holds for everything that one request or command does, whichever functions of
the store it calls. Each string of statements begins with it, so it never outlives its transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from jobcore.models.acts import Act

_ACT: Final[ContextVar[Act | None]] = ContextVar("act", default=None)


def begin(act: Act) -> None:
    """Whatever is changed from here on in this context is a part of this act."""
    _ACT.set(act)


@contextmanager
def acting(act: Act) -> Iterator[None]:
    """Whatever is changed inside the block is a part of this act."""
    token = _ACT.set(act)
    try:
        yield
    finally:
        _ACT.reset(token)


def setting() -> str:
    """What a string of statements begins with; nothing if there is no act."""
    act = _ACT.get()
    return "" if act is None else f"SET LOCAL longrun.act = '{act.encoded()}'; "
