"""Signing in at the OpenID provider: the authorization code flow (OpenID Connect Core 1.0, section 3.1) with PKCE."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from longrun_api.auth.attempts import Attempt
from longrun_api.auth.issuer import IssuerFailed, secure
from longrun_api.auth.jwt_checks import JwtChecks
from longrun_api.auth.refusals import invalid
from longrun_api.oidc_settings import OidcSettings

CALLBACK: Final = "/console/sign-in/callback"
"""Where the provider leads browsers back to, below LONGRUN_PUBLIC_URL."""
DESCRIBED_S: Final = 300.0
"""Seconds for which the provider's description is believed."""
PAUSE_S: Final = 5.0
"""Seconds before it is asked again that has not answered: requests for signing in need no credentials."""
EXCHANGES: Final = 4
"""How many codes are exchanged at once."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the provider gives for a code."""

    access: str
    id: str


class Provider:
    """Where people sign in, and what it says of them."""

    def __init__(self, jwts: JwtChecks, settings: OidcSettings) -> None:
        assert settings.oidc_client_id is not None
        assert settings.public_url is not None
        self._jwts = jwts
        self._client = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._scopes = " ".join(settings.oidc_client_scopes)
        self._description: Mapping[str, Any] = {}
        self._asked_at = -inf
        self._asking = asyncio.Lock()
        self._turns = asyncio.Semaphore(EXCHANGES)
        self.issuer = str(settings.oidc_issuer)
        self.redirect_url = settings.public_url.rstrip("/") + CALLBACK
        self.session_s = settings.oidc_session_s

    @property
    def name(self) -> str:
        """What people know it by: its host."""
        return urlsplit(self.issuer).hostname or self.issuer

    async def address(self, attempt: Attempt) -> str:
        """The page of the provider at which this attempt goes on; raises IssuerFailed."""
        url = secure(await self._described(), "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self.redirect_url,
            "scope": self._scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"

    async def tokens(self, attempt: Attempt, code: str) -> Tokens:
        """What the provider gives for this code; raises IssuerFailed."""
        described = await self._described()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "code_verifier": attempt.verifier,
        }
        client = None
        if self._secret is None:
            form["client_id"] = self._client
        elif "client_secret_basic" in described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            client = quote_plus(self._client), quote_plus(self._secret.get_secret_value())
        else:
            form |= {"client_id": self._client, "client_secret": self._secret.get_secret_value()}
        async with self._turns:
            answer = await self._jwts.issuer.token(secure(described, "token_endpoint"), form, client)
        access, identity = answer.get("access_token"), answer.get("id_token")
        if not isinstance(access, str) or not isinstance(identity, str):
            raise IssuerFailed("it gives no access_token and id_token")
        return Tokens(access, identity)

    async def subject(self, attempt: Attempt, tokens: Tokens) -> str:
        """Who has signed in, by the ID token; raises Unauthenticated and IssuerUnavailable."""
        claims = await self._jwts.identity(tokens.id, self._client)
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), attempt.nonce.encode()):
            raise invalid("the ID token was made for another attempt to sign in")
        return str(claims["sub"])

    async def _described(self) -> Mapping[str, Any]:
        async with self._asking:
            age_s = time.monotonic() - self._asked_at
            if age_s > (DESCRIBED_S if self._description else PAUSE_S):
                self._asked_at, self._description = time.monotonic(), {}
                self._description = await self._jwts.issuer.description()
        if not self._description:
            raise IssuerFailed("it does not answer")
        return self._description
