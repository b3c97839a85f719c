"""The API, asked by a page within this process: with the page's caller, through the same routes and checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

from longrun_api.auth.grants import GRANT
from longrun_api.callers import CALLER

OF_THE_CONNECTION: Final = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path", "app", "state")
"""What a request of a page has in common with that for the page."""
Parameters = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """The API has answered with a problem document; see `longrun_api.problems`."""

    problem: Mapping[str, Any]

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.problem["status"])

    @property
    def detail(self) -> str:
        """What went wrong, and what to do."""
        return str(self.problem.get("detail") or self.problem["title"])

    @property
    def fields(self) -> dict[str, str]:
        """What is wrong with each field of the request."""
        return {each["field"]: each["message"] for each in self.problem.get("errors", ())}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its status and its JSON."""

    status: int
    json: Any


class InnerApi:
    """Asks the API for a page."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def get(self, path: str, parameters: Parameters = ()) -> Any:
        """The JSON at this path; raises Refused."""
        return (await self._ask("GET", path, urlencode(list(parameters)), b"")).json

    async def send(self, method: str, path: str, body: object = None) -> Answer:
        """The answer to a request that changes something; raises Refused."""
        return await self._ask(method, path, "", b"" if body is None else json.dumps(body).encode())

    async def _ask(self, method: str, path: str, query: str, body: bytes) -> Answer:
        status, pieces = 500, []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                pieces.append(message.get("body", b""))

        await api_of(self._request)(inner_scope(self._request.scope, method, path, query, body), receive, send)
        text = b"".join(pieces)
        found = json.loads(text) if text else None
        if status >= 400:
            raise Refused(found or {"status": status, "title": "The API gave no reason"})
        return Answer(status, found)


def api_of(request: Request) -> ASGIApp:
    """The application behind the recognition of callers."""
    inner: ASGIApp = request.app.state.inner
    return inner


def inner_scope(outer: Scope, method: str, path: str, query: str = "", body: bytes = b"") -> Scope:
    """The scope of a request of the page that `outer` asks for; the caller is the same."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else []
    return {
        **{name: outer[name] for name in (*OF_THE_CONNECTION, CALLER, GRANT) if name in outer},
        "method": method,
        "path": outer.get("root_path", "") + path,
        "query_string": query.encode(),
        "headers": headers,
    }
