"""The methods of both clients about schedules."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from functools import partial
from typing import Any, Unpack

from longrun_client import calls_schedules
from longrun_client.async_transport import AsyncTransport
from longrun_client.models import Task
from longrun_client.models_schedules import Schedule
from longrun_client.options import ScheduleOptions
from longrun_client.transport import Transport


class ScheduleClient:
    """Create, look at, change, pause, resume, run and delete schedules."""

    _transport: Transport

    def create_schedule(
        self, name: str, cron: str, task: Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> Schedule:
        """Create a schedule that submits `task` at each tick of `cron`; `task` has the fields of `POST /tasks`."""
        return self._transport.call(calls_schedules.create_schedule(name, cron, task, options))

    def schedule(self, key: str) -> Schedule:
        """Get a schedule by its id or name."""
        return self._transport.call(calls_schedules.schedule(key))

    def schedules(self, *, owner: str | None = None) -> Iterator[Schedule]:
        """Iterate over all schedules, or those of one owner, newest first. Pages are fetched as needed."""
        return self._transport.walk(partial(calls_schedules.schedule_page, owner=owner))

    def change_schedule(self, key: str, **changes: Any) -> Schedule:
        """Change the given fields of a schedule or of its `task`; None resets a field to its default."""
        return self._transport.call(calls_schedules.change_schedule(key, changes))

    def pause_schedule(self, key: str, *, idempotency_key: str | None = None) -> Schedule:
        """Pause a schedule: it submits no tasks until it is resumed."""
        return self._transport.call(calls_schedules.pause_schedule(key, idempotency_key))

    def resume_schedule(self, key: str, *, idempotency_key: str | None = None) -> Schedule:
        """Resume a paused schedule from its next tick on."""
        return self._transport.call(calls_schedules.resume_schedule(key, idempotency_key))

    def run_schedule(self, key: str, *, idempotency_key: str | None = None) -> Task:
        """Submit a schedule's task now, regardless of its ticks."""
        return self._transport.call(calls_schedules.run_schedule(key, idempotency_key))

    def delete_schedule(self, key: str) -> Schedule:
        """Delete a schedule; its tasks stay."""
        return self._transport.call(calls_schedules.delete_schedule(key))


class AsyncScheduleClient:
    """Create, look at, change, pause, resume, run and delete schedules."""

    _transport: AsyncTransport

    async def create_schedule(
        self, name: str, cron: str, task: Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> Schedule:
        """Create a schedule that submits `task` at each tick of `cron`; `task` has the fields of `POST /tasks`."""
        return await self._transport.call(calls_schedules.create_schedule(name, cron, task, options))

    async def schedule(self, key: str) -> Schedule:
        """Get a schedule by its id or name."""
        return await self._transport.call(calls_schedules.schedule(key))

    def schedules(self, *, owner: str | None = None) -> AsyncGenerator[Schedule, None]:
        """Iterate over all schedules, or those of one owner, newest first. Pages are fetched as needed."""
        return self._transport.walk(partial(calls_schedules.schedule_page, owner=owner))

    async def change_schedule(self, key: str, **changes: Any) -> Schedule:
        """Change the given fields of a schedule or of its `task`; None resets a field to its default."""
        return await self._transport.call(calls_schedules.change_schedule(key, changes))

    async def pause_schedule(self, key: str, *, idempotency_key: str | None = None) -> Schedule:
        """Pause a schedule: it submits no tasks until it is resumed."""
        return await self._transport.call(calls_schedules.pause_schedule(key, idempotency_key))

    async def resume_schedule(self, key: str, *, idempotency_key: str | None = None) -> Schedule:
        """Resume a paused schedule from its next tick on."""
        return await self._transport.call(calls_schedules.resume_schedule(key, idempotency_key))

    async def run_schedule(self, key: str, *, idempotency_key: str | None = None) -> Task:
        """Submit a schedule's task now, regardless of its ticks."""
        return await self._transport.call(calls_schedules.run_schedule(key, idempotency_key))

    async def delete_schedule(self, key: str) -> Schedule:
        """Delete a schedule; its tasks stay."""
        return await self._transport.call(calls_schedules.delete_schedule(key))
