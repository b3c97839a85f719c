"""ETags of queues and schedules, of whose documents clients can change a part.

A tag has two parts: the first is of what clients can change, the second of the whole document. A GET with If-None-Match
compares whole tags. A change with If-Match compares first parts: the counts of a busy queue change all the time, and a
client that changes its limit means no counts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from fastapi import Request, Response
from pydantic import BaseModel

from longrun_api import conditions
from longrun_api.conditions import PreconditionFailed
from longrun_api.origins import SAFE_METHODS

KNOWN: Final[dict[str, Any]] = {"description": "The client has this document: `If-None-Match` names its ETag"}
"""The OpenAPI object of a response 304."""


def response(request: Request, document: BaseModel, settings: object) -> Response:
    """The document with its ETag, or 304; `settings` is what clients can change, as a value with an exact `repr`."""
    text = document.model_dump_json().encode()
    return conditions.document(request, text, f'"{_part(settings)}.{conditions.digest(text)}"')


def is_guarded(request: Request) -> bool:
    """Whether a change has If-Match, so that it must not overwrite a concurrent one (RFC 9110, section 13.1.1)."""
    return request.method not in SAFE_METHODS and "if-match" in request.headers


def check(request: Request, settings: object) -> None:
    """Raise PreconditionFailed if this change is meant for other settings; None: there is nothing to change."""
    if not is_guarded(request):
        return
    wanted = conditions.strong_tags(request.headers)
    parts = {tag.strip('"').partition(".")[0] for tag in wanted}
    if settings is None or ("*" not in wanted and _part(settings) not in parts):
        raise changed()


def changed() -> PreconditionFailed:
    """The error for a change whose If-Match names another version."""
    return PreconditionFailed("it was changed since: get it again, and repeat the change with its ETag")


def _part(settings: object) -> str:
    return blake2b(repr(settings).encode(), digest_size=8).hexdigest()
