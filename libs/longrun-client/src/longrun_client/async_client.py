"""The client for asyncio and trio: `Longrun` with `async` methods."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, Unpack

import anyio
import httpx

from longrun_client import calls, calls_files, calls_list
from longrun_client.cursor import Cursor
from longrun_client.downloads import Download
from longrun_client.errors import LongrunError, ProblemError, UnexpectedAnswer
from longrun_client.models import Attempt, Event, LogLine, Page, Task, TaskType, Worker
from longrun_client.models_files import TaskFile
from longrun_client.models_output import Piece
from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.models_schedules import Schedule
from longrun_client.options import ListOptions, ScheduleOptions, SubmitOptions
from longrun_client.server import Server
from longrun_client.transport import AsyncTransport

POLL_S: Final = 1.0


class AsyncLongrun:
    """`Longrun` for async code: the same methods, to be awaited. Methods that iterate return async iterators."""

    def __init__(self, base_url: str | None = None, *, timeout_s: float = 10.0, patience_s: float = 300.0) -> None:
        self._server = Server.at(base_url, timeout_s, patience_s)
        self._transport = AsyncTransport(self._server)
        self._call = self._transport.call

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return self._server.url

    async def submit(
        self,
        task_type: str,
        input: Mapping[str, Any],
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Submit a task: see `Longrun.submit`."""
        return await self._call(calls.submit(task_type, input, options))

    async def get(self, task_id: str) -> Task:
        """Get a task."""
        return await self._call(calls.get(task_id))

    async def page(
        self, *, limit: int = calls.PAGE_SIZE, cursor: str | None = None, **options: Unpack[ListOptions]
    ) -> Page:
        """Get a page of at most `limit` tasks, newest first; `cursor` is the `next` of the previous page.

        A page may have fewer tasks, or none, although `next` is not None: the server only searches so far at once.
        """
        return await self._call(calls_list.page(limit, cursor, options))

    async def list(self, *, limit: int | None = None, **options: Unpack[ListOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over all tasks, or the first `limit`, newest first. Pages are fetched as needed."""
        pages = calls_list.Pages(limit, options)
        while pages.more:
            for task in pages.take(await self._call(pages.call())):
                yield task

    def logs(self, task_id: str, after: int = 0) -> AsyncGenerator[LogLine, None]:
        """Iterate over the current log lines with a seq larger than `after`, oldest first."""
        return self._transport.walk_by_seq(calls.log_page, task_id, after)

    async def output(self, task_id: str, after: int = 0, *, follow: bool = True) -> AsyncGenerator[Piece, None]:
        """Iterate over the task's output, as it is emitted, until the task has ended: see `Longrun.output`."""
        if follow:
            async with aclosing(self.stream(task_id, after)) as events:
                async for event in events:
                    if event.kind == "output":
                        yield Piece.of(event)
        else:
            async for piece in self._transport.walk_by_seq(calls.output_page, task_id, after):
                yield piece

    def attempts(self, task_id: str, after: int = 0) -> AsyncGenerator[Attempt, None]:
        """Iterate over the current attempts, oldest first: see `Longrun.attempts`."""
        return self._transport.walk_by_seq(calls.attempt_page, task_id, after)

    async def stream(self, task_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Iterate over the task's events with a seq larger than `after`, until it has ended: see `Longrun.stream`."""
        cursor = Cursor(after, self._server.url, self._server.patience_s)
        while not cursor.ended:
            try:
                async with aclosing(self._transport.events(task_id, cursor)) as events:
                    async for event in events:
                        yield event
                if not cursor.ended:
                    cursor.closed(await self.get(task_id))
                delay = 0.0 if cursor.ended else cursor.broke()
            except (httpx.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            await anyio.sleep(delay)

    async def wait(self, task_id: str, timeout_s: float | None = None) -> Task:
        """Wait until the task has ended; raises TimeoutError, with the task's state, after `timeout_s` seconds."""
        try:
            with anyio.fail_after(timeout_s):
                return await self._until_ended(task_id)
        except TimeoutError:
            raise TimeoutError(await self._where_it_stands(task_id, timeout_s)) from None

    async def files(self, task_id: str) -> tuple[TaskFile, ...]:
        """Get the result files of a task, by name."""
        return await self._call(calls_files.files(task_id))

    async def download(self, task_id: str, name: str, to: str | os.PathLike[str] | None = None) -> Path:
        """Download a result file of a task; returns its path: see `Longrun.download`."""
        return await self._transport.download(calls_files.file_path(task_id, name), Download(name, to))

    async def cancel(self, task_id: str) -> Task:
        """Cancel the task: see `Longrun.cancel`."""
        return await self._call(calls.cancel(task_id))

    async def retry(self, task_id: str) -> Task:
        """Retry the task: see `Longrun.retry`."""
        return await self._call(calls.retry(task_id))

    async def create_schedule(
        self, name: str, cron: str, task: Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> Schedule:
        """Create a schedule that submits `task` at each tick of `cron`; `task` has the fields of `POST /tasks`."""
        return await self._call(calls.create_schedule(name, cron, task, options))

    async def schedule(self, key: str) -> Schedule:
        """Get a schedule by its id or name."""
        return await self._call(calls.schedule(key))

    def schedules(self) -> AsyncGenerator[Schedule, None]:
        """Iterate over all schedules, newest first. Pages are fetched as needed."""
        return self._transport.walk(calls.schedule_page)

    async def change_schedule(self, key: str, **changes: Any) -> Schedule:
        """Change the given fields of a schedule or of its `task`; None resets a field to its default."""
        return await self._call(calls.change_schedule(key, changes))

    async def pause_schedule(self, key: str) -> Schedule:
        """Pause a schedule: it submits no tasks until it is resumed."""
        return await self._call(calls.pause_schedule(key))

    async def resume_schedule(self, key: str) -> Schedule:
        """Resume a paused schedule from its next tick on."""
        return await self._call(calls.resume_schedule(key))

    async def run_schedule(self, key: str) -> Task:
        """Submit a schedule's task now, regardless of its ticks."""
        return await self._call(calls.run_schedule(key))

    async def delete_schedule(self, key: str) -> Schedule:
        """Delete a schedule; its tasks stay."""
        return await self._call(calls.delete_schedule(key))

    def queues(self) -> AsyncGenerator[Queue, None]:
        """Iterate over all queues in use, by name. Pages are fetched as needed."""
        return self._transport.walk(calls.queue_page)

    async def queue(self, name: str) -> Queue:
        """Get a queue by its name."""
        return await self._call(calls.queue(name))

    async def pause_queue(self, name: str) -> Queue:
        """Pause a queue: none of its tasks starts until it is resumed. Running tasks continue."""
        return await self._call(calls.change_queue(name, {"paused": True}))

    async def resume_queue(self, name: str) -> Queue:
        """Resume a paused queue."""
        return await self._call(calls.change_queue(name, {"paused": False}))

    async def limit_queue(self, name: str, max_running: int | None) -> Queue:
        """Limit how many tasks of a queue run at once; None removes the limit. Running tasks continue."""
        return await self._call(calls.change_queue(name, {"max_running": max_running}))

    def concurrency_limits(self) -> AsyncGenerator[ConcurrencyLimit, None]:
        """Iterate over the limits that were set, by key. Pages are fetched as needed."""
        return self._transport.walk(calls.concurrency_limit_page)

    async def set_concurrency_limit(self, key: str, max_running: int) -> ConcurrencyLimit:
        """Limit how many tasks with this `concurrency_key` run at once. Running tasks continue."""
        return await self._call(calls.set_concurrency_limit(key, max_running))

    async def clear_concurrency_limit(self, key: str) -> None:
        """Remove the limit of a `concurrency_key`: its tasks run one at a time again."""
        await self._call(calls.clear_concurrency_limit(key))

    async def task_types(self) -> tuple[TaskType, ...]:
        """Get the task types that can be submitted."""
        return await self._call(calls.task_types())

    async def workers(self) -> tuple[Worker, ...]:
        """Get the live workers and the tasks that they run."""
        return await self._call(calls.workers())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _until_ended(self, task_id: str) -> Task:
        task = await self.get(task_id)
        if task.ended:
            return task
        # If the stream fails, for example because of a proxy, poll.
        with suppress(UnexpectedAnswer, ProblemError):
            async with aclosing(self.stream(task_id, after=task.seq)) as events:
                async for _ in events:
                    pass
        while not (task := await self.get(task_id)).ended:  # noqa: ASYNC110
            await anyio.sleep(POLL_S)
        return task

    async def _where_it_stands(self, task_id: str, waited_s: float | None) -> str:
        try:
            task = await self.get(task_id)
        except LongrunError as error:
            return f"task {task_id} did not end within {waited_s:g} s, and {error}"
        progress = f", at {task.progress.done:g} of {task.progress.total or '?'}" if task.progress else ""
        return (
            f"task {task_id} did not end within {waited_s:g} s: it is {task.status}, attempt {task.attempt}{progress}"
        )
