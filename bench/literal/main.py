"""The HTTP API: submit a job, read a job."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from bench.literal.database import get_session
from bench.literal.models import Job
from bench.literal.tasks import run_job

app = FastAPI()
DatabaseSession = Annotated[Session, Depends(get_session)]


class TaskCreate(BaseModel):
    task_type: str
    input: dict[str, Any]


class TaskAccepted(BaseModel):
    task_id: uuid.UUID
    status: str


class TaskRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    task_type: str
    status: str
    result: dict[str, Any] | None
    error: str | None


@app.post("/tasks", status_code=202)
def submit(task: TaskCreate, session: DatabaseSession) -> TaskAccepted:
    job = Job(task_type=task.task_type, input=task.input, status="PENDING")
    session.add(job)
    session.commit()
    run_job.apply_async(args=[str(job.id)], task_id=str(job.id))
    return TaskAccepted(task_id=job.id, status=job.status)


@app.get("/tasks/{task_id}")
def read(task_id: uuid.UUID, session: DatabaseSession) -> TaskRead:
    job = session.get(Job, task_id)
    if job is None:
        raise HTTPException(404, "no such task")
    return TaskRead.model_validate(job)
