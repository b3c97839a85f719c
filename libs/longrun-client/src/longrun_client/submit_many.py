"""The method of both clients that submits many tasks by few requests, one at a time and in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from longrun_client.async_transport import AsyncTransport
from longrun_client.chunks import Chunk, Chunks
from longrun_client.errors import ProblemError
from longrun_client.keys import new_key
from longrun_client.models import Task
from longrun_client.read_ahead import AsyncReadAhead, ReadAhead, in_background
from longrun_client.transport import Transport

Tasks = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]


class SubmitMany:
    """Submit many tasks."""

    _transport: Transport

    def submit_many(self, tasks: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None) -> Iterator[Task]:
        """Submit tasks, and iterate over them in the same order, as they are accepted.

        Each is a mapping with the fields of `POST /tasks`: `task_type`, `input` and options. They are read and sent as
        you iterate, in chunks of up to 1,000; the next one is read while one is on its way, and no more than these two
        are in memory. **Nothing is submitted until you iterate.** A chunk is sent once the one before it is accepted
        and you have taken its tasks. It is accepted as a whole or not at all, and sent again, with an idempotency key
        of its own, if no answer comes.

        If a task is refused, ProblemError names it by its number (`items[1042].input.url`): all tasks before its chunk
        are accepted, and none from there on. To go on after an error or a crash, call this again with the same
        `idempotency_key` and the same tasks before the place of the error: what was accepted is returned again, and
        not submitted twice. Raises ValueError for a task that cannot be written as JSON.
        """
        return self._submit_chunks(tasks, new_key(idempotency_key))

    def validate_many(self, tasks: Iterable[Mapping[str, Any]]) -> Iterator[Task]:
        """Check tasks as `submit_many` does, and iterate over what would be submitted: nothing is stored."""
        return self._submit_chunks(tasks, None)

    def _submit_chunks(self, tasks: Iterable[Mapping[str, Any]], key: str | None) -> Iterator[Task]:
        ahead = ReadAhead(_chunks(tasks, key))
        while chunk := ahead.next():
            yield from self._submit_chunk(chunk, ahead)

    def _submit_chunk(self, chunk: Chunk, ahead: ReadAhead) -> Iterator[Task]:
        try:
            accepted = ahead.read_until(in_background(partial(self._transport.call, chunk.call())))
        except ProblemError as error:
            for part in chunk.parts(error):
                yield from self._submit_chunk(part, ahead)
        else:
            yield from accepted


class AsyncSubmitMany:
    """Submit many tasks."""

    _transport: AsyncTransport

    def submit_many(self, tasks: Tasks, *, idempotency_key: str | None = None) -> AsyncGenerator[Task, None]:
        """Submit tasks, and iterate over them in the same order, as they are accepted: see `Longrun.submit_many`."""
        return self._submit_chunks(tasks, new_key(idempotency_key))

    def validate_many(self, tasks: Tasks) -> AsyncGenerator[Task, None]:
        """Check tasks, and iterate over what would be submitted: see `Longrun.validate_many`."""
        return self._submit_chunks(tasks, None)

    async def _submit_chunks(self, tasks: Tasks, key: str | None) -> AsyncGenerator[Task, None]:
        ahead = AsyncReadAhead(_async_chunks(tasks, key))
        while chunk := await ahead.next():
            async for task in self._submit_chunk(chunk, ahead):
                yield task

    async def _submit_chunk(self, chunk: Chunk, ahead: AsyncReadAhead) -> AsyncGenerator[Task, None]:
        try:
            accepted = await ahead.read_until(partial(self._transport.call, chunk.call()))
        except ProblemError as error:
            for part in chunk.parts(error):
                async for task in self._submit_chunk(part, ahead):
                    yield task
        else:
            for task in accepted:
                yield task


def _chunks(tasks: Iterable[Mapping[str, Any]], key: str | None) -> Iterator[Chunk | None]:
    """The chunks, and None after each task."""
    chunks = Chunks(key)
    for task in tasks:
        yield from chunks.add(task)
        yield None
    yield from chunks.rest()


async def _async_chunks(tasks: Tasks, key: str | None) -> AsyncGenerator[Chunk | None, None]:
    if not isinstance(tasks, AsyncIterable):
        for chunk in _chunks(tasks, key):
            yield chunk
        return
    chunks = Chunks(key)
    async for task in tasks:
        for chunk in chunks.add(task):
            yield chunk
        yield None
    for chunk in chunks.rest():
        yield chunk
