"""Signing in at the OpenID provider: the browser is led there, and comes back with a code (ADR 61)."""

from __future__ import annotations

import hmac
import time
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobcore.telemetry import logs
from longrun_api.auth.attempts import ATTEMPT_COOKIE, ATTEMPT_S, Attempt
from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.grants import Grant
from longrun_api.auth.issuer import IssuerFailed
from longrun_api.auth.issuer_keys import IssuerUnavailable
from longrun_api.auth.provider import Provider, Tokens
from longrun_api.auth.refusals import Unauthenticated, invalid
from longrun_api.auth.sessions import cookie_of
from longrun_api.console.page import HEADERS, Page, open_page
from longrun_api.console.sign_in import form_page, own_page, signed_in
from longrun_api.runtime import runtime_of

AGAIN: Final = "This attempt to sign in was begun in another window or has taken too long: sign in again."
NOT_FOR_US: Final = (
    "The provider knows you, but gave no token for this API. Its operator finds the reason in the log of the API."
)

log = logs.get(__name__)


@open_page
async def begin(request: Request) -> Page | Response:
    """Lead the browser to the provider."""
    provider, wanted = _provider(request), request.query_params.get("next", "")
    attempt = Attempt.begin(own_page(request, wanted))
    try:
        address = await provider.address(attempt)
    except IssuerFailed as error:
        return _failed(request, wanted, error)
    response = RedirectResponse(address, 303, HEADERS)
    redirect = urlsplit(provider.redirect_url)
    response.set_cookie(
        ATTEMPT_COOKIE,
        attempt.cookie,
        max_age=ATTEMPT_S,
        path=redirect.path,
        secure=redirect.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


@open_page
async def end(request: Request) -> Page | Response:
    """Begin a session for the person whom the provider has led back."""
    provider, given = _provider(request), request.query_params
    attempt = Attempt.of_cookie(cookie_of(request.scope, ATTEMPT_COOKIE))
    if attempt is None or not _is_answer_to(attempt, provider, request):
        return form_page(request, "", AGAIN)  # nothing of this address is shown: anybody can have made it
    if "code" not in given:
        said = ": ".join(given[name] for name in ("error", "error_description") if name in given)
        return form_page(request, attempt.next, f"The provider says: {said or 'nothing'}")
    try:
        tokens = await provider.tokens(attempt, given["code"])
        grant = await _grant(runtime_of(request).authenticator, await provider.subject(attempt, tokens), tokens)
    except (IssuerFailed, IssuerUnavailable) as error:
        return _failed(request, attempt.next, error)
    except Unauthenticated as error:
        log.warning("cannot sign in at the OIDC issuer", reason=str(error))
        return form_page(request, attempt.next, NOT_FOR_US)
    lasting = replace(grant, until=time.time() + provider.session_s)
    response = await signed_in(request, lasting, attempt.next, provider.redirect_url.startswith("https:"))
    response.delete_cookie(ATTEMPT_COOKIE, path=urlsplit(provider.redirect_url).path)
    return response


async def _grant(authenticator: Authenticator, subject: str, tokens: Tokens) -> Grant:
    """What the access token allows, or else the ID token: whichever is for this API, as for any caller."""
    try:
        grant = await authenticator.grant_of_header(b"Bearer " + tokens.access.encode())
    except Unauthenticated as error:
        try:
            grant = await authenticator.grant_of_header(b"Bearer " + tokens.id.encode())
        except Unauthenticated as other:
            raise invalid(f"access token: {error}; ID token: {other}") from None
    if grant.signed_by is None or grant.caller.name != subject:
        raise invalid("the access token is about another person than the ID token")
    return grant


def _is_answer_to(attempt: Attempt, provider: Provider, request: Request) -> bool:
    """Whether the browser that comes back has begun the attempt, and at this provider (RFC 9207)."""
    given = request.query_params
    return given.get("iss", provider.issuer) == provider.issuer and hmac.compare_digest(
        given.get("state", "").encode(), attempt.state.encode()
    )


def _failed(request: Request, wanted: str, error: Exception) -> Page:
    log.warning("cannot sign in at the OIDC issuer", reason=str(error))
    return form_page(request, wanted, f"The provider cannot be asked now: {error}", 503)


def _provider(request: Request) -> Provider:
    provider = runtime_of(request).authenticator.provider
    if provider is None:
        raise HTTPException(404)
    return provider
