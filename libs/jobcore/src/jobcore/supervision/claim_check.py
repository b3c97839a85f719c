"""Whether each claim has a child that runs it: PostgreSQL and the slots are compared once a heartbeat."""

from __future__ import annotations

import time
from typing import Final

from jobcore.store.releases import Release
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.supervision.worker_claims import WorkerClaims
from jobcore.telemetry import logs

STUCK_CLAIM_S: Final = 20.0
"""How long a child may take for one claim before it is killed, in seconds."""
UNKNOWN_S: Final = 5.0
"""How long a slot may stay damaged before its child is killed, in seconds: till then none of its claims is released."""

log = logs.get(__name__)


class ClaimCheck:
    """Hands back claims that no child has, and kills children whose slot does not say what they do."""

    def __init__(self, slots: Slots, children: Children, claims: WorkerClaims) -> None:
        self._slots = slots
        self._children = children
        self._claims = claims
        self._claiming_since: dict[int, tuple[int, float]] = {}

    def check(self) -> None:
        """Compare once; StoreUnavailable if PostgreSQL does not answer."""
        self._hand_back_unknown()
        self._kill_stuck()

    def _hand_back_unknown(self) -> None:
        # rows before slots: the slot of a claim that has a row says "claiming" or lists it by now
        running = self._claims.running()
        claims = [None if state.claiming else set(state.claims) for state in map(Slot.read, self._slots)]
        unknown = [
            Release(job.task_id, job.fence, "handed_back")
            for job in running
            if (listed := claims[job.slot]) is not None and RunKey(job.task_id, job.fence) not in listed
        ]
        if handed_back := self._claims.release(unknown):
            log.warning("handed back claims that nobody ran", jobs=[str(change.id) for change in handed_back])

    def _kill_stuck(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            version = slot.version
            known, since = self._claiming_since.get(slot.index, (-1, now))
            state = slot.read()
            if not state.claiming:
                self._claiming_since.pop(slot.index, None)
            elif version != known:
                self._claiming_since[slot.index] = (version, now)
            elif now - since > (STUCK_CLAIM_S if state.known else UNKNOWN_S):
                why = "it is stuck in a claim" if state.known else "its slot is damaged"
                log.warning("killing a child", why=why, pid=slot.pid, slot=slot.index)
                self._children.kill(slot.index)
