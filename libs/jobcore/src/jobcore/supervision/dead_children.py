"""What a dead child leaves behind: its jobs return to their queues at once, and the job that ran counts a crash."""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.models import RunningJob
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.releases import Cause, Release
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children, Death
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.slots import StopReason
from jobcore.supervision.worker_claims import WorkerClaims
from jobcore.telemetry import logs

log = logs.get(__name__)


class DeadChildren:
    """Accounts for children that died while their worker lives on."""

    def __init__(self, children: Children, escalation: Escalation, claims: WorkerClaims) -> None:
        self._children = children
        self._escalation = escalation
        self._claims = claims

    def account_for(self, deaths: Sequence[Death]) -> None:
        """Release the claims of these children, and then their slots; StoreUnavailable if PostgreSQL is."""
        self._children.end_leftovers(deaths)
        alone = len(deaths) == 1
        running = self._claims.running() if deaths else []
        for death in deaths:
            jobs = [job for job in running if job.slot == death.slot]
            self._claims.release([Release(job.task_id, job.fence, self._cause(death, job, alone)) for job in jobs])
            self._complete_cancels(death)
            if jobs:
                log.warning(
                    "a child died with jobs", pid=death.state.pid, jobs=[str(job.task_id) for job in jobs], alone=alone
                )
            self.clear(death)

    def clear(self, death: Death) -> None:
        """Free the slot of a dead child, and forget its stop request."""
        self._escalation.forget(death.slot)
        self._children.bury(death.slot)

    def _cause(self, death: Death, job: RunningJob, alone: bool) -> Cause:
        key = RunKey(job.task_id, job.fence)
        request = self._escalation.stopped_by(death.slot)
        if request and request.key == key:
            return "timeout" if request.reason is StopReason.TIMEOUT else "handed_back"
        if not death.state.known:
            return "loss"
        if key == death.state.run:
            return "crash" if alone else "loss"  # several deaths at once have a cause outside the job
        return "loss" if key in death.state.claims else "handed_back"

    def _complete_cancels(self, death: Death) -> None:
        method = "kill" if self._escalation.stopped_by(death.slot) else "worker_lost"
        cancels = [each for each in self._claims.open_cancels() if each.slot == death.slot]
        self._claims.complete_cancels([CompletedCancel(each.id, each.fence, method) for each in cancels])
