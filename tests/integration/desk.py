"""An intake to submit jobs to, and what it did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import starmap, zip_longest
from typing import Any

from sqlalchemy import event

from jobcore.admission.held_keys import HeldKeys
from jobcore.admission.intake import Intake
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJob
from jobcore.store.database import Database
from tests.waiting import PATIENCE_S

Answer = Accepted | KnownJob | BaseException


class Desk:
    """An intake with its own connection, and a note of each statement it sent and each batch it reported.

    A submission waits `patience_s` for a key that another transaction holds.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        self.db = Database(url, name="intake-under-test", pool_size=1)
        self.statements: list[str] = []
        self.reported: list[list[Accepted]] = []
        self.held = HeldKeys(patience_s)
        self.intake = Intake(self.db, self.reported.append, held=self.held)
        event.listen(self.db.engine, "before_cursor_execute", self._note)
        self.intake.start()

    def submit(self, given: list[NewJob], keys: Sequence[IdempotencyKey | None] = ()) -> list[Answer]:
        """Submit all at once; the answers in the same order."""

        async def gather() -> list[Answer]:
            submitted = starmap(self.intake.submit, zip_longest(given, keys))
            return await asyncio.gather(*submitted, return_exceptions=True)

        return asyncio.run(asyncio.wait_for(gather(), 2 * PATIENCE_S))

    def inserts(self) -> int:
        return sum("EXECUTE longrun_accept" in statement for statement in self.statements)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.statements.append(statement)
