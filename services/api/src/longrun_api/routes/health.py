"""Probes: `/healthz` for liveness, `/readyz` for readiness."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from jobcore.host import background_thread
from longrun_api.auth.scopes import for_anyone
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process runs."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The process can accept tasks."""

    status: Literal["ready"]
    redis: Literal["up", "down"] = Field(
        description="Whether Redis can carry wake-ups. While it is down, tasks are still accepted."
    )
    redis_problem: str | None = Field(None, description="Why Redis counts as down.")
    stalled: list[str] = Field(
        description="Stalled threads of this process; its log shows their stacks. Normally none."
    )


@router.get("/healthz", responses=problem_responses(422))
@for_anyone
async def check_health() -> Alive:
    """Liveness: 200 if the process runs. It does not check PostgreSQL or Redis."""
    return Alive(status="alive")


@router.get("/readyz", responses=problem_responses(422, 503))
@for_anyone
async def check_readiness(request: Request) -> Ready:
    """Readiness: 200 if the process can accept tasks. At most once a second, it commits a small transaction."""
    problem = await runtime_of(request).readiness.check()
    return Ready(
        status="ready", redis="down" if problem else "up", redis_problem=problem, stalled=background_thread.stalled()
    )
