"""The parts of a child, tied together: what claims, runs and stores jobs in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.settings import WorkerSettings
from jobcore.store.database import Database
from jobcore.supervision.slots import Slots
from jobcore.tasks import load_tasks
from jobcore.worker import run_processes, run_threads
from jobcore.worker.background import Background
from jobcore.worker.batching import BatchSize
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.claim_loop import ClaimLoop
from jobcore.worker.claimer import Claimer
from jobcore.worker.claims_beside import ClaimsBeside
from jobcore.worker.completer import Completer
from jobcore.worker.interrupts import Interrupts
from jobcore.worker.main_lane import MainLane
from jobcore.worker.outcome_store import OutcomeStore
from jobcore.worker.output_capture import CapturedStream
from jobcore.worker.process_state import ProcessState
from jobcore.worker.retirement import THIS_PROCESS
from jobcore.worker.run_database import CONNECTIONS, RunDatabase
from jobcore.worker.runs import Runs


class Child:
    """This process as the child in a slot. Create it on the main thread, after the fork."""

    def __init__(self, slots: Slots, index: int, name: str, queues: Sequence[str], settings: WorkerSettings) -> None:
        slot = slots[index]
        registry = load_tasks(settings.tasks)
        run_processes.install(slots.main_pid)
        run_threads.install()
        streams = CapturedStream(sys.stdout, "stdout"), CapturedStream(sys.stderr, "stderr")
        sys.stdout, sys.stderr = streams
        interrupts = Interrupts(slot)
        interrupts.install()
        interrupts.restore_after(ProcessState())
        waker, publisher = Waker(settings), EventPublisher(settings.redis)
        waker.start()
        publisher.start()
        # one connection for the main thread, and one for the completer
        db = _database(settings, f"{name}-{index}", 2)
        child_claims = ChildClaims(slot, os.getpid())
        completer = Completer(
            OutcomeStore(db, publisher, settings),
            Limits(db, waker.wake),
            on_completed=child_claims.remove,
            on_handed_back=lambda queue: waker.wake(queue, 1),
        )
        completer.start()
        batch_size = BatchSize()
        runs = Runs(
            slots,
            slot,
            completer,
            db=db,
            publisher=publisher,
            settings=settings,
            retirement=THIS_PROCESS,
            batch_size=batch_size,
        )
        background = Background(
            runs,
            child_claims,
            slot,
            registry=registry,
            db=RunDatabase(_database(settings, f"{name}-{index}-runs", CONNECTIONS)),
            settings=settings,
            streams=streams,
        )
        main_lane = MainLane(
            slots,
            slot,
            child_claims,
            runs,
            db=db,
            registry=registry,
            interrupts=interrupts,
            room=background.room,
            streams=streams,
        )
        claimer = Claimer(slots, slot, child_claims, db=db, registry=registry, settings=settings, room=background.room)
        self._claim_loop = ClaimLoop(
            slots,
            slot,
            child_claims,
            claimer=claimer,
            waker=waker,
            registry=registry,
            settings=settings,
            completer=completer,
            main_lane=main_lane,
            background=background,
            batch_size=batch_size,
            retirement=THIS_PROCESS,
        )
        ClaimsBeside(
            queues,
            registry.in_background(),
            claimer=claimer,
            main_lane=main_lane,
            background=background,
            may_claim=self._claim_loop.may_claim,
            retirement=THIS_PROCESS,
        ).start()

    def work(self, queue: str) -> None:
        """Claim and run ready jobs of this queue."""
        self._claim_loop.work(queue)

    def finish(self) -> None:
        """Wait until every run has ended and everything is stored, because this process ends."""
        self._claim_loop.finish()


def _database(settings: WorkerSettings, name: str, connections: int) -> Database:
    return Database(settings.database_url, schema=settings.database_schema, name=name, pool_size=connections)
