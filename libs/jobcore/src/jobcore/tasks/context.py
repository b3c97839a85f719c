"""What a task's function gets as `ctx`: `JobContext` in a `def`, `AsyncContext` in an `async def`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, Protocol, Unpack

from jobcore.models import StoredFile
from jobcore.tasks.program import Arguments, CompletedProgram, ProgramOptions

P = ParamSpec("P")


class Context(Protocol):
    """What every task knows about its job, and can say without waiting.

    Every method may raise `JobCancelled` once the run should stop.
    """

    @property
    def job_id(self) -> str:
        """The job's id, a UUIDv7."""

    @property
    def owner(self) -> str | None:
        """Whose job it is, such as a user or a tenant; None: nobody's but the operator's."""

    @property
    def attempt(self) -> int:
        """The number of this run of the job, from 1."""

    @property
    def fence(self) -> int:
        """A number that rises with every claim of this job: pass it on to guard effects outside Longrun."""

    @property
    def cancelled(self) -> bool:
        """True once the run should stop: the job was cancelled or timed out, or its worker shuts down."""

    @property
    def checkpoint_state(self) -> Any:
        """The latest checkpoint, of this run or an earlier one; None if there is none."""

    def raise_if_cancelled(self) -> None:
        """Raise `JobCancelled` if the run should stop. Call it where stopping is safe."""

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log. `level` is debug, info, warning or error.

        In a `def` it waits while a thousand lines are not stored yet. In an `async def` it never waits, because it
        would stop every task of the event loop: ten thousand lines may wait to be stored, and further ones are dropped
        and counted, until the task awaits. Lines beyond LONGRUN_MAX_LOG_LINES are dropped too. Raises InvalidValue for
        another level.
        """

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is. Streams see every call; PostgreSQL keeps at most one a second, and the last one.

        `done` and `total` are finite real numbers, including Decimal, Fraction and NumPy's. Raises InvalidValue for
        anything else.
        """

    def emit(self, name: str, data: Any) -> None:
        """Add a piece to the job's output: a JSON value of at most 64 KiB, with a name of 1 to 200 characters.

        Readers get each piece once, in order, while the job runs and later. A piece is stored soon, at the latest with
        the outcome of the run. Any thread of the run may call this. In a `def` it waits while a thousand events are not
        stored yet; in an `async def` it never waits. Raises InvalidValue for what cannot be stored, or if the output of
        the job, of all its attempts together, would pass LONGRUN_MAX_OUTPUT_BYTES.
        """


class JobContext(Context, Protocol):
    """The context of a task that `def` defines: in the lanes process and thread."""

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; a later attempt finds it in `checkpoint_state`.

        Only the latest one is kept. Raises InvalidValue if it is not JSON, or larger than 1 MiB.
        """

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call `function(*args, **kwargs)` once per job and return its result; later attempts get the stored result.

        The result must be JSON, and comes back as JSON gives it: a tuple becomes a list. It is stored durably before
        this returns. The next attempt calls the function again if it raised, or if its process died before the result
        was stored. Raises InvalidStep, which ends the job, if the name was used before in this run, or if the result
        is not JSON or larger than LONGRUN_MAX_RESULT_BYTES.
        """

    def run(self, args: Arguments, **options: Unpack[ProgramOptions]) -> CompletedProgram:
        """Run a program to its end, with its output in the job's log. `args` is a list; there is no shell.

        A line from which `progress` reads progress is not logged: a pattern with the named groups `done` and `total`,
        or `percent`, or a function that returns done, or (done, total), or None. `env` is added to the environment;
        `input` is written to standard input, which is empty otherwise. With `log=False` no line is logged.

        Raises ProgramFailed if the program cannot be started, runs longer than `timeout_s` seconds, or, unless `check`
        is false, ends with an exit code other than 0. If it must stop, also because the run must, the program and
        everything that it started get SIGTERM, and SIGKILL after a second.
        """

    def file(
        self, path: str | os.PathLike[str], name: str | None = None, *, media_type: str | None = None
    ) -> StoredFile:
        """Store a copy of the file at `path` as a result file of the job, of any size, durably before returning.

        Clients download it from `/tasks/{id}/files/{name}`. `name` is the last part of the path if it is not given, and
        `media_type` is guessed from the name. A file of a name that the job has replaces it. Returns name, size,
        media type and SHA-256. Raises InvalidValue, which ends the job, if there is no such file, if the name cannot be
        used, or if the file is larger than LONGRUN_MAX_FILE_BYTES; and FileStoreUnavailable if it cannot be stored now.
        """

    def input_file(self, name: str) -> Path:
        """The local path of a file that the job was submitted with: a copy of this run's own, until the run ends.

        Its bytes are those that were uploaded, checked by their SHA-256. Raises InvalidValue, which ends the job, if it
        was submitted without a file of this name; and FileStoreUnavailable if the file cannot be fetched now.
        """


class AsyncContext(Context, Protocol):
    """The context of a task that `async def` defines: its methods that store something are awaited."""

    async def checkpoint(self, state: Any) -> None:
        """`JobContext.checkpoint`, awaited. If it is cancelled, the value is stored, or it is not; never half."""

    async def file(
        self, path: str | os.PathLike[str], name: str | None = None, *, media_type: str | None = None
    ) -> StoredFile:
        """`JobContext.file`, awaited."""

    async def input_file(self, name: str) -> Path:
        """`JobContext.input_file`, awaited."""

    async def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """`JobContext.step`, awaited. The function may be async or not.

        One that is not async runs on the event loop: `asyncio.to_thread` is for one that blocks. A step that is
        cancelled while its result is being stored has the result if it is called again.
        """

    async def run(self, args: Arguments, **options: Unpack[ProgramOptions]) -> CompletedProgram:
        """`JobContext.run`, awaited. If it is cancelled, the program has ended before CancelledError is raised."""
