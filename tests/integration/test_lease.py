"""A worker's lease: renewed while its supervisor waits for processes to die, and never renewed once it was lost."""

from __future__ import annotations

import os

import pytest

from jobcore.host import process_tree
from jobcore.host.process_tree import Ended
from jobcore.host.processes import Process
from jobcore.settings import WorkerSettings
from jobcore.store.database import Database
from jobcore.supervision.child_processes import ChildProcesses
from jobcore.supervision.lease import Identity, Lease
from jobcore.supervision.slots import Slots
from tests.harness import sql
from tests.waiting import until

IDENTITY = Identity("here", os.getpid(), ("default",), 1, 1, "test", ("echo",), ("process",))
STUCK = Ended((1,), ("waits for a device",), ("waits for a device",))


@pytest.fixture
def slots() -> Slots:
    return Slots(1, main_pid=os.getpid())


def lease_of(database_url: str, slots: Slots, heartbeat_s: float) -> Lease:
    settings = WorkerSettings(database_url=database_url, heartbeat_s=heartbeat_s)
    return Lease(Database(database_url, name="test", pool_size=1), slots, settings, IDENTITY)


def test_the_lease_is_renewed_while_processes_do_not_die(
    database_url: str, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits for a device in the kernel dies late, and other runs of the worker must not pay for it."""
    lease = lease_of(database_url, slots, heartbeat_s=1e-6)
    lease.renew()
    deadlines: list[float] = []
    looks = iter([STUCK, STUCK, Ended((1,))])

    def end(*_: object, **__: object) -> Ended:
        deadlines.append(slots.deadline)
        return next(looks)

    monkeypatch.setattr(process_tree, "end_tree", end)
    ChildProcesses(Process(os.getpid()), lease.keep).kill(Process(os.getpid()))
    assert deadlines == sorted(set(deadlines)), "a later deadline at each look"
    assert len(deadlines) == 3


def test_a_lost_lease_is_not_renewed_before_the_worker_registers_again(slots: Slots, database_url: str) -> None:
    """Whoever found the loss first: `keep`, or a `renew` before the next heartbeat is due."""
    lease = lease_of(database_url, slots, heartbeat_s=0.5)
    assert lease.renew()
    lost, deadline = lease.worker_id, slots.deadline
    sql(database_url, "UPDATE workers SET state = 'dead'")

    def is_lost() -> bool:
        lease.keep()
        return not lease.renew()

    until(is_lost, what="a heartbeat was due")
    assert not lease.renew()
    assert slots.deadline == deadline
    lease.restart()
    assert lease.renew()
    assert lease.worker_id not in (None, lost)
