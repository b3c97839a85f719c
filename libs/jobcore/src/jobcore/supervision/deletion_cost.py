"""Kubernetes' pod deletion cost: a ReplicaSet that shrinks removes the pods of the lowest cost first.

The supervisor annotates its own pod: 0 while it is idle, else 10 and a point a minute that its oldest run has lasted,
so that idle pods go first and of the busy ones the one that loses least. It is a courtesy: a busy pod that must go
drains all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from jobcore.host.background_thread import BackgroundThread
from jobcore.settings import WorkerSettings
from jobcore.supervision.slots import ChildState, Slots
from jobcore.telemetry import logs

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
BUSY: Final = 10
CHECK_S: Final = 1.0
MIN_GAP_S: Final = 5.0
"""Kubernetes asks not to change the cost often: the API server stores each change."""
REQUEST_S: Final = 5.0

log = logs.get(__name__)


def cost(children: Iterable[ChildState], now: float) -> int:
    """What deleting a pod with these children costs now (`now` on the monotonic clock, in seconds)."""
    runs = [child.run_since for child in children if child.run is not None]
    return BUSY + int((now - min(runs)) // 60) if runs else 0


class DeletionCost(BackgroundThread):
    """Keeps the annotation of this worker's pod, from a thread of its own."""

    def __init__(self, slots: Slots, settings: WorkerSettings) -> None:
        super().__init__("deletion-cost")
        self._slots = slots
        self._settings = settings
        self._outage = logs.Outage(log, "cannot set the pod's deletion cost", "the pod's deletion cost is set again")

    def run(self) -> None:
        """Update the annotation when the cost changes, until stopped."""
        # imported where it is used: it takes a second and 40 MiB
        from kubernetes import client, config
        from urllib3.exceptions import HTTPError

        try:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            log.error("LONGRUN_POD_DELETION_COST works inside a pod with a service account only", error=str(error))
            return
        pods = client.CoreV1Api()
        said: int | None = None
        while not self.stopping:
            now_costs = cost((slot.read() for slot in self._slots), time.monotonic())
            if now_costs == said:
                self.pause(CHECK_S)
                continue
            body = {"metadata": {"annotations": {ANNOTATION: str(now_costs)}}}
            try:
                pods.patch_namespaced_pod(
                    self._settings.pod_name, self._settings.pod_namespace, body, _request_timeout=REQUEST_S
                )
                said = now_costs
                self._outage.end()
            except (client.ApiException, HTTPError, OSError) as error:
                self._outage.begin(error)
            self.pause(MIN_GAP_S)
