"""Every error as a problem document (RFC 9457), which says what went wrong, in which field, and what to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from jobcore.errors import FieldError, InvalidInput, LongrunError, QuotaExceeded
from jobcore.store.database import RowRefused
from jobcore.telemetry import logs
from longrun_api import request_ids
from longrun_api.methods import allowed

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:longrun:problem:"
INCIDENT_PREFIX: Final = "urn:longrun:incident:"
QUOTA_TYPE: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"

log = logs.get(__name__)


class HttpError(LongrunError):
    """An error at the level of HTTP; `headers` are added to the response, and `members` to the document."""

    headers: Mapping[str, str] = MappingProxyType({})
    members: Mapping[str, Any] = MappingProxyType({})


class MalformedJson(LongrunError):
    """The body is not JSON; the detail says at which line and column."""

    status = 400
    slug = "malformed-json"
    title = "The request body is not JSON"


class BodyTooLarge(LongrunError):
    """The body is larger than this server accepts."""

    status = 413
    slug = "body-too-large"
    title = "The request body is too large"


class UnsupportedMediaType(HttpError):
    """The body is not declared as uncompressed JSON in UTF-8."""

    status = 415
    slug = "unsupported-media-type"
    title = "The request body has the wrong content type"

    def __init__(self, detail: str, accept: str = "application/json") -> None:
        super().__init__(detail)
        self.headers = {"Accept": accept, "Accept-Encoding": "identity"}


class ServerBusy(HttpError):
    """The process has too many connections, or holds too many or too large requests."""

    status = 503
    slug = "overloaded"
    title = "The server is busy"
    retry_after_s = 1


class ShuttingDown(LongrunError):
    """The process is shutting down."""

    status = 503
    slug = "shutting-down"
    title = "This server is shutting down"
    retry_after_s = 1


def problem(error: LongrunError, **members: Any) -> Response:
    """The response to a known error; `members` are added to the document (RFC 9457, section 3.2)."""
    headers, own = (dict(error.headers), dict(error.members)) if isinstance(error, HttpError) else ({}, {})
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    document = _document(error.status, error.slug, error.title, str(error) or error.title)
    return _response(document | _errors(error) | own | members, headers)


def members_of(error: LongrunError) -> dict[str, Any]:
    """A problem document as a part of an answer, which has a request id of its own."""
    return _members(error.status, error.slug, error.title, str(error) or error.title) | _errors(error)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem document."""
    for kind in (*KNOWN, Exception):
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """The response to a request that failed with this error."""
    handle = next((handler for kind, handler in _HANDLERS.items() if isinstance(error, kind)), _unexpected)
    return await handle(request, error)


def field_errors(errors: Iterable[Mapping[str, Any]], prefix: str = "", known: Iterable[str] = ()) -> list[FieldError]:
    """Pydantic's errors with JSON paths (`input.links[0].url`); that of an unknown field lists the `known` fields."""
    return [FieldError(path(prefix, *error["loc"]), _message(error, known)) for error in errors]


def path(prefix: str, *loc: str | int) -> str:
    """A JSON path: names separated by dots, indexes in brackets."""
    text = prefix
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text[:200] or "body"


def _message(error: Mapping[str, Any], known: Iterable[str]) -> str:
    if error["type"] == "extra_forbidden":
        names = ", ".join(known) if len(error["loc"]) == 1 else ""
        return f"unknown field; known fields: {names}" if names else "unknown field"
    if error["type"] == "missing":
        return "is required"
    return str(error["msg"]).removeprefix("Value error, ")[:500]


async def _known(request: Request, error: Exception) -> Response:
    if isinstance(error, RowRefused):
        error = InvalidInput(FieldError("body", f"contains a value that PostgreSQL cannot store: {error}"))
    if isinstance(error, LongrunError) and error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(error)
    return await _unexpected(request, error)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # the first part of a loc is the place of the parameter: query, path or header; of a list, the index follows
    errors = [{**item, "loc": item["loc"][1:2]} for item in error.errors()]
    return problem(InvalidInput(*field_errors(errors)))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    detail = error.detail
    if status is HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path}; {_near(request) or '/docs lists all paths'}"
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed(request.app.router.routes, request.scope))
        detail = f"{request.url.path} accepts {headers['Allow']}, not {request.method}"
    slug = status.phrase.lower().replace(" ", "-")
    return _response(_document(status, slug, status.phrase, detail), headers)


async def _disconnected(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # the client is gone and will not read it


async def _unexpected(request: Request, error: Exception) -> Response:
    incident = uuid4().hex
    log.error("request failed", incident=incident, method=request.method, path=request.url.path, exc_info=error)
    detail = f"the server's log has the details under incident {incident}"
    document = _document(HTTPStatus.INTERNAL_SERVER_ERROR, LongrunError.slug, LongrunError.title, detail)
    return _response(document | {"instance": INCIDENT_PREFIX + incident}, {})


_HANDLERS: Final[Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    LongrunError: _known,
    RequestValidationError: _invalid,
    HTTPException: _http,
    ClientDisconnect: _disconnected,
}
KNOWN: Final = tuple(_HANDLERS)
"""The exceptions that are answers; any other one is a fault."""


def _near(request: Request) -> str | None:
    path = request.scope["path"].rstrip("/")
    is_there = allowed(request.app.router.routes, {**request.scope, "path": path})
    return f"did you mean {path}?" if path != request.scope["path"] and is_there else None


def _document(status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    document = _members(status, slug, title, detail)
    request_id = request_ids.current()
    return document if request_id is None else document | {"request_id": request_id}


def _members(status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    return {"type": TYPE_PREFIX + slug, "title": title, "status": int(status), "detail": detail}


def _errors(error: LongrunError) -> dict[str, Any]:
    if isinstance(error, QuotaExceeded):  # draft-ietf-httpapi-ratelimit-headers-11, section 5.1
        return {"type": QUOTA_TYPE, "violated-policies": [error.quota]}
    if not isinstance(error, InvalidInput) or not error.errors:
        return {}
    return {"errors": [{"field": each.field, "message": each.message} for each in error.errors]}


def _response(document: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    # json.dumps escapes to ASCII: a client may have sent lone surrogates, which UTF-8 cannot encode
    return Response(json.dumps(document), document["status"], dict(headers), MEDIA_TYPE)
