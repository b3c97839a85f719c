"""The database refuses nonsense rows, whoever writes them."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from jobcore.states import TERMINAL, Status
from tests.integration.store.world import World

JOB_NONSENSE = [
    (Status.PENDING, "status = 'WAITING'", "jobs_status_check"),
    (Status.PENDING, "priority = 10", "jobs_priority_check"),
    (Status.PENDING, "priority = -1", "jobs_priority_check"),
    (Status.PENDING, "timeout_s = 0", "jobs_timeout_s_check"),
    (Status.PENDING, "fence = -1", "jobs_fence_check"),
    (Status.PENDING, "attempt = -1", "jobs_attempt_check"),
    (Status.PENDING, "max_attempts = 0", "jobs_max_attempts_check"),
    (Status.PENDING, "crashes = -1", "jobs_crashes_check"),
    (Status.PENDING, "losses = -1", "jobs_losses_check"),
    (Status.PENDING, "earlier_attempts = -1", "jobs_earlier_attempts_check"),
    (Status.RUNNING, "earlier_attempts = attempt + 1", "jobs_earlier_attempts_check"),
    (Status.PENDING, "last_seq = 0", "jobs_last_seq_check"),
    (Status.PENDING, "ready = false, gate = 'door'", "jobs_gate_check"),
    (Status.PENDING, "ready = true, gate = 'key'", "gated_is_not_ready"),
    (Status.PENDING, "worker_id = gen_random_uuid()", "pending_has_no_worker"),
    (Status.PENDING, "slot = 0", "pending_has_no_worker"),
    (Status.PENDING, "finished_at = now()", "terminal_is_finished"),
    (Status.PENDING, "cancel_requested_at = now()", "cancelled_has_a_receipt"),
    (Status.RUNNING, "ready = true", "only_pending_is_ready"),
    (Status.RUNNING, "worker_id = NULL", "running_has_a_worker"),
    (Status.RUNNING, "slot = NULL", "running_has_a_worker"),
    (Status.RUNNING, "started_at = NULL", "running_has_a_worker"),
    (Status.RUNNING, "fence = 0", "running_has_a_worker"),
    (Status.RUNNING, "finished_at = now()", "terminal_is_finished"),
    (Status.RUNNING, "status = 'SUCCESS'", "terminal_is_finished"),
    (Status.SUCCESS, "finished_at = NULL", "terminal_is_finished"),
    (Status.SUCCESS, "error = '{}'", "success_has_no_error"),
    (Status.SUCCESS, "ready = true", "only_pending_is_ready"),
    (Status.SUCCESS, "cancel_requested_at = now()", "cancelled_has_a_receipt"),
    (Status.FAILED, "error = NULL", "failed_says_why"),
    (Status.CANCELLED, "cancel_requested_at = NULL", "cancelled_has_a_receipt"),
]


@pytest.mark.parametrize(("status", "change", "constraint"), JOB_NONSENSE)
def test_a_nonsense_job_is_refused(world: World, status: Status, change: str, constraint: str) -> None:
    if status in TERMINAL:
        job_id = world.ended(status)
    else:
        job_id = world.insert() if status is Status.PENDING else world.running().id
    with pytest.raises(IntegrityError, match=f'"{constraint}"'), world.db.engine.connect() as connection:
        connection.execute(text(f"UPDATE jobs SET {change} WHERE id = :id"), {"id": job_id})


def test_every_check_of_the_jobs_table_is_tried(world: World) -> None:
    checks = world.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c'")
    assert {check["conname"] for check in checks} == {constraint for _, _, constraint in JOB_NONSENSE}


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE workers SET state = 'asleep'", "workers_state_check"),
        ("UPDATE workers SET concurrency = 0", "workers_concurrency_check"),
        ("UPDATE queues SET max_running = -1", "queues_max_running_check"),
        ("INSERT INTO key_limits VALUES ('k', -1)", "key_limits_max_running_check"),
        ("UPDATE job_events SET kind = 'rumour'", "job_events_kind_check"),
        ("INSERT INTO job_events SELECT * FROM job_events", "job_events_pkey"),
        ("INSERT INTO job_steps SELECT job_id, 'a', 1, now(), '1' FROM job_events", "job_steps_pkey"),
        ("INSERT INTO keeper_lease VALUES (false, gen_random_uuid(), now())", "keeper_lease_only_one_check"),
    ],
)
def test_nonsense_beside_the_jobs_is_refused(world: World, statement: str, constraint: str) -> None:
    world.running()
    with pytest.raises(IntegrityError, match=f'"{constraint}"'), world.db.engine.connect() as connection:
        connection.execute(text(statement))
