"""Faults of a worker's host: it is suspended, tells all processes to end, or stops one in the middle of a word."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from tests.chaos.deployment import WORKERS
from tests.chaos.kinds import Strike, fault
from tests.chaos.process_faults import GRACE_S, PAST_THE_LEASE, stopped
from tests.fault.torn import CHANGES
from tests.waiting import until

TORN_S = 20.0
"""At most, until a child makes the wanted change."""


@fault(WORKERS, PAST_THE_LEASE)
def host_suspended(strike: Strike) -> None:
    """A whole worker stands still; its monotonic clock does too, its clock of leases goes on; its peers hang up."""
    worker, node = strike.deployment.worker(strike.target), strike.deployment.nodes[strike.target]
    with stopped(strike.deployment, strike.target, worker):
        time.sleep(strike.seconds)
        node.postgres.cut()
        node.redis.cut()
        node.hooks.suspended(strike.seconds)


@fault(WORKERS)
def control_group_terminated(strike: Strike) -> None:
    """SIGTERM every process of a worker (systemd's KillMode=control-group)."""
    worker = strike.deployment.worker(strike.target)
    worker.send_group(signal.SIGTERM)
    worker.wait(GRACE_S)


@fault(WORKERS, (0.5, 9.0))
def slot_torn(strike: Strike) -> None:
    """A child is frozen in the middle of what it writes into its slot, some times until it is killed for that."""
    folder = strike.deployment.nodes[strike.target].folder
    frozen, wanted = folder / "frozen", folder / "freeze"
    frozen.unlink(missing_ok=True)
    changes = sorted(CHANGES)
    (folder / "freeze.next").write_text(changes[strike.seed % len(changes)])
    (folder / "freeze.next").rename(wanted)
    try:
        pid = int(until(lambda: frozen.read_text() if frozen.exists() else "", TORN_S, "a child is frozen"))
        time.sleep(strike.seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    finally:
        wanted.unlink(missing_ok=True)
