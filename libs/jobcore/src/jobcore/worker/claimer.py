"""One claim of a child: its statement, and what the slot says meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from jobcore.errors import StoreUnavailable
from jobcore.host import clock
from jobcore.settings import WorkerSettings
from jobcore.store import claims
from jobcore.store.database import Database
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.tasks import Registry
from jobcore.telemetry import logs, metrics
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.room import Room
from jobcore.worker.runs import Claimed

log = logs.get(__name__)


class Claimer:
    """Claims jobs for the lanes of a child. Whoever claims has the `turn`, and keeps it until it has filled places."""

    def __init__(
        self,
        slots: Slots,
        slot: Slot,
        child_claims: ChildClaims,
        *,
        db: Database,
        registry: Registry,
        settings: WorkerSettings,
        room: Room,
    ) -> None:
        self.turn = threading.Lock()
        self._slots = slots
        self._slot = slot
        self._claims = child_claims
        self._db = db
        self._background_types = registry.in_background()
        self._lease_s = settings.lease_s
        self._room = room

    def take(
        self, queue: str, types: Sequence[str], *, limit: int, suspected: int, quick: Sequence[str] = ()
    ) -> Claimed | None:
        """Claim jobs of these types, as `store.claims.claim` describes; None if this child cannot claim now."""
        worker_id = self._slots.worker_id
        if worker_id is None:
            return None
        self._claims.claiming()
        if self._slot.retiring:  # asked once the slot says "claiming": the supervisor looks the other way round
            self._claims.claimed(())
            return None
        began, sent_at = time.monotonic(), clock.now()
        try:
            taken = self._db.call(
                claims.claim,
                queue=queue,
                worker_id=worker_id,
                slot=self._slot.index,
                limit=limit,
                quick=quick,
                types=types,
                suspected=suspected,
                lease_s=self._lease_s,
                background=self._background_types,
                room=self._room.share,
            )
        except Exception as error:
            # if only the reply was lost, this child has claims that it does not know; the supervisor hands them back
            self._claims.claimed(())
            if not isinstance(error, StoreUnavailable):
                raise
            log.warning("cannot claim jobs: the database is unavailable", error=str(error))
            return None
        self._claims.claimed(taken.claims)
        metrics.claimed(queue, taken.claims, time.monotonic() - began)
        backlog = taken.more and len(taken.claims) >= limit
        return Claimed(taken.claims, worker_id, sent_at, quick, taken.more, backlog)
