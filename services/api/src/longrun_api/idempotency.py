"""The header `Idempotency-Key`: a POST that is repeated with its key has one effect, and gets the same answer.

The syntax is that of draft-ietf-httpapi-idempotency-key-header-07, an Internet-Draft that has expired: a string of
structured fields (RFC 9651, section 3.3.3). Most clients send the key without quotes, so this is accepted too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import IdempotencyKey, owned_keys
from longrun_api.callers import owner_of
from longrun_api.header_checks import HeaderNotSupported
from longrun_api.prefixes import own_path
from longrun_api.problems import HttpError
from longrun_api.runtime import runtime_of

HEADER: Final = "Idempotency-Key"
PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A value that no other request has, such as a UUID. A repeated request with the same key and body "
    "has no second effect and gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 257},
}
TAKES_KEY: Final[dict[str, Any]] = {"parameters": [PARAMETER]}
"""The `openapi_extra` of a POST that takes a key."""
REPLAYED: Final = {"Idempotency-Replayed": "true"}
LONGEST: Final = 255
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NAME: Final = HEADER.lower().encode()
_QUOTED: Final = re.compile(
    r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
    r'(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:"(?:[ !#-\[\]-~]|\\["\\])*"|[^\s",;]+))?)*'
)  # a string with parameters, which mean nothing here
_ESCAPED: Final = re.compile(r"\\(.)")
_BARE: Final = re.compile(r"[!#-+\--~]+")  # visible ASCII, but no quote, and no comma, which joins two headers


class MalformedIdempotencyKey(HttpError):
    """The value of Idempotency-Key is no key."""

    status = 400
    slug = "malformed-idempotency-key"
    title = "The Idempotency-Key is malformed"


async def check_key(request: Request) -> None:
    """Raise MalformedIdempotencyKey, or HeaderNotSupported for a POST that takes no key.

    GET, PUT, PATCH and DELETE are idempotent without one.
    """
    extra = request.scope["route"].openapi_extra or {}
    if request.method == "POST" and key_text(request) is not None and PARAMETER not in extra.get("parameters", ()):
        raise HeaderNotSupported(f"the answer of this POST is not stored, so it takes no {HEADER}: send it without")


def key_text(request: Request) -> str | None:
    """The key of the request, as it is stored for its caller; None if it has none. Raises MalformedIdempotencyKey."""
    values = [value for name, value in request.scope["headers"] if name == _NAME]
    if not values:
        return None
    if len(values) > 1:
        raise MalformedIdempotencyKey(f"it is given {len(values)} times: give it once")
    return owned_keys.stored(owner_of(request), parse_key(values[0].decode("latin-1")))


def parse_key(value: str) -> str:
    """The key in a header's value. Raises MalformedIdempotencyKey."""
    value = value.strip(" \t")
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    elif not _BARE.fullmatch(value):
        raise MalformedIdempotencyKey(
            'it must be a string of printable ASCII characters, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    if not 1 <= len(value) <= LONGEST:
        raise MalformedIdempotencyKey(f"it must have 1 to {LONGEST} characters, not {len(value)}")
    return value


def asked(request: Request, body: bytes = b"", files: Sequence[tuple[str, str]] = ()) -> bytes:
    """What a request asks for: its method, its path and its body.

    JSON that differs in whitespace or in the order of keys is equal. The body is JSON, or empty. `files` are the names
    and digests of the files beside it.
    """
    canonical = _CANONICAL.encode(json.loads(body)) if body.strip() else ""
    text = f"{request.method} {own_path(request.scope)}\n{canonical}"
    if files:
        text += f"\n{_CANONICAL.encode(files)}"
    return text.encode("utf-8", "surrogatepass")


def keyed(request: Request, text: str, body: bytes = b"", files: Sequence[tuple[str, str]] = ()) -> IdempotencyKey:
    """The key `text` of a request, with the fingerprints of what it asks for."""
    stored, *others = runtime_of(request).secret_keys.fingerprints(asked(request, body, files))
    return IdempotencyKey(text, stored, frozenset(others))


def key_of_body(request: Request, text: str | None, body: bytes, refusal: InvalidInput | None) -> IdempotencyKey | None:
    """The key of a request with this JSON body, which would get `refusal`; None if the request has no key.

    Raises InvalidInput for a body with numbers or depths that only Pydantic reads: it has never been answered.
    """
    if text is None:
        return None
    try:
        return keyed(request, text, body)
    except (ValueError, RecursionError):
        raise refusal or InvalidInput(FieldError("body", "cannot be read as JSON")) from None


def key_of(request: Request) -> IdempotencyKey | None:
    """The key of a request that has no body; None if it has none. Raises MalformedIdempotencyKey."""
    text = key_text(request)
    return keyed(request, text) if text is not None else None
