"""The API with callers that a header names, in place of their keys.

It takes the arguments of `python -m longrun_api`. A request without the header is the operator's.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from jobcore.models.caller import Caller
from jobcore.models.caller import Scope as Right
from longrun_api import __main__ as server
from longrun_api import main
from longrun_api.callers import set_caller

OWNER = b"x-test-owner"
RIGHTS = b"x-test-rights"


class NamedCallers:
    """ASGI middleware that believes the header."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", []))
        if OWNER in headers or RIGHTS in headers:
            owner = unquote(headers[OWNER].decode()) if OWNER in headers else None
            rights = headers[RIGHTS].decode().split() if RIGHTS in headers else list(Right)
            set_caller(scope, Caller(owner, frozenset(map(Right, rights)), f"test {owner}"))
        await self._app(scope, receive, send)


def command(port: int) -> list[str]:
    """Its command line."""
    return [sys.executable, "-P", __file__, "--host", "127.0.0.1", "--port", str(port)]


if __name__ == "__main__":
    main.app = NamedCallers(main.app)  # type: ignore[assignment]
    server.main()
