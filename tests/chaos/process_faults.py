"""Faults of Longrun's own processes: they die, freeze, are deployed, cannot fork, or have a clock that jumps."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.chaos.deployment import APIS, KEEPER, WAKE_UPS, WORKERS, Deployment
from tests.chaos.kinds import Strike, fault
from tests.harness import LEASE_S, children, supervisor
from tests.processes import Process

BRIEF = (0.5, 3.0)
PAST_THE_LEASE = (LEASE_S - 1, LEASE_S + 4)
GRACE_S = 60.0


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    with suppress(psutil.NoSuchProcess):
        process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def stopped(deployment: Deployment, name: str, worker: Process) -> Iterator[None]:
    """SIGSTOP of a whole worker, and SIGCONT at the end."""
    worker.send_group(signal.SIGSTOP)
    held: set[str] = set()
    try:
        held = deployment.note_frozen(name)
        yield
    finally:
        deployment.note_thawed(held)
        worker.send_group(signal.SIGCONT)


def a_child(strike: Strike) -> psutil.Process:
    return random.Random(strike.seed).choice(children(strike.deployment.worker(strike.target)))


@fault(WORKERS)
def child_killed(strike: Strike) -> None:
    """SIGKILL one pool child (as the kernel's OOM killer does)."""
    a_child(strike).kill()


@fault(WORKERS)
def child_terminated(strike: Strike) -> None:
    """SIGTERM one pool child alone."""
    a_child(strike).terminate()


@fault(WORKERS, BRIEF)
def child_frozen(strike: Strike) -> None:
    """SIGSTOP one pool child."""
    with frozen(a_child(strike)):
        time.sleep(strike.seconds)


@fault(WORKERS)
def all_children_killed(strike: Strike) -> None:
    """SIGKILL every pool child of a worker at once."""
    for child in children(strike.deployment.worker(strike.target)):
        child.kill()


@fault(WORKERS)
def main_killed(strike: Strike) -> None:
    """SIGKILL a worker's main process alone."""
    strike.deployment.worker(strike.target).kill()


@fault(WORKERS, PAST_THE_LEASE)
def main_frozen(strike: Strike) -> None:
    """SIGSTOP a worker's main process alone."""
    with frozen(psutil.Process(strike.deployment.worker(strike.target).pid)):
        time.sleep(strike.seconds)


@fault(WORKERS)
def supervisor_killed(strike: Strike) -> None:
    """SIGKILL a worker's supervisor alone."""
    supervisor(strike.deployment.worker(strike.target)).kill()


@fault(WORKERS, PAST_THE_LEASE)
def supervisor_frozen(strike: Strike) -> None:
    """SIGSTOP a worker's supervisor alone, some times past the lease."""
    with frozen(supervisor(strike.deployment.worker(strike.target))):
        time.sleep(strike.seconds)


@fault(WORKERS)
def node_lost(strike: Strike) -> None:
    """SIGKILL a whole worker, as the loss of its machine."""
    strike.deployment.worker(strike.target).kill_group()


@fault(WORKERS, PAST_THE_LEASE)
def node_frozen(strike: Strike) -> None:
    """SIGSTOP a whole worker, some times past the lease, then SIGCONT."""
    with stopped(strike.deployment, strike.target, strike.deployment.worker(strike.target)):
        time.sleep(strike.seconds)


@fault(WORKERS)
def worker_deployed(strike: Strike) -> None:
    """SIGTERM a worker's main process."""
    worker = strike.deployment.worker(strike.target)
    worker.terminate()
    worker.wait(GRACE_S)


@fault(WORKERS)
def worker_group_terminated(strike: Strike) -> None:
    """SIGTERM a worker's process group."""
    worker = strike.deployment.worker(strike.target)
    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait(GRACE_S)


@fault(WORKERS)
def worker_quit(strike: Strike) -> None:
    """SIGQUIT a worker's main process: Celery's cold shutdown."""
    worker = strike.deployment.worker(strike.target)
    worker.send(signal.SIGQUIT)
    worker.wait(GRACE_S)


@fault(WORKERS, BRIEF)
def fork_refused(strike: Strike) -> None:
    """A child dies while its host cannot fork (EAGAIN)."""
    hooks = strike.deployment.nodes[strike.target].hooks
    child = a_child(strike)
    hooks.refuse_forks(True)
    try:
        child.kill()
        time.sleep(strike.seconds)
    finally:
        hooks.refuse_forks(False)


@fault((*WORKERS, *APIS), BRIEF)
def host_clock_stepped(strike: Strike) -> None:
    """The wall clock of a process steps by up to an hour and back."""
    hooks = strike.deployment.nodes[strike.target].hooks
    hooks.step_clock(random.Random(strike.seed).uniform(-3600, 3600))
    time.sleep(strike.seconds)
    hooks.step_clock(0)


@fault(WORKERS)
def wake_up_lost_in_a_worker(strike: Strike) -> None:
    """A frozen worker takes wake-ups off the list and is killed (the window of BRPOP)."""
    worker = strike.deployment.worker(strike.target)
    worker.send_group(signal.SIGSTOP)
    try:
        with strike.deployment.broker() as client:
            waiting = client.lrange(WAKE_UPS, 0, 0)
            if waiting:
                client.lpush(WAKE_UPS, *waiting * 3)
    finally:  # another fault may strike Redis meanwhile, and nobody else ends a frozen worker
        worker.kill_group()


@fault(APIS)
def api_killed(strike: Strike) -> None:
    """SIGKILL an API."""
    strike.deployment.process(strike.target).kill_group()


@fault(APIS)
def api_deployed(strike: Strike) -> None:
    """SIGTERM an API."""
    api = strike.deployment.process(strike.target)
    api.terminate()
    api.wait(GRACE_S)


@fault(APIS, PAST_THE_LEASE)
def api_frozen(strike: Strike) -> None:
    """SIGSTOP an API, and with it perhaps the keeper that leads."""
    with frozen(psutil.Process(strike.deployment.process(strike.target).pid)):
        time.sleep(strike.seconds)


@fault((KEEPER,))
def keeper_killed(strike: Strike) -> None:
    """SIGKILL the keeper."""
    strike.deployment.process(strike.target).kill_group()


@fault((KEEPER,), PAST_THE_LEASE)
def keeper_frozen(strike: Strike) -> None:
    """SIGSTOP the keeper past its lease, then SIGCONT: two lead."""
    with frozen(psutil.Process(strike.deployment.process(strike.target).pid)):
        time.sleep(strike.seconds)
