"""The chunks in which `submit_many` sends tasks: each is one `POST /tasks:batch`, accepted as a whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from longrun_client.calls import Call, time_text
from longrun_client.errors import FieldError, ProblemError
from longrun_client.keys import new_key
from longrun_client.models import Task

MAX_TASKS: Final = 1000
MAX_BYTES: Final = 1_000_000
"""A little less than what a server accepts by default."""
TOO_LARGE: Final = 413
_INDEX: Final = re.compile(r"items\[(\d+)\]")
_TASKS: Final = TypeAdapter(list[Task])
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some tasks, as JSON; `start` is the number of tasks before them. `key` is that of the whole submission."""

    key: str | None
    """None: the tasks are only to be validated."""
    start: int
    texts: Sequence[bytes]

    def call(self) -> Call[list[Task]]:
        """POST /tasks:batch, whose idempotency key names the chunk."""
        body = b'{"items":[%b]}' % b",".join(self.texts)
        if self.key is None:
            return Call("POST", "/tasks:batch", _tasks, content=body, params={"validate_only": "true"})
        key = new_key(f"{self.key}/{self.start}-{self.start + len(self.texts)}")
        return Call("POST", "/tasks:batch", _tasks, content=body, key=key)

    def parts(self, error: ProblemError) -> tuple[Chunk, Chunk]:
        """Two halves of a chunk that is too large for the server; raises any other error, with the tasks' numbers."""
        count = len(self.texts)
        if error.status != TOO_LARGE or count == 1:
            raise self._numbered(error) from None
        half = count // 2
        return Chunk(self.key, self.start, self.texts[:half]), Chunk(self.key, self.start + half, self.texts[half:])

    def _numbered(self, error: ProblemError) -> ProblemError:
        """The error, whose fields count from the first task of all."""

        def number(found: re.Match[str]) -> str:
            return f"items[{self.start + int(found[1])}]"

        errors = [FieldError(field=_INDEX.sub(number, each.field, 1), message=each.message) for each in error.errors]
        detail = f"items[{self.start}]: {error.detail}" if error.status == TOO_LARGE else error.detail
        return ProblemError(
            error.status, error.title, detail, type=error.type, errors=errors, retry_after_s=error.retry_after_s
        )


class Chunks:
    """Collects tasks until they fill a chunk. It holds one chunk at a time. Without a key, they are only validated."""

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._start = self._bytes = 0
        self._texts: list[bytes] = []

    def add(self, task: Mapping[str, Any]) -> Iterator[Chunk]:
        """Add a task; the chunks that are full now. Raises ValueError if it cannot be written as JSON."""
        text = _text(self._start + len(self._texts), task)
        if self._bytes + len(text) > MAX_BYTES:
            yield from self.rest()
        self._texts.append(text)
        self._bytes += len(text) + 1
        if len(self._texts) == MAX_TASKS:
            yield from self.rest()

    def rest(self) -> Iterator[Chunk]:
        """The last chunk, if any task is left."""
        if self._texts:
            chunk = Chunk(self._key, self._start, self._texts)
            self._start += len(self._texts)
            self._texts, self._bytes = [], 0
            yield chunk


def _text(number: int, task: Mapping[str, Any]) -> bytes:
    place = f"items[{number}]"
    if not isinstance(task, Mapping):
        raise ValueError(f"{place}: must be a mapping with the fields of POST /tasks, not {type(task).__name__}")
    if "idempotency_key" in task:
        raise ValueError(f"{place}.idempotency_key: give one key for all tasks, as an argument of submit_many")
    fields = {
        name: time_text(f"{place}.{name}", value) if isinstance(value, datetime) else value
        for name, value in task.items()
        if value is not None
    }
    try:
        return _encode(fields).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{place}: cannot be written as JSON: {error}") from error


def _tasks(answer: Any) -> list[Task]:
    return _TASKS.validate_python([item["task"] for item in answer["items"]])
