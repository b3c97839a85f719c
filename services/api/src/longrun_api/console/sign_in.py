"""Signing in with an API key or a JWT, and signing out. The browser gets a session, and keeps no credential."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from longrun_api.auth.grants import Grant
from longrun_api.auth.refusals import Unauthenticated
from longrun_api.auth.sessions import COOKIE, SESSION_S, session_of
from longrun_api.console.forms import read_form
from longrun_api.console.page import HEADERS, Page, console_root, open_page, see
from longrun_api.runtime import runtime_of

WRONG: Final = "The key is unknown, expired or revoked."


@open_page
async def show(request: Request) -> Page | Response:
    """The form that takes a key, and the way to the provider. Who needs neither, is led on."""
    if not runtime_of(request).settings.asks_for_credentials:
        return see(request, "")
    return form_page(request, request.query_params.get("next", ""))


@open_page
async def sign_in(request: Request) -> Page | Response:
    """Begin a session for the caller whose key the form has."""
    form = await read_form(request)
    authenticator = runtime_of(request).authenticator
    try:
        grant = await authenticator.grant_of_header(b"Bearer " + form.get("key", "").strip().encode())
    except Unauthenticated:
        return form_page(request, form.get("next", ""), WRONG)
    is_https = request.headers.get("origin", "").startswith("https:")  # behind a proxy, the scheme here is http
    return await signed_in(request, grant, form.get("next", ""), is_https)


@open_page
async def sign_out(request: Request) -> Response:
    """End the session, and have the browser forget it."""
    await read_form(request)
    await runtime_of(request).authenticator.sessions.end(session_of(request.scope))
    response = see(request, "/sign-in")
    response.delete_cookie(COOKIE, path=console_root(request.scope))
    return response


async def signed_in(request: Request, grant: Grant, wanted: str, is_https: bool) -> Response:
    """Begin a session for the caller with this grant, and show the page that was wanted."""
    response = RedirectResponse(own_page(request, wanted), 303, HEADERS)
    response.set_cookie(
        COOKIE,
        await runtime_of(request).authenticator.sessions.begin(grant),
        max_age=SESSION_S,
        path=console_root(request.scope),
        secure=is_https,
        httponly=True,
        samesite="lax",
    )
    return response


def form_page(request: Request, wanted: str, error: str = "", status: int = 401) -> Page:
    """The page for signing in, with what went wrong."""
    provider = runtime_of(request).authenticator.provider
    values = {"next": own_page(request, wanted), "error": error, "provider": provider and provider.name}
    return Page("sign_in.html", values, status if error else 200)


def own_page(request: Request, wanted: str) -> str:
    """The page to show next: one of the console, whatever the address of the form says."""
    root = console_root(request.scope)
    is_own = wanted == root or wanted.startswith((f"{root}/", f"{root}?"))
    return wanted if is_own and wanted.isascii() and wanted.isprintable() else root
