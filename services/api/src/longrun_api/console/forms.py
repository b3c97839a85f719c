"""What a form of the console has sent, after its token was found to be that of the session."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from longrun_api.auth.sessions import session_of
from longrun_api.problems import BodyTooLarge, HttpError, UnsupportedMediaType
from longrun_api.runtime import runtime_of

FORM: Final = "application/x-www-form-urlencoded"
TOKEN: Final = "form_token"  # noqa: S105
MAX_FIELDS: Final = 2_000


class ForeignForm(HttpError):
    """The form is none of this session's."""

    status = 403
    slug = "foreign-form"
    title = "This form was not made for you"


Form = ImmutableMultiDict[str, str]


async def read_form(request: Request) -> Form:
    """The fields of the form; raises ForeignForm for one that another page, or another session, has made."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise UnsupportedMediaType(f"send the header Content-Type: {FORM}", FORM)
    bound = 4 * runtime_of(request).settings.max_body_bytes  # percent-encoded
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bound:
            raise BodyTooLarge(f"at most {bound:,} bytes are accepted")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BodyTooLarge(f"a form has at most {MAX_FIELDS:,} fields, in UTF-8") from None
    form = ImmutableMultiDict(fields)
    sessions = runtime_of(request).authenticator.sessions
    if not await sessions.is_own_form(session_of(request.scope), form.get(TOKEN, "")):
        raise ForeignForm("your session has changed since the page was shown: load it again, and repeat what you did")
    return form
