"""The blocking client. It shares requests, parsing, retries and resuming with `AsyncLongrun`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from longrun_client import calls, calls_files, calls_list, calls_why
from longrun_client.audit_client import AuditClient
from longrun_client.bulk_client import BulkClient
from longrun_client.calls import Until
from longrun_client.cursor import Cursor
from longrun_client.downloads import Download
from longrun_client.errors import LongrunError
from longrun_client.key_client import KeyClient
from longrun_client.models import Attempt, Event, LogLine, Page, Task, TaskType, Worker
from longrun_client.models_counts import TaskCounts
from longrun_client.models_files import TaskFile, UploadedFile
from longrun_client.models_output import Piece
from longrun_client.models_why import Why
from longrun_client.options import FilterOptions, ListOptions, Source, SubmitOptions, ValidateOptions
from longrun_client.queue_client import QueueClient
from longrun_client.schedule_client import ScheduleClient
from longrun_client.server import Server
from longrun_client.stats_client import StatsClient
from longrun_client.submit_many import SubmitMany
from longrun_client.transport import Transport
from longrun_client.uploads import Upload, to_upload, with_uploaded
from longrun_client.wait import Wait
from longrun_client.watch_client import WatchClient
from longrun_client.webhook_client import WebhookClient


class Longrun(
    QueueClient, ScheduleClient, SubmitMany, BulkClient, WatchClient, KeyClient, AuditClient, WebhookClient, StatsClient
):
    """A client of a Longrun server: submit, read, follow, cancel and retry tasks.

    `base_url` is the address of the server, by default that in LONGRUN_URL or else http://127.0.0.1:8000. `api_key`
    is what a server that asks for one gets, by default LONGRUN_API_KEY. `timeout_s` is the limit of one exchange, in
    seconds. `patience_s` is how many seconds `stream` and `wait` outlast an outage of
    the server.

    Every method raises ProblemError if the server refuses the request, and LongrunUnavailable if it cannot be reached.
    Several threads may share a client.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 300.0,
    ) -> None:
        self._server = Server.at(base_url, timeout_s, patience_s, api_key)
        self._transport = Transport(self._server)
        self._call = self._transport.call

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return self._server.url

    def submit(
        self,
        task_type: str,
        input: Mapping[str, Any],
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Submit a task. Once this returns, the task is stored and will not be lost.

        The request has an idempotency key (a new one, if none is given), so it is sent again after a lost connection,
        a timeout or an answer such as 503, and accepted once. MaybeAccepted is raised if no answer came in the end.
        """
        uploaded = {name: self.upload(source) for name, source in to_upload(options).items()}
        return self._call(calls.submit(task_type, input, with_uploaded(options, uploaded)))

    def upload(self, source: Source, media_type: str | None = None) -> UploadedFile:
        """Upload a file, of any size, that one submission may then use in its option `files`.

        `media_type` is guessed from the name of the file if it is not given. A path, or a file that can be rewound, is
        sent again if no answer comes. Raises OSError if it cannot be read.
        """
        return self._transport.upload(Upload(source, media_type))

    def validate(self, task_type: str, input: Mapping[str, Any], **options: Unpack[ValidateOptions]) -> Task:
        """Check a submission: the task that it would make. Nothing is stored, and no task has its id."""
        return self._call(calls.validate(task_type, input, options))

    def get(self, task_id: str) -> Task:
        """Get a task."""
        return self._call(calls.get(task_id))

    def why(self, task_id: str) -> Why:
        """Get the one cause why a task does not run now, and what would let it run."""
        return self._call(calls_why.why(task_id))

    def page(self, *, limit: int = calls.PAGE_SIZE, cursor: str | None = None, **options: Unpack[ListOptions]) -> Page:
        """Get a page of at most `limit` tasks, newest first; `cursor` is the `next` of the previous page.

        A page may have fewer tasks, or none, although `next` is not None: the server only searches so far at once.
        """
        return self._call(calls_list.page(limit, cursor, options))

    def list(self, *, limit: int | None = None, **options: Unpack[ListOptions]) -> Iterator[Task]:
        """Iterate over all tasks, or the first `limit`, newest first. Pages are fetched as needed."""
        pages = calls_list.Pages(limit, options)
        while pages.more:
            yield from pages.take(self._call(pages.call()))

    def count(self, **options: Unpack[FilterOptions]) -> TaskCounts:
        """Count the tasks that match every option, by status, up to a bound of the server."""
        return self._call(calls_list.count(options))

    def logs(self, task_id: str, after: int = 0) -> Iterator[LogLine]:
        """Iterate over the current log lines with a seq larger than `after`, oldest first."""
        return self._transport.walk_by_seq(calls.log_page, task_id, after)

    def output(self, task_id: str, after: int = 0, *, follow: bool = True) -> Iterator[Piece]:
        """Iterate over the task's output with a seq larger than `after`, as it is emitted, until the task has ended.

        It outlasts broken connections as `stream` does. With `follow=False` it ends after the current output.
        """
        if not follow:
            return self._transport.walk_by_seq(calls.output_page, task_id, after)
        return (Piece.of(event) for event in self.stream(task_id, after) if event.kind == "output")

    def attempts(self, task_id: str, after: int = 0) -> Iterator[Attempt]:
        """Iterate over the current attempts with a seq larger than `after`, oldest first."""
        return self._transport.walk_by_seq(calls.attempt_page, task_id, after)

    def stream(self, task_id: str, after: int = 0) -> Iterator[Event]:
        """Iterate over the task's events with a seq larger than `after`, as they happen, until the task has ended.

        The stream survives broken connections and server restarts: it continues after the last event and neither drops
        nor repeats one.
        """
        cursor = Cursor(after, self._server.shown, self._server.patience_s)
        while not cursor.ended:
            try:
                yield from self._transport.events(calls.stream_path(task_id), cursor)
                if not cursor.ended:
                    cursor.closed(self.get(task_id))
                delay = 0.0 if cursor.ended else cursor.broke()
            except (httpx2.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            time.sleep(delay)

    def wait(self, task_id: str, timeout_s: float | None = None, *, until: Until = "ended") -> Task:
        """Block until the task has ended; raises TimeoutError, with the task's state, after `timeout_s` seconds.

        `until="stopped"` also waits for the stop of a cancelled run: see `cancel`.
        """
        wait = Wait(task_id, timeout_s, self._server, until)
        while True:
            try:
                task = self._call(wait.call())
                if wait.is_over(task):
                    return task
                delay = wait.answered(task)
            except LongrunError as error:
                delay = wait.broke(error)
            time.sleep(delay)

    def input_files(self, task_id: str) -> tuple[TaskFile, ...]:
        """Get the files that a task was submitted with, by name."""
        return self._call(calls_files.input_files(task_id))

    def files(self, task_id: str) -> tuple[TaskFile, ...]:
        """Get the result files of a task, by name."""
        return self._call(calls_files.files(task_id))

    def download(self, task_id: str, name: str, to: str | os.PathLike[str] | None = None) -> Path:
        """Download a result file of a task to `to`, a file or a folder, by default the current one; returns its path.

        A broken connection is continued. The file is there only once it is whole. Raises IncompleteDownload if it is
        not what the server stored, and OSError if it cannot be written.
        """
        return self._transport.download(calls_files.file_path(task_id, name), Download(name, to))

    def download_input(self, task_id: str, name: str, to: str | os.PathLike[str] | None = None) -> Path:
        """Download an input file of a task, as `download` does a result file."""
        return self._transport.download(calls_files.input_file_path(task_id, name), Download(name, to))

    def cancel(self, task_id: str) -> Task:
        """Cancel the task. Its status is CANCELLED at once; `wait(task_id, until="stopped")` waits for its run."""
        return self._call(calls.cancel(task_id))

    def retry(self, task_id: str, *, idempotency_key: str | None = None) -> Task:
        """Retry a FAILED or CANCELLED task. It keeps its events; its tries start again from zero.

        Raises ProblemError (409) if it has another status, or is cancelled and has not stopped yet.
        """
        return self._call(calls.retry(task_id, idempotency_key))

    def task_types(self) -> tuple[TaskType, ...]:
        """Get the task types that can be submitted."""
        return self._call(calls.task_types())

    def workers(self) -> tuple[Worker, ...]:
        """Get the live workers and the tasks that they run."""
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
