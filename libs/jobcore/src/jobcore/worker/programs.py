"""`ctx.run`: runs a program for a task, with its output in the job's log, and stops it with everything it started.

One thread reads both streams, writes the input, and asks ten times a second whether the run should stop. For an async
task this is a thread of its own, because a program may run for hours and threads of a shared pool are few.
"""

from __future__ import annotations

import asyncio
import math
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from typing import IO, Any, Final, Protocol

from jobcore.errors import JobCancelled, ProgramFailed
from jobcore.host import process_tree
from jobcore.host.processes import Process
from jobcore.tasks.program import Arguments, CompletedProgram
from jobcore.worker.program_output import Output, Progress
from jobcore.worker.program_start import Options, start, words_of

POLL_S: Final = 0.1
STOP_S: Final = 1.0
"""How long a program that must stop may take to end after SIGTERM, in seconds."""
READ_BYTES: Final = 64 * 1024
LAST_READS: Final = 16
"""The most reads from each stream of a program that has ended: a process that it left may write on for ever."""
STDERR_MAX: Final = 2_000
"""The characters at the end of standard error that an error has."""
MESSAGE_MAX: Final = 500


class ProgramContext(Protocol):
    """What a program needs of its job's context; every method may be called from another thread."""

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelled once the run should stop."""

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log."""

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is."""


def run(context: ProgramContext, args: Arguments, options: Options) -> CompletedProgram:
    """Run a program to its end in this thread. Raises JobCancelled once the run should stop."""
    return _run(context, args, options, context.raise_if_cancelled)


async def run_async(context: ProgramContext, args: Arguments, options: Options) -> CompletedProgram:
    """Run a program to its end; a cancel of the awaiting task ends the program before it is raised."""
    cancelled = threading.Event()

    def raise_if_stopped() -> None:
        if cancelled.is_set():
            raise JobCancelled("the task that awaits this program was cancelled")
        context.raise_if_cancelled()

    done: Future[CompletedProgram] = Future()
    call = copy_context().run
    threading.Thread(
        target=lambda: _into(done, lambda: call(_run, context, args, options, raise_if_stopped)),
        name="program",
        daemon=True,
    ).start()
    waiting = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([waiting])
        waiting.exception()  # otherwise asyncio logs that nobody has asked for it
        raise


def _into(future: Future[CompletedProgram], call: Callable[[], CompletedProgram]) -> None:
    try:
        result = call()
    except BaseException as error:
        with suppress(InvalidStateError):  # nobody waits any more: the event loop has ended
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)


def _run(
    context: ProgramContext, args: Arguments, options: Options, raise_if_stopped: Callable[[], None]
) -> CompletedProgram:
    words = words_of(args)
    progress = Progress(options.progress, context.progress)
    raise_if_stopped()
    with _Program(words, options, context, progress) as program:
        program.follow(raise_if_stopped)
    progress.flush()
    return program.completed(words, check=options.check)


class _Program:
    """A program that runs. As a context manager it ends the program, and what it started, if the block raises."""

    def __init__(self, words: tuple[str, ...], options: Options, context: ProgramContext, progress: Progress) -> None:
        self._name = os.path.basename(words[0])
        self._options = options
        self._popen = start(words, options)
        self._process = Process(self._popen.pid)
        self._stdout, self._stderr = (
            Output(_line_handler(context, progress, logged=options.log), progress.read) for _ in range(2)
        )
        self._selector = selectors.DefaultSelector()
        self._unread: dict[Any, Output] = {self._popen.stdout: self._stdout, self._popen.stderr: self._stderr}
        for stream in tuple(self._unread):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
        self._input = memoryview(options.input_bytes)
        if self._popen.stdin is not None:
            os.set_blocking(self._popen.stdin.fileno(), False)
            self._selector.register(self._popen.stdin, selectors.EVENT_WRITE)
        if self._process.fd is not None:
            self._selector.register(self._process.fd, selectors.EVENT_READ)

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            process_tree.end_tree(self._process, grace_s=STOP_S)
            self._popen.wait()
        self._selector.close()
        self._process.close()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                with suppress(OSError):  # what is not written of its input
                    stream.close()

    def follow(self, raise_if_stopped: Callable[[], None]) -> None:
        """Read and write until the program has ended. Raises ProgramFailed if that takes too long."""
        timeout_s = self._options.timeout_s
        give_up_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while self._popen.poll() is None:
            for key, _ in self._selector.select(min(POLL_S, max(0.0, give_up_at - time.monotonic()))):
                self._on_ready(key.fileobj)
            raise_if_stopped()
            if time.monotonic() >= give_up_at:
                raise self._failed(f"did not end within {timeout_s:g} s", None)
        for stream in tuple(self._unread):
            for _ in range(LAST_READS):
                if not self._read(stream):
                    break
        self._stdout.end()
        self._stderr.end()

    def completed(self, words: tuple[str, ...], *, check: bool) -> CompletedProgram:
        """What the program did. Raises ProgramFailed for an exit code other than 0 if `check` is true."""
        exit_code = self._popen.returncode
        if check and exit_code:
            raise self._failed(_how_it_ended(exit_code), exit_code)
        truncated = self._stdout.truncated or self._stderr.truncated
        return CompletedProgram(words, exit_code, self._stdout.text, self._stderr.text, truncated)

    def _on_ready(self, ready: Any) -> None:
        if ready is self._popen.stdin:
            self._write()
        elif ready in self._unread:
            self._read(ready)

    def _read(self, stream: Any) -> bool:
        """Read once; False if there is nothing to read now."""
        try:
            data = os.read(stream.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._unread[stream].add(data)
        elif stream in self._selector.get_map():
            self._selector.unregister(stream)
        return bool(data)

    def _write(self) -> None:
        stdin: IO[bytes] = self._popen.stdin  # type: ignore[assignment]
        try:
            self._input = self._input[os.write(stdin.fileno(), self._input) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = self._input[:0]
        if not self._input:
            self._selector.unregister(stdin)
            stdin.close()

    def _failed(self, how: str, exit_code: int | None) -> ProgramFailed:
        stderr = self._stderr.text.strip()[-STDERR_MAX:]
        said = stderr or self._stdout.text.strip()
        message = f"{self._name} {how}" + (f": {said[-MESSAGE_MAX:]}" if said else "")
        return ProgramFailed(message, program=self._name, exit_code=exit_code, stderr=stderr)


def _line_handler(context: ProgramContext, progress: Progress, *, logged: bool) -> Callable[[str], None]:
    def handle(line: str) -> None:
        if not progress.read(line) and logged:
            context.log(line.rstrip())

    return handle


def _how_it_ended(exit_code: int) -> str:
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
