"""Freezes a pool child in the middle of what it writes into its slot; `tests.fault.tasks` arms it in workers.

The folder in LONGRUN_TEST_TORN holds a file `freeze` with the name of a change while a freeze is wanted: the child
that makes this change next takes the file away and stops itself (SIGSTOP) within it; `frozen` then holds its pid.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobcore.supervision.child_state import ChildState

FOLDER = "LONGRUN_TEST_TORN"
CHANGES: dict[str, Callable[[ChildState, ChildState], bool]] = {
    "claiming": lambda before, now: now.claiming and not before.claiming,
    "claimed": lambda before, now: len(now.claims) > len(before.claims),
    "begin": lambda before, now: now.main is not None and before.main is None,
    "end": lambda before, now: now.main is None and before.main is not None,
    "remove": lambda before, now: len(now.claims) < len(before.claims),
}
"""What a child that runs one job says of itself, one after the other."""


class _Stamp:
    """In the place of the struct that a record packs when its payload is there and its version is not."""

    def __init__(self, stamp: Any, folder: Path) -> None:
        self._stamp = stamp
        self.size = self._stamp.size
        self.unpack_from = self._stamp.unpack_from
        self._folder = folder
        self.freeze = False

    def pack_into(self, *args: object) -> None:
        if self.freeze:
            self.freeze = False
            (self._folder / "frozen").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
        self._stamp.pack_into(*args)

    def wanted(self, before: ChildState, now: ChildState) -> bool:
        """True if this is the change to freeze in; it is asked for once."""
        try:
            wanted = CHANGES[(self._folder / "freeze").read_text()](before, now)
            if wanted:
                (self._folder / "freeze").unlink()
        except FileNotFoundError:
            return False
        return wanted


def arm() -> None:
    """Let this process's children be frozen, if the environment asks for it."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    from jobcore.supervision import shared_record
    from jobcore.worker import child_claims  # not at the top: version 0.1 loads this module too, and has no records

    stamp = _Stamp(shared_record._STAMP, Path(folder))
    change = child_claims.ChildClaims._change

    def watched(self: child_claims.ChildClaims, state: ChildState) -> None:
        stamp.freeze = stamp.wanted(self._state, state)
        change(self, state)

    shared_record._STAMP = stamp  # type: ignore[misc, assignment]
    child_claims.ChildClaims._change = watched  # type: ignore[method-assign]
