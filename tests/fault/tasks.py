"""Task types that misbehave, for the tests; workers find them by an entry point that `tests.harness` announces.

Each run writes signs of life into a diary, so that a test can prove when it ran and that no two runs overlapped.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel

from jobcore.errors import RetryableError
from jobcore.tasks import JobContext, task
from tests.fault import torn
from tests.fault.diary import note

TICK_S = 0.02
STAY_S = 0.1

torn.arm()


class TickInput(BaseModel):
    """For how many seconds to run, and the folder of the diaries."""

    seconds: float
    folder: str


class Done(BaseModel):
    """Which run ended well."""

    fence: int
    attempt: int


@task("test_tick", input=TickInput, output=Done, max_attempts=1)
def tick(ctx: JobContext, input: TickInput) -> Done:
    """Tick, deaf to every polite request to stop."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        _note(ctx, input)
        time.sleep(TICK_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_polite", input=TickInput, output=Done, max_attempts=1)
def polite(ctx: JobContext, input: TickInput) -> Done:
    """Tick, and stop when asked."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        _note(ctx, input)
        ctx.raise_if_cancelled()
        time.sleep(TICK_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_stubborn", input=TickInput, output=Done, max_attempts=1)
def stubborn(ctx: JobContext, input: TickInput) -> Done:
    """Tick, and swallow whatever is raised inside."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        try:
            _note(ctx, input)
            time.sleep(TICK_S)
        except BaseException:
            continue
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class StayInput(BaseModel):
    """The folder of the diaries; a file `go` in it lets the runs end."""

    folder: str


@task("test_stay", input=StayInput, output=Done, max_attempts=1)
def stay(ctx: JobContext, input: StayInput) -> Done:
    """Tick and log, deaf to every polite request to stop, until it may go."""
    while not Path(input.folder, "go").exists():
        note(input.folder, ctx.job_id, ctx.fence)
        ctx.log("still here")
        time.sleep(STAY_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class Deaths(BaseModel):
    """How often to die before ending well."""

    deaths: int


@task("test_poison", input=Deaths, output=Done, max_attempts=1)
def poison(ctx: JobContext, input: Deaths) -> Done:
    """Kill the process that runs it."""
    if ctx.attempt <= input.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class Failures(BaseModel):
    """How often to fail before ending well."""

    failures: int


@task("test_flaky", input=Failures, output=Done, max_attempts=3, backoff_s=0.2)
def flaky(ctx: JobContext, input: Failures) -> Done:
    """Raise, some times."""
    if ctx.attempt <= input.failures:
        raise RuntimeError(f"failure {ctx.attempt}")
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class StepsInput(BaseModel):
    """Where to note the effects, and after how many steps the first attempt's process dies."""

    folder: str
    dies_after: int
    steps: int = 3


class StepsDone(BaseModel):
    """What the steps gave, and which run ended well."""

    results: list[dict[str, int]]
    attempt: int


@task("test_steps", input=StepsInput, output=StepsDone, max_attempts=1)
def steps(ctx: JobContext, input: StepsInput) -> StepsDone:
    """Do some steps, each with an effect: a line in a file."""
    results = []
    for number in range(input.steps):
        if ctx.attempt == 1 and number == input.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        results.append(ctx.step(f"step {number}", _effect, ctx, input.folder, number))
    return StepsDone(results=results, attempt=ctx.attempt)


def _effect(ctx: JobContext, folder: str, number: int) -> dict[str, int]:
    with (Path(folder) / f"{ctx.job_id}.effects").open("a") as effects:
        effects.write(f"{number}\n")
    return {"number": number, "fence": ctx.fence}


class Kept(BaseModel):
    """What to store after a line of the log and a progress, before the process is killed."""

    kept: str


@task("test_last_words", input=Kept, output=Done, max_attempts=1)
def last_words(ctx: JobContext, input: Kept) -> Done:
    """Say something, store something, and be killed at once; the second attempt ends well."""
    if ctx.attempt == 1:
        ctx.log("said before")
        ctx.progress(1, 2)
        if input.kept == "step":
            ctx.step("one", ctx.log, "said within")
        else:
            ctx.checkpoint({"done": 1})
        os.kill(os.getpid(), signal.SIGKILL)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class Later(BaseModel):
    """When to ask to be tried again, in seconds."""

    retry_after_s: float


@task("test_later", input=Later, output=Done, max_attempts=2, backoff_s=3600)
def later(ctx: JobContext, input: Later) -> Done:
    """Ask once to be tried again later."""
    if ctx.attempt == 1:
        raise RetryableError("the other side is busy", retry_after_s=input.retry_after_s)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class Megabytes(BaseModel):
    """How much."""

    megabytes: int


class Text(BaseModel):
    """Some text."""

    text: str


@task("test_large", input=Megabytes, output=Text)
def large(_ctx: JobContext, input: Megabytes) -> Text:
    """Return so many megabytes."""
    return Text(text="x" * (input.megabytes * 2**20))


@task("test_leak", input=Megabytes, output=Done, max_attempts=1)
def leak(ctx: JobContext, input: Megabytes) -> Done:
    """Allow this process so much more memory than it has, and take memory until there is none."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + input.megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    leaked = []
    while True:
        leaked.append(bytearray(2**20))
        ctx.progress(len(leaked))


class Lines(BaseModel):
    """How many lines to log, and how long each is."""

    lines: int
    length: int


class Memory(BaseModel):
    """By how many mebibytes the process grew at most."""

    grown_mib: float


@task("test_chatty", input=Lines, output=Memory, max_attempts=1)
def chatty(ctx: JobContext, input: Lines) -> Memory:
    """Log as fast as it may."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(input.lines):
        ctx.log(f"{number} " + "x" * input.length)
    return Memory(grown_mib=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


class Unstorable(BaseModel):
    """Which door of the context to try."""

    door: str


@task("test_unstorable", input=Unstorable, output=Done, max_attempts=3, backoff_s=0)
def unstorable(ctx: JobContext, input: Unstorable) -> Done:
    """Say what cannot be stored."""
    doors: dict[str, Callable[[], object]] = {
        "progress of text": lambda: ctx.progress("half"),  # type: ignore[arg-type]
        "progress of NaN": lambda: ctx.progress(float("nan")),
        "progress of a list": lambda: ctx.progress(1, [2]),  # type: ignore[arg-type]
        "checkpoint of an object": lambda: ctx.checkpoint(object()),
        "checkpoint of NUL": lambda: ctx.checkpoint({"a": "\0"}),
        "level": lambda: ctx.log("line", level="loud"),
        "step of a set": lambda: ctx.step("s", lambda: {1}),
    }
    doors[input.door]()
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_numbers", input=Unstorable, output=Done, max_attempts=1)
def numbers(ctx: JobContext, input: Unstorable) -> Done:
    """Say odd things that can be stored."""
    ctx.progress(Decimal("0.5"), Fraction(3, 2), message=input)  # type: ignore[arg-type]
    ctx.log("NUL \0 and a lone surrogate \ud800")
    ctx.checkpoint([-0.0, 1e16, 1e308, 10**30])
    return Done(fence=ctx.fence, attempt=ctx.attempt)


def _note(ctx: JobContext, input: TickInput) -> None:
    note(input.folder, ctx.job_id, ctx.fence)
