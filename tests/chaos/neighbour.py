"""Another Celery application on the same Redis: neither takes what is the other's, whatever either does to its own."""

from __future__ import annotations

import os
import sys

from celery import Celery

from tests.chaos.deployment import QUEUE, Deployment
from tests.chaos.kinds import Strike, fault
from tests.harness import ROOT
from tests.processes import Process
from tests.waiting import until

NEIGHBOUR = "neighbour"
TASKS = 100
TASKS_S = 60.0
NOT_RUN = "tasks of another Celery application were not run"


@fault((NEIGHBOUR,))
def neighbour_rages(strike: Strike) -> None:
    """Another application sends tasks to its queue of the same name, purges it, and tells all workers to shut down."""
    with _application(strike.deployment) as app:
        for number in range(TASKS):
            app.send_task("neighbour.note", (str(strike.deployment.folder / f"purged-{number}"),))
        app.control.purge()
        app.control.cancel_consumer(QUEUE)
        app.control.broadcast("shutdown")


def not_run(deployment: Deployment) -> list[str]:
    """Send tasks to a worker of the other application and wait for them; which were not run once each."""
    folder = deployment.folder / NEIGHBOUR
    folder.mkdir()
    marks = [folder / str(number) for number in range(TASKS)]
    process = _worker(deployment)
    try:
        with _application(deployment) as app:
            for mark in marks:
                app.send_task("neighbour.note", (str(mark),))
        until(lambda: all(mark.exists() for mark in marks), TASKS_S, "all are run")
    except AssertionError:
        return [f"{sum(not mark.exists() for mark in marks)} of {TASKS} {NOT_RUN}"]
    finally:
        process.kill_group()
    return [f"{mark.name}: was run {runs} times" for mark in marks if (runs := len(mark.read_text().splitlines())) != 1]


def _application(deployment: Deployment) -> Celery:
    return Celery("neighbour", broker=deployment.redis.url, set_as_current=False, task_default_queue=QUEUE)


def _worker(deployment: Deployment) -> Process:
    command = [sys.executable, "-m", "celery", "-A", "tests.chaos.neighbour_app", "worker", "-P", "solo"]
    env = {"NEIGHBOUR_REDIS_URL": deployment.redis.url, "PYTHONPATH": os.pathsep.join(["", str(ROOT)])}
    return deployment.start(NEIGHBOUR, command, env)
