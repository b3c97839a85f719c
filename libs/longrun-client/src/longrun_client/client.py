"""The blocking client. What it sends and how it reads, retries and resumes is shared with `AsyncLongrun`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

import httpx
from anyio.from_thread import start_blocking_portal

from longrun_client import calls
from longrun_client.async_client import AsyncLongrun
from longrun_client.cursor import Cursor
from longrun_client.errors import LongrunError
from longrun_client.models import Attempt, Event, LogLine, Page, Status, Task, TaskType, Worker
from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.models_schedules import Schedule
from longrun_client.options import ScheduleOptions, SubmitOptions
from longrun_client.server import Server
from longrun_client.transport import Transport


class Longrun:
    """A Longrun server: submit tasks, read them, follow them, cancel them, try them again.

    `base_url` is the server's address: by default LONGRUN_URL, else http://127.0.0.1:8000. `timeout_s` bounds
    one exchange, in seconds; `patience_s` is how long `stream` and `wait` outlast a server that went away.

    Every method raises ProblemError when the server refuses, LongrunUnavailable when it cannot be reached.
    May be used by several threads.
    """

    def __init__(self, base_url: str | None = None, *, timeout_s: float = 10.0, patience_s: float = 300.0) -> None:
        self._server = Server.at(base_url, timeout_s, patience_s)
        self._transport = Transport(self._server)
        self._call = self._transport.call

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._server.url

    def submit(
        self,
        task_type: str,
        input: Mapping[str, Any],
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Hand in a task: once this returns, the task is not lost whatever dies.

        It is sent again only if the server cannot have accepted it; MaybeAccepted says that nobody knows.
        """
        return self._call(calls.submit(task_type, input, options))

    def get(self, task_id: str) -> Task:
        """The task as it is now."""
        return self._call(calls.get(task_id))

    def page(
        self,
        *,
        status: Status | str | None = None,
        task_type: str | None = None,
        schedule_id: str | None = None,
        limit: int = calls.PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page:
        """At most `limit` tasks, newest first, from `cursor` (the `next` of the page before)."""
        return self._call(calls.page(status, task_type, limit, cursor, schedule_id))

    def list(
        self,
        status: Status | str | None = None,
        task_type: str | None = None,
        limit: int | None = None,
        schedule_id: str | None = None,
    ) -> Iterator[Task]:
        """All tasks, or the newest `limit` of them, newest first; pages are fetched as they are needed."""
        pages = calls.Pages(status, task_type, limit, schedule_id)
        while pages.more:
            yield from pages.take(self._call(pages.call()))

    def logs(self, task_id: str, after: int = 0) -> Iterator[LogLine]:
        """The log lines that there are now, oldest first, from after the seq `after`."""
        while (lines := self._call(calls.log_page(task_id, after))).items:
            yield from lines.items
            after = lines.next_after

    def attempts(self, task_id: str, after: int = 0) -> Iterator[Attempt]:
        """The task's attempts that there are now, oldest first, from after the one that began at the seq `after`."""
        while (attempts := self._call(calls.attempt_page(task_id, after))).items:
            yield from attempts.items
            after = attempts.next_after

    def stream(self, task_id: str, after: int = 0) -> Iterator[Event]:
        """The task's events from after the seq `after`, as they happen, until it has ended.

        Outlasts broken connections and server restarts: it goes on where it was, nothing dropped or repeated.
        """
        cursor = Cursor(after, self._server.url, self._server.patience_s)
        while not cursor.ended:
            try:
                yield from self._transport.events(task_id, cursor)
                if not cursor.ended:
                    cursor.closed(self.get(task_id))
                delay = 0.0 if cursor.ended else cursor.broke()
            except (httpx.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            time.sleep(delay)

    def wait(self, task_id: str, timeout_s: float | None = None) -> Task:
        """Block until the task has ended; TimeoutError after `timeout_s` seconds says where it stands."""

        async def wait() -> Task:
            async with AsyncLongrun(self._server.url, **self._server.limits()) as client:
                return await client.wait(task_id, timeout_s)

        # A blocking read of a stream cannot be given a deadline, an awaited one can.
        with start_blocking_portal() as portal:
            return portal.call(wait)

    def cancel(self, task_id: str) -> Task:
        """Cancel the task: it reads CANCELLED at once, its process has stopped when `cancel.stopped_at` is set."""
        return self._call(calls.cancel(task_id))

    def retry(self, task_id: str) -> Task:
        """Try a FAILED or CANCELLED task again: its events go on, its tries count anew.

        ProblemError (409) if it is in another status, or cancelled and not stopped yet.
        """
        return self._call(calls.retry(task_id))

    def create_schedule(
        self, name: str, cron: str, task: Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> Schedule:
        """Make a schedule: at each tick of `cron` it submits `task`, {"task_type", "input"} and what `submit` takes."""
        return self._call(calls.create_schedule(name, cron, task, options))

    def schedule(self, key: str) -> Schedule:
        """The schedule of this id or name."""
        return self._call(calls.schedule(key))

    def schedules(self) -> Iterator[Schedule]:
        """All schedules, newest first; pages are fetched as they are needed."""
        return self._transport.walk(calls.schedule_page)

    def change_schedule(self, key: str, **changes: Any) -> Schedule:
        """Change these fields of a schedule, or of its `task`; None brings back a default."""
        return self._call(calls.change_schedule(key, changes))

    def pause_schedule(self, key: str) -> Schedule:
        """Let a schedule make no more tasks until it is resumed."""
        return self._call(calls.pause_schedule(key))

    def resume_schedule(self, key: str) -> Schedule:
        """Let a paused schedule go on with its next tick."""
        return self._call(calls.resume_schedule(key))

    def run_schedule(self, key: str) -> Task:
        """Submit a schedule's task now, whatever its ticks say."""
        return self._call(calls.run_schedule(key))

    def delete_schedule(self, key: str) -> Schedule:
        """Forget a schedule; its tasks stay."""
        return self._call(calls.delete_schedule(key))

    def queues(self) -> Iterator[Queue]:
        """Every queue that is used, by name; pages are fetched as they are needed."""
        return self._transport.walk(calls.queue_page)

    def queue(self, name: str) -> Queue:
        """The queue of this name."""
        return self._call(calls.queue(name))

    def pause_queue(self, name: str) -> Queue:
        """Let nothing more be taken from a queue until it is resumed; what runs goes on."""
        return self._call(calls.change_queue(name, {"paused": True}))

    def resume_queue(self, name: str) -> Queue:
        """Let a paused queue go on at once."""
        return self._call(calls.change_queue(name, {"paused": False}))

    def limit_queue(self, name: str, max_running: int | None) -> Queue:
        """Let at most so many tasks of a queue run at once; None takes the limit away. What runs goes on."""
        return self._call(calls.change_queue(name, {"max_running": max_running}))

    def concurrency_limits(self) -> Iterator[ConcurrencyLimit]:
        """The limits that were set, by key; pages are fetched as they are needed."""
        return self._transport.walk(calls.concurrency_limit_page)

    def set_concurrency_limit(self, key: str, max_running: int) -> ConcurrencyLimit:
        """Let at most so many tasks of a `concurrency_key` run at once. What runs goes on."""
        return self._call(calls.set_concurrency_limit(key, max_running))

    def clear_concurrency_limit(self, key: str) -> None:
        """Let the tasks of a `concurrency_key` run one at a time again."""
        self._call(calls.clear_concurrency_limit(key))

    def task_types(self) -> tuple[TaskType, ...]:
        """What can be submitted."""
        return self._call(calls.task_types())

    def workers(self) -> tuple[Worker, ...]:
        """The workers that are alive, and what they run."""
        return self._call(calls.workers())

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
