"""The files of the console: its style, its script, and htmx. Their addresses change with them, so caches keep them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longrun_api.auth.scopes import for_anyone
from longrun_api.compression import accepts_gzip

TYPES: Final = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file: its bytes, the same compressed, and the name under which it is served."""

    plain: bytes
    gzipped: bytes
    media_type: str
    served_as: str


def _load(name: str, media_type: str) -> Asset:
    data = (files("longrun_api.console") / "assets" / name).read_bytes()
    mark = hashlib.sha256(data).hexdigest()[:16]
    return Asset(data, gzip.compress(data, mtime=0), media_type, f"{mark}.{name}")


ASSETS: Final = {name: _load(name, media_type) for name, media_type in TYPES.items()}
_SERVED: Final = {asset.served_as: asset for asset in ASSETS.values()}


def address(name: str) -> str:
    """Where a file is, below the console."""
    return f"/assets/{ASSETS[name].served_as}"


@for_anyone
async def serve(request: Request) -> Response:
    """Send a file."""
    asset = _SERVED.get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if accepts_gzip(value for name, value in request.scope["headers"] if name == b"accept-encoding"):
        return Response(asset.gzipped, 200, {**headers, "Content-Encoding": "gzip"}, asset.media_type)
    return Response(asset.plain, 200, headers, asset.media_type)
