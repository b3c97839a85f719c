"""What a dead child leaves behind: its jobs return to their queues at once, and the job that ended it counts a crash.

If that may have been one of several, all of these are suspected, and run again beside fewer others (`store.suspects`),
until one is suspected alone. The others are handed back.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.host import process_folders
from jobcore.models import RunningJob
from jobcore.states import Lane
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.releases import Cause, Release
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children, Death
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.slot import run_tag
from jobcore.supervision.stops import StopReason
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
        if deaths:
            process_folders.sweep_soon()
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
        request = self._escalation.request_of(death.slot, key)
        if request and request.interrupted:
            return "timeout" if request.reason is StopReason.TIMEOUT else "handed_back"
        if not death.state.known:
            return "loss"
        if death.killed_for or key not in death.state.claims:
            return "handed_back"
        suspects = _suspects(death) if alone else set()  # several deaths at once have a cause outside the job
        if key in suspects:
            return "crash" if len(suspects) == 1 else "suspected"
        return "handed_back" if suspects else "loss"

    def _complete_cancels(self, death: Death) -> None:
        cancels = [each for each in self._claims.open_cancels() if each.slot == death.slot]
        self._claims.complete_cancels(
            [CompletedCancel(each.id, each.fence, self._method(death, RunKey(each.id, each.fence))) for each in cancels]
        )

    def _method(self, death: Death, key: RunKey) -> str:
        request = self._escalation.request_of(death.slot, key)
        return "kill" if request and (request.interrupted or death.killed_for is not None) else "worker_lost"


def _suspects(death: Death) -> set[RunKey]:
    """The runs that may have ended their child, because their code may have been executed at that moment.

    Code of the main thread and of threads may be executed at any time; of the runs on the event loop, only one is. If
    that leaves none, native code may have run for any of them.
    """
    if death.killed_for is not None:
        return set()
    runs = death.state.runs
    executed = {run.key for run in runs if run.lane is not Lane.ASYNC or run_tag(run.key) == death.loop_run}
    return executed or {run.key for run in runs}
