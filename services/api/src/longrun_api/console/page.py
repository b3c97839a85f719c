"""A page: what its function found, in the frame of the console; what goes wrong is a page too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope as AsgiScope

from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.models.caller import Scope
from longrun_api.auth.scopes import authorized, for_anyone, needs
from longrun_api.auth.sessions import CONSOLE, session_of
from longrun_api.callers import caller_of
from longrun_api.console.inner_api import Refused
from longrun_api.console.rendering import TEMPLATES
from longrun_api.problems import members_of
from longrun_api.runtime import runtime_of

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""What a page may load and run: files of this server, and nothing within the page (CSP 3)."""
HEADERS: Final = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
SECTIONS: Final = (
    ("Overview", "", None),
    ("Jobs", "/jobs", None),
    ("Schedules", "/schedules", None),
    ("Queues", "/queues", Scope.READ),
    ("Workers", "/workers", Scope.READ),
    ("Webhooks", "/webhooks", Scope.ADMIN),
    ("Keys", "/keys", Scope.ADMIN),
    ("Audit log", "/audit-log", Scope.ADMIN),
)
"""The sections of the console. One with a scope is for callers without an owner, or for those with ADMIN."""


@dataclass(frozen=True, slots=True)
class Page:
    """A template, what it shows, and the status of the response."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


Show = Callable[[Request], Awaitable[Page | Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def page(show: Show) -> Endpoint:
    """The endpoint that shows what this function finds, to whoever may read."""
    return _endpoint(show, needs(Scope.READ), authorized)


def open_page(show: Show) -> Endpoint:
    """The endpoint of a page that anyone may see."""
    return _endpoint(show, for_anyone, lambda endpoint: endpoint)


def _endpoint(show: Show, declare: Callable[[Endpoint], Endpoint], check: Callable[[Endpoint], Endpoint]) -> Endpoint:
    @wraps(show)
    async def found(request: Request) -> Response:
        shown = await show(request)
        return shown if isinstance(shown, Response) else await rendered(request, shown)

    checked = check(declare(found))

    @wraps(show)
    async def answered(request: Request) -> Response:
        try:
            return await checked(request)
        except Refused as refusal:
            return await rendered(request, _error(refusal.problem))
        except LongrunError as error:
            return await rendered(request, _error(members_of(error)))

    return declare(answered)


@page
async def nothing(request: Request) -> Page:
    """The page for an address that has none."""
    detail = f"There is nothing at {request.url.path}."
    return _error({"status": 404, "title": "Not found", "detail": detail})


def _error(problem: Mapping[str, Any]) -> Page:
    return Page("error.html", {"problem": problem}, int(problem["status"]))


async def rendered(request: Request, shown: Page) -> Response:
    """The page as HTML, in the frame."""
    root = console_root(request.scope)
    caller, runtime = caller_of(request), runtime_of(request)
    session = session_of(request.scope)
    values = {
        "root": root,
        "api_root": request.scope.get("root_path", ""),
        "here": request.url.path,
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "caller": caller,
        "may": {scope.value: caller.may(scope) for scope in Scope},
        "sections": [
            (name, root + path)
            for name, path, scope in SECTIONS
            if scope is None or (caller.may(scope) and (scope is Scope.ADMIN or caller.owner is None))
        ],
        "is_signed_in": runtime.settings.asks_for_credentials and bool(session),
        "form_token": await _form_token(request, session),
        **shown.values,
    }
    text = TEMPLATES.get_template(shown.template).render(values)
    return HTMLResponse(text.encode("utf-8", "replace"), shown.status, HEADERS)


async def _form_token(request: Request, session: str) -> str:
    try:
        return await runtime_of(request).authenticator.sessions.form_token(session)
    except StoreUnavailable:
        return ""  # the page that says so needs none


def see(request: Request, path: str) -> Response:
    """Lead the browser to another page of the console, after a form was sent."""
    return RedirectResponse(f"{console_root(request.scope)}{path}", 303, HEADERS)


def sign_in_first(scope: AsgiScope) -> Response:
    """Lead a browser without a session to the page for signing in, and from there back to what it wanted."""
    if any(name == b"hx-request" for name, _ in scope["headers"]):
        return Response(status_code=401, headers=HEADERS)  # the script loads the page again, which then leads there
    query = scope["query_string"].decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "") if scope["method"] == "GET" else console_root(scope)
    return RedirectResponse(f"{console_root(scope)}/sign-in?next={quote(wanted, safe='')}", 303, HEADERS)


def console_root(scope: AsgiScope) -> str:
    """The path of the console, behind the prefixes of the API."""
    return f"{scope.get('root_path', '')}{CONSOLE}"
