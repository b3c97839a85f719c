"""Keeps in memory what a task stores: the `ContextStore` of a run in a test."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobcore.errors import InvalidValue, JobCancelled
from jobcore.files.names import checked_name
from jobcore.models import Claim, Event, NewFile
from jobcore.store.steps import Step
from jobcore.testing.record import File, Run
from jobcore.worker.event_buffer import EventBuffer
from jobcore.worker.input_files import no_such
from jobcore.worker.values import DEFAULT_BOUNDS

InputContent = bytes | str | os.PathLike[str]
"""An input file: its bytes, or where they are."""
OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Is called with the kind and the data of each event of a run as it happens."""


class MemoryStore:
    """Keeps in a `Run` what a `RunStore` stores in PostgreSQL."""

    def __init__(
        self,
        done: Run,
        claim: Claim,
        cancelled: bool | threading.Event,
        on_event: OnEvent | None,
        files: Mapping[str, InputContent],
    ) -> None:
        self.claim = claim
        self.bounds = DEFAULT_BOUNDS
        self.buffer = EventBuffer(self.bounds.log_lines, claim.seq, self.bounds.output_bytes)
        self._cancelled = cancelled
        self.files = MemoryFiles(done)
        self._inputs = files
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._done = done
        self._on_event = on_event

    @property
    def should_stop(self) -> bool:
        """True once the caller has asked the run to stop."""
        return self._cancelled.is_set() if isinstance(self._cancelled, threading.Event) else self._cancelled

    def raise_if_stopped(self) -> None:
        """Raise JobCancelled once the caller has asked the run to stop."""
        if self.should_stop:
            raise JobCancelled("this run must stop: its caller asked for it")

    def event_added(self) -> None:
        """Keep the events in the buffer."""
        self.flush()

    def flush(self) -> None:
        """Keep the events in the buffer."""
        for event in self.buffer.take().events:
            self._keep(event.kind, dict(event.data))

    def input_file(self, name: str) -> Path:
        """A copy of the file that the caller gave under this name, until `close`."""
        if name not in self._inputs:
            raise InvalidValue(no_such(name, sorted(self._inputs)))
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="longrun-run-")
        path, given = Path(self._folder.name) / checked_name(name), self._inputs[name]
        if not path.exists():
            if isinstance(given, bytes):
                path.write_bytes(given)
            else:
                shutil.copyfile(given, path)
        return path

    def close(self) -> None:
        """Remove the copies."""
        if self._folder is not None:
            self._folder.cleanup()

    def publish(self, event: Event) -> None:
        """Keep an event that a worker would only send to streams."""
        self._keep(event.kind, dict(event.data))

    def checkpoint(self, text: str) -> None:
        """Keep a checkpoint, a JSON text."""
        self._done.checkpoint = json.loads(text)

    def find_step(self, name: str) -> Step | None:
        """The step of that name, of this run or an earlier one."""
        return Step(self._done.steps[name]) if name in self._done.steps else None

    def store_step(self, name: str, text: str) -> Any:
        """Keep the result of a step, a JSON text, unless there is one; returns what is kept."""
        return self._done.steps.setdefault(name, json.loads(text))

    def _keep(self, kind: str, data: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(kind, data)
        if kind == "log":
            self._done.logs.append(data["message"])
        elif kind == "progress":
            self._done.progress.append(data)
        elif kind == "output":
            self._done.emitted.append((data["name"], data["data"]))


class MemoryFiles:
    """Keeps in a `Run` what a worker stores with `RunFiles`."""

    def __init__(self, done: Run) -> None:
        self._done = done
        self._content = bytearray()

    def begin(self, file: NewFile) -> None:
        """Raise InvalidValue for one file more than a job may have."""
        if file.name not in self._done.files and len(self._done.files) >= DEFAULT_BOUNDS.files:
            raise InvalidValue(f"file: a job may have {DEFAULT_BOUNDS.files} files (LONGRUN_MAX_FILES)")

    @contextmanager
    def writer(self, _file: NewFile, _size: int) -> Iterator[MemoryFiles]:
        """Takes the bytes of a file."""
        self._content = bytearray()
        yield self

    def write(self, piece: bytes, /) -> None:
        """Add bytes to the file."""
        self._content += piece

    def finish(self, file: NewFile, _size: int, _sha256: str) -> None:
        """Keep the file."""
        self._done.files[file.name] = File(file.media_type, bytes(self._content))

    def discard(self, file: NewFile) -> None:
        """Nothing is kept of a file that was not finished."""
