"""Task types of the general worker: small examples, which tests and benchmarks use too."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from jobcore import AsyncContext, JobContext, task


class EchoInput(BaseModel):
    """Any JSON object."""

    model_config = ConfigDict(extra="allow")


class EchoResult(BaseModel):
    """The input object."""

    model_config = ConfigDict(extra="allow")


@task("echo", input=EchoInput, output=EchoResult, example={"hello": "world"})
def echo(_ctx: JobContext, input: EchoInput) -> EchoResult:
    """Return the input object as the result."""
    return EchoResult.model_validate(input.model_dump())


class SleepInput(BaseModel):
    """How long to sleep, in seconds, and in how many steps to report progress."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=86_400)]
    steps: Annotated[int, Field(ge=1, le=10_000)] = 10


class SleepResult(BaseModel):
    """How long the task slept, in seconds."""

    slept_s: float


@task("sleep", input=SleepInput, output=SleepResult, example={"seconds": 3, "steps": 10})
async def sleep(ctx: AsyncContext, input: SleepInput) -> SleepResult:
    """Sleep, and report progress after every step."""
    started = time.monotonic()
    ctx.progress(0, input.steps)
    for step in range(1, input.steps + 1):
        await asyncio.sleep(started + input.seconds * step / input.steps - time.monotonic())
        ctx.progress(step, input.steps, f"slept {input.seconds * step / input.steps:.1f} s")
    ctx.log(f"slept for {input.seconds:g} s in {input.steps} steps")
    return SleepResult(slept_s=round(time.monotonic() - started, 3))


class CpuBurnInput(BaseModel):
    """Up to which number to count primes."""

    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Field(ge=2, le=50_000_000)]


class CpuBurnResult(BaseModel):
    """The number of primes up to n, and the largest of them."""

    n: int
    primes: int
    largest: int


CHECKPOINT_S = 1.0


@task("cpu_burn", input=CpuBurnInput, output=CpuBurnResult, example={"n": 200_000})
def cpu_burn(ctx: JobContext, input: CpuBurnInput) -> CpuBurnResult:
    """Count the primes up to n by trial division. A later attempt continues from the last checkpoint."""
    state: dict[str, Any] = ctx.checkpoint_state or {"next": 2, "primes": 0, "largest": 0}
    if state["next"] > 2:
        ctx.log(f"resuming at {state['next']}")
    saved = time.monotonic()
    for start in range(state["next"], input.n + 1, 2_000):
        ctx.raise_if_cancelled()
        found = [number for number in range(start, min(start + 2_000, input.n + 1)) if _is_prime(number)]
        state = {
            "next": start + 2_000,
            "primes": state["primes"] + len(found),
            "largest": found[-1] if found else state["largest"],
        }
        ctx.progress(min(start + 2_000, input.n), input.n)
        if time.monotonic() - saved > CHECKPOINT_S:
            ctx.checkpoint(state)
            saved = time.monotonic()
    return CpuBurnResult(n=input.n, primes=state["primes"], largest=state["largest"])


def _is_prime(number: int) -> bool:
    if number % 2 == 0:
        return number == 2
    return all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))
