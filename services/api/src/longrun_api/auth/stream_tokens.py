"""Tokens with which a page in a browser opens a stream: EventSource sends no header, and no key belongs in a URL.

One can be used for TOKEN_S seconds, and only to open a stream.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

from longrun_api.auth.grant_tokens import GrantTokens
from longrun_api.database import AsyncDatabase
from longrun_api.prefixes import own_path

TOKEN_S: Final = 60
"""Seconds for which a token opens streams."""
PARAMETER: Final = "stream_token"
"""The query parameter that has it."""
STREAMS: Final = re.compile("/events/stream|/tasks/[^/]+/stream")


def stream_tokens(database: AsyncDatabase) -> GrantTokens:
    """Makes and reads stream tokens."""
    return GrantTokens(database, "stream-tokens", TOKEN_S)


def take(scope: Scope) -> str | None:
    """Remove the token from the query of a request that opens a stream, so that nothing logs it; None: it has none."""
    if PARAMETER.encode() not in scope["query_string"] or scope["method"] != "GET":
        return None
    if not STREAMS.fullmatch(own_path(scope)):
        return None
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    tokens = [value for name, value in given if name == PARAMETER]
    scope["query_string"] = urlencode([pair for pair in given if pair[0] != PARAMETER]).encode()
    return tokens[0] if tokens else None
