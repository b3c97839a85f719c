"""The methods of both clients that change or export many tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Unpack

from longrun_client import calls_bulk, exports
from longrun_client.async_transport import AsyncTransport
from longrun_client.models import Event, Task
from longrun_client.models_bulk import BulkResult
from longrun_client.options import BulkOptions, ExportOptions
from longrun_client.server import Server
from longrun_client.transport import Transport


class BulkClient:
    """Cancel, retry and export many tasks."""

    _server: Server
    _transport: Transport

    def cancel_many(self, ids: Sequence[str] | None = None, **options: Unpack[BulkOptions]) -> BulkResult:
        """Cancel up to 1,000 tasks by their ids, or the tasks of a filter; `all=True` means every task.

        If the filter has more than 1,000 tasks, `task` of the result is the task that cancels them: see `wait`.
        """
        return self._transport.call(calls_bulk.bulk("cancel", ids, options))

    def retry_many(self, ids: Sequence[str] | None = None, **options: Unpack[BulkOptions]) -> BulkResult:
        """Retry up to 1,000 FAILED or CANCELLED tasks by their ids, or those of a filter: see `cancel_many`."""
        return self._transport.call(calls_bulk.bulk("retry", ids, options))

    def export(self, **options: Unpack[ExportOptions]) -> Iterator[Task]:
        """Iterate over the tasks of a filter with their inputs and results, oldest first, in one response.

        A broken connection is continued behind the last task.
        """
        return self._transport.lines(exports.of_tasks(options, self._server))

    def events(self, task_id: str, after: int = 0) -> Iterator[Event]:
        """Iterate over the stored events of a task with a seq larger than `after`. `stream` follows the task."""
        return self._transport.lines(exports.of_events(task_id, after, self._server))


class AsyncBulkClient:
    """Cancel, retry and export many tasks."""

    _server: Server
    _transport: AsyncTransport

    async def cancel_many(self, ids: Sequence[str] | None = None, **options: Unpack[BulkOptions]) -> BulkResult:
        """Cancel many tasks: see `BulkClient.cancel_many`."""
        return await self._transport.call(calls_bulk.bulk("cancel", ids, options))

    async def retry_many(self, ids: Sequence[str] | None = None, **options: Unpack[BulkOptions]) -> BulkResult:
        """Retry many tasks: see `BulkClient.retry_many`."""
        return await self._transport.call(calls_bulk.bulk("retry", ids, options))

    def export(self, **options: Unpack[ExportOptions]) -> AsyncGenerator[Task, None]:
        """Iterate over the tasks of a filter: see `BulkClient.export`."""
        return self._transport.lines(exports.of_tasks(options, self._server))

    def events(self, task_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Iterate over the stored events of a task: see `BulkClient.events`."""
        return self._transport.lines(exports.of_events(task_id, after, self._server))
