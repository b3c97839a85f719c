"""Kubernetes' pod deletion cost: a ReplicaSet that shrinks removes the pods of the lowest cost first.

The supervisor annotates its own pod with 0 while it is idle, else with 10 plus the minutes that its oldest run has
lasted. So idle pods are removed first, then the busy pod that loses least. Nothing depends on it: a busy pod that is
removed drains.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from jobcore.host.background_thread import BackgroundThread
from jobcore.settings import WorkerSettings
from jobcore.supervision.child_state import ChildState
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
BUSY: Final = 10
CHECK_S: Final = 1.0
MIN_GAP_S: Final = 5.0
"""The shortest time between two updates, in seconds: the API server stores each update."""
REQUEST_S: Final = 5.0

log = logs.get(__name__)


def cost(children: Iterable[ChildState], now: float) -> int:
    """The cost of deleting a pod with these children at `now` (`time.monotonic()`, in seconds)."""
    since = [run.since for child in children for run in child.runs]
    return BUSY + int((now - min(since)) // 60) if since else 0


class DeletionCost(BackgroundThread):
    """The thread that keeps the annotation of this worker's pod up to date."""

    def __init__(self, slots: Slots, settings: WorkerSettings) -> None:
        super().__init__("deletion-cost")
        self._slots = slots
        self._settings = settings
        self._outage = logs.Outage(log, "cannot set the pod's deletion cost", "the pod's deletion cost is set again")

    def run(self) -> None:
        """Update the annotation when the cost changes, until stopped."""
        # imported only if it is used, because it takes a second and 40 MiB
        from kubernetes import client, config
        from urllib3.exceptions import HTTPError

        try:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            log.error("LONGRUN_POD_DELETION_COST works inside a pod with a service account only", error=str(error))
            return
        pods = client.CoreV1Api()
        stored: int | None = None
        while not self.stopping:
            now_costs = cost((slot.read() for slot in self._slots), time.monotonic())
            if now_costs == stored:
                self.pause(CHECK_S)
                continue
            body = {"metadata": {"annotations": {ANNOTATION: str(now_costs)}}}
            try:
                pods.patch_namespaced_pod(
                    self._settings.pod_name, self._settings.pod_namespace, body, _request_timeout=REQUEST_S
                )
                stored = now_costs
                self._outage.end()
            except (client.ApiException, HTTPError, OSError) as error:
                self._outage.begin(error)
            self.pause(MIN_GAP_S)
