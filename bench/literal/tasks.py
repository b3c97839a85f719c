"""The Celery task that runs one job."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import func

from bench.literal.celery_app import celery_app
from bench.literal.database import SessionLocal
from bench.literal.models import Job, JobLog


def echo(input: dict[str, Any]) -> dict[str, Any]:
    return input


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"echo": echo}


@celery_app.task(name="run_job")  # type: ignore[untyped-decorator]
def run_job(job_id: str) -> dict[str, Any] | None:
    with SessionLocal() as session:
        job = session.get_one(Job, uuid.UUID(job_id))
        if job.status == "SUCCESS":
            return job.result
        job.status = "RUNNING"
        job.started_at = func.now()
        session.commit()
        try:
            job.result = TASKS[job.task_type](job.input)
            job.status = "SUCCESS"
            session.add(JobLog(job_id=job.id, message="done"))
        except Exception as error:
            job.error = repr(error)
            job.status = "FAILED"
            session.add(JobLog(job_id=job.id, message=f"failed: {error!r}"))
        job.finished_at = func.now()
        session.commit()
        return job.result
