"""Probes: `/healthz` says that the process runs, `/readyz` that it can accept tasks."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from jobcore.host import background_thread
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """This process runs."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """This process can accept tasks."""

    status: Literal["ready"] = "ready"
    redis: Literal["up", "down"] = Field(
        description="Whether it can carry wake-ups. Tasks are accepted all the same while it is down."
    )
    redis_problem: str | None = Field(None, description="Why it is down.")
    stalled: list[str] = Field(description="Threads of this process that stand still; its log has where. Mostly none.")


@router.get("/healthz", responses=problem_responses())
async def alive() -> Alive:
    """Whether this process runs; asks nobody else."""
    return Alive()


@router.get("/readyz", responses=problem_responses(503))
async def ready(request: Request) -> Ready:
    """Whether this process can accept tasks: its intake commits a tiny transaction, at most once a second."""
    problem = await runtime_of(request).readiness.check()
    return Ready(redis="down" if problem else "up", redis_problem=problem, stalled=background_thread.stalled())
