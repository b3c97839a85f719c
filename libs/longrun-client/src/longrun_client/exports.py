"""The position of a reader in an export, which is one JSON value a line, across any number of connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import httpx2
from pydantic import ValidationError

from longrun_client import calls_list
from longrun_client.answers import reason
from longrun_client.calls import task_path
from longrun_client.errors import UnexpectedAnswer
from longrun_client.models import Event, Task
from longrun_client.options import ExportOptions
from longrun_client.patience import Patience
from longrun_client.server import Server

MEDIA_TYPE: Final = "application/x-ndjson"

T = TypeVar("T")


class Export(Generic[T]):
    """The lines of one export. A broken connection is continued behind the last line. It does no I/O."""

    def __init__(
        self,
        path: str,
        params: Mapping[str, str | int | Sequence[str]],
        read: Callable[[Any], T],
        place: Callable[[T], str | int | None],
        server: Server,
    ) -> None:
        self.path = path
        self._params = dict(params)
        self._read = read
        self._place = place
        self._patience = Patience(server.url, server.patience_s)
        self.broke = self._patience.broke
        self._rest = b""

    @property
    def params(self) -> dict[str, str | int | Sequence[str]]:
        """The parameters of the next request."""
        return dict(self._params)

    def opened(self, response: httpx2.Response) -> None:
        """Handle the head of a response; raises UnexpectedAnswer."""
        content_type = response.headers.get("Content-Type", "no content type").partition(";")[0]
        if content_type != MEDIA_TYPE:
            raise UnexpectedAnswer(f"{response.url} answered {content_type} instead of an export")
        self._patience.reached()
        self._rest = b""

    def take(self, piece: bytes) -> Iterator[T]:
        """The values of the lines that end in this piece of the response. Raises UnexpectedAnswer."""
        *lines, self._rest = (self._rest + piece).split(b"\n")  # other line ends may be in strings of JSON
        for line in lines:
            if line.strip():
                yield self._value(line)

    def _value(self, line: bytes) -> T:
        try:
            value = self._read(json.loads(line))
        except (ValidationError, ValueError, TypeError) as error:
            shown = line[:200].decode(errors="replace")
            raise UnexpectedAnswer(f"cannot parse a line of an export ({reason(error)}): {shown}") from error
        place = self._place(value)
        if place is not None:
            self._params["after"] = place
        return value


def of_tasks(options: ExportOptions, server: Server) -> Export[Task]:
    """GET /tasks:export; raises ValueError for a time without a time zone."""
    return Export("/tasks:export", calls_list.params(options), Task.model_validate, lambda task: task.task_id, server)


def of_events(task_id: str, after: int, server: Server) -> Export[Event]:
    """GET /tasks/{id}/events."""
    path = f"{task_path(task_id)}/events"
    return Export(path, {"after": after}, Event.model_validate, lambda event: event.seq, server)
