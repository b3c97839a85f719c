"""Path prefixes: `/v1`, the version of the API, and `LONGRUN_ROOT_PATH`, under which a proxy serves it.

Both become the `root_path` of the scope, so that routes match without them and links begin with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

VERSION: Final = "/v1"


def own_path(scope: Mapping[str, Any]) -> str:
    """The path of a request without its prefixes."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class Prefixes:
    """ASGI middleware that moves the prefixes of a path to `root_path`. A proxy may have removed its own already."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with `path` beginning with `root_path` (ASGI specification, HTTP connection scope)."""
        if scope["type"] == "http":
            root_path, path = scope["root_path"], scope["path"]
            if root_path or path.startswith(VERSION):
                path = _after(root_path, path) or path
                if (rest := _after(VERSION, path)) is not None:
                    root_path, path = root_path + VERSION, rest
                scope["root_path"], scope["path"] = root_path, root_path + path
        await self.app(scope, receive, send)


def _after(prefix: str, path: str) -> str | None:
    """The path after the prefix, "/" if there is nothing else; None if it does not begin with the prefix."""
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else None
