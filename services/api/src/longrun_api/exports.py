"""The pages of exports: the tasks of a filter, and the events of a task."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from jobcore.models import Event, Job, JobFilter, JobOrder, JobPosition
from jobcore.states import Status
from jobcore.store import event_pages, exports, json_text, listing
from longrun_api.runtime import Runtime
from longrun_api.schemas import VALUES, task_json
from longrun_api.task_walk import Found, walk
from longrun_api.times import rfc3339

PAGE_TASKS: Final = 500
PAGE_EVENTS: Final = 500
PAGE_BYTES: Final = 256 * 1024
QUIET_S: Final = 5.0
BLANK: Final = b" "
"""Sent after QUIET_S seconds without a task, so that no proxy takes the connection for idle: JSON allows whitespace
before the value that follows (RFC 8259, section 2)."""


@dataclass(frozen=True, slots=True)
class TaskExport:
    """Which tasks to export, in which order, behind which one, and with which members (None: all)."""

    wanted: JobFilter
    order: JobOrder
    after: UUID | None
    members: set[str] | None
    root_path: str

    async def pages(self, runtime: Runtime) -> AsyncGenerator[bytes]:
        """The tasks as lines of JSON."""

        async def step(after: JobPosition | None, limit: int, candidates: int) -> Found:
            return await runtime.database.call(self._step, after, limit, candidates)

        last = None if self.after is None else JobPosition(self.after)
        quiet_since, has_more = time.monotonic(), True
        while has_more:
            async with runtime.export_turns:
                page = await walk(step, last, PAGE_TASKS, PAGE_BYTES)
            last, has_more = page.last, page.has_more
            if page.items:
                yield b"\n".join(page.items) + b"\n"
            elif time.monotonic() - quiet_since < QUIET_S:
                continue
            else:
                yield BLANK
            quiet_since = time.monotonic()

    def _step(self, connection: Any, after: JobPosition | None, limit: int, candidates: int) -> Found:
        # serialised in the thread of the database: a page of large tasks must not block the event loop
        step = listing.page(connection, self.wanted, self.order, after, limit=limit, candidates=candidates)
        if self.members is not None and not self.members.intersection(VALUES):
            return Found([self._row(job) for job in step.jobs], step.examined, step.reached, step.ended)
        values = exports.values(connection, [job.id for job in step.jobs], PAGE_BYTES) if step.jobs else []
        rows = [self._row(_with(job, one)) for job, one in zip(step.jobs, values, strict=False) if one.input]
        if len(values) < len(step.jobs):
            return Found(rows, step.examined, JobPosition(values[-1].id), ended=False)
        return Found(rows, step.examined, step.reached, step.ended)

    def _row(self, job: Job) -> tuple[JobPosition, bytes]:
        return listing.position(job, self.order), task_json(job, self.root_path, self.members)


def _with(job: Job, values: exports.Values) -> Job:
    """The job with its values; they were read later, when it may have ended."""
    result = values.result if job.status is Status.SUCCESS else None
    return replace(job, input=values.input, result=result, files=values.files)


async def events(runtime: Runtime, job_id: UUID, after: int) -> AsyncGenerator[bytes]:
    """The stored events of a job behind a seq, as lines of JSON."""
    is_full = True
    while is_full:
        async with runtime.export_turns:
            page = await runtime.database.call(_events, job_id, after)
        is_full = page.full
        if page.lines:
            after = page.last
            yield page.lines


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: bytes
    last: int
    full: bool


def _events(connection: Any, job_id: UUID, after: int) -> _Lines:
    page = event_pages.page(connection, job_id, after, max_events=PAGE_EVENTS, max_bytes=PAGE_BYTES)
    lines = "".join(f"{_line(event)}\n" for event in page.events)
    return _Lines(lines.encode(), page.events[-1].seq or after if page.events else after, page.full)


def _line(event: Event) -> str:
    line = {"seq": event.seq, "at": rfc3339(event.at), "attempt": event.attempt, "kind": event.kind, "data": event.data}
    return json_text.dumps(line)
