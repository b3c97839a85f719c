"""The client for asyncio and trio: `Longrun` with `async` methods."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import anyio
import httpx2

from longrun_client import calls, calls_files, calls_list, calls_why
from longrun_client.async_transport import AsyncTransport
from longrun_client.audit_client import AsyncAuditClient
from longrun_client.bulk_client import AsyncBulkClient
from longrun_client.calls import Until
from longrun_client.cursor import Cursor
from longrun_client.downloads import Download
from longrun_client.errors import LongrunError
from longrun_client.key_client import AsyncKeyClient
from longrun_client.models import Attempt, Event, LogLine, Page, Task, TaskType, Worker
from longrun_client.models_counts import TaskCounts
from longrun_client.models_files import TaskFile, UploadedFile
from longrun_client.models_output import Piece
from longrun_client.models_why import Why
from longrun_client.options import FilterOptions, ListOptions, Source, SubmitOptions, ValidateOptions
from longrun_client.queue_client import AsyncQueueClient
from longrun_client.schedule_client import AsyncScheduleClient
from longrun_client.server import Server
from longrun_client.stats_client import AsyncStatsClient
from longrun_client.submit_many import AsyncSubmitMany
from longrun_client.uploads import Upload, to_upload, with_uploaded
from longrun_client.wait import Wait
from longrun_client.watch_client import AsyncWatchClient
from longrun_client.webhook_client import AsyncWebhookClient


class AsyncLongrun(
    AsyncQueueClient,
    AsyncScheduleClient,
    AsyncSubmitMany,
    AsyncBulkClient,
    AsyncWatchClient,
    AsyncKeyClient,
    AsyncAuditClient,
    AsyncWebhookClient,
    AsyncStatsClient,
):
    """`Longrun` for async code: the same methods, to be awaited. Methods that iterate return async iterators."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 300.0,
    ) -> None:
        self._server = Server.at(base_url, timeout_s, patience_s, api_key)
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
        uploaded = {name: await self.upload(source) for name, source in to_upload(options).items()}
        return await self._call(calls.submit(task_type, input, with_uploaded(options, uploaded)))

    async def upload(self, source: Source, media_type: str | None = None) -> UploadedFile:
        """Upload a file, of any size, that one submission may then use in its option `files`.

        `media_type` is guessed from the name of the file if it is not given. A path, or a file that can be rewound, is
        sent again if no answer comes. Raises OSError if it cannot be read.
        """
        return await self._transport.upload(Upload(source, media_type))

    async def validate(self, task_type: str, input: Mapping[str, Any], **options: Unpack[ValidateOptions]) -> Task:
        """Check a submission: the task that it would make. Nothing is stored, and no task has its id."""
        return await self._call(calls.validate(task_type, input, options))

    async def get(self, task_id: str) -> Task:
        """Get a task."""
        return await self._call(calls.get(task_id))

    async def why(self, task_id: str) -> Why:
        """Get the one cause why a task does not run now, and what would let it run."""
        return await self._call(calls_why.why(task_id))

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

    async def count(self, **options: Unpack[FilterOptions]) -> TaskCounts:
        """Count the tasks that match every option: see `Longrun.count`."""
        return await self._call(calls_list.count(options))

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
        cursor = Cursor(after, self._server.shown, self._server.patience_s)
        while not cursor.ended:
            try:
                async with aclosing(self._transport.events(calls.stream_path(task_id), cursor)) as events:
                    async for event in events:
                        yield event
                if not cursor.ended:
                    cursor.closed(await self.get(task_id))
                delay = 0.0 if cursor.ended else cursor.broke()
            except (httpx2.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            await anyio.sleep(delay)

    async def wait(self, task_id: str, timeout_s: float | None = None, *, until: Until = "ended") -> Task:
        """Wait until the task has ended: see `Longrun.wait`."""
        wait = Wait(task_id, timeout_s, self._server, until)
        while True:
            try:
                task = await self._call(wait.call())
                if wait.is_over(task):
                    return task
                delay = wait.answered(task)
            except LongrunError as error:
                delay = wait.broke(error)
            await anyio.sleep(delay)

    async def input_files(self, task_id: str) -> tuple[TaskFile, ...]:
        """Get the files that a task was submitted with, by name."""
        return await self._call(calls_files.input_files(task_id))

    async def files(self, task_id: str) -> tuple[TaskFile, ...]:
        """Get the result files of a task, by name."""
        return await self._call(calls_files.files(task_id))

    async def download(self, task_id: str, name: str, to: str | os.PathLike[str] | None = None) -> Path:
        """Download a result file of a task; returns its path: see `Longrun.download`."""
        return await self._transport.download(calls_files.file_path(task_id, name), Download(name, to))

    async def download_input(self, task_id: str, name: str, to: str | os.PathLike[str] | None = None) -> Path:
        """Download an input file of a task, as `download` does a result file."""
        return await self._transport.download(calls_files.input_file_path(task_id, name), Download(name, to))

    async def cancel(self, task_id: str) -> Task:
        """Cancel the task: see `Longrun.cancel`."""
        return await self._call(calls.cancel(task_id))

    async def retry(self, task_id: str, *, idempotency_key: str | None = None) -> Task:
        """Retry the task: see `Longrun.retry`."""
        return await self._call(calls.retry(task_id, idempotency_key))

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
