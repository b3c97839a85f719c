"""`/docs`: Swagger UI, from files of this server, under a policy that lets it load and run nothing else."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import RedirectResponse

from longrun_api.auth.scopes import for_anyone

router = APIRouter(include_in_schema=False)

STATIC: Final = "/static-offline-docs"
"""Where fastapi-offline serves the files of Swagger UI."""
SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/")
@for_anyone
async def root(request: Request) -> Response:
    """Lead a browser to the console, and others to the docs."""
    is_person = "text/html" in request.headers.get("accept", "")
    page = "/console" if is_person else "/docs"
    return RedirectResponse(f"{request.scope['root_path']}{page}", headers={"Vary": "Accept"})


@router.get("/docs")
@for_anyone
async def docs(request: Request) -> Response:
    """Show Swagger UI."""
    static = request.scope["root_path"] + STATIC
    page = get_swagger_ui_html(
        openapi_url=f"{request.scope['root_path']}/openapi.json",
        title="Longrun",
        swagger_js_url=f"{static}/swagger-ui-bundle.js",
        swagger_css_url=f"{static}/swagger-ui.css",
        swagger_favicon_url=f"{static}/favicon.png",
    )
    page.headers["Content-Security-Policy"] = policy(bytes(page.body))
    return page


def policy(page: bytes) -> str:
    """A Content-Security-Policy for a page of Swagger UI, with the hashes of its own scripts (CSP 3)."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in SCRIPT.findall(page))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {hashes}",
            "style-src 'self' 'unsafe-inline'",  # Swagger UI sets styles of its elements
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
