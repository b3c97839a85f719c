"""Check JWTs of the issuer: signature, issuer, audience and times; then its claims say who the caller is.

A JWT is checked once. What it allows is remembered until it expires, or until the issuer withdraws the key that signed
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidTokenError, PyJWTError

from longrun_api.auth.claims import ClaimRules, UnusableClaims
from longrun_api.auth.grants import Grant, Grants
from longrun_api.auth.issuer import Issuer, IssuerKey
from longrun_api.auth.issuer_keys import IssuerKeys
from longrun_api.auth.refusals import invalid
from longrun_api.oidc_settings import OidcSettings

REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub"]


class JwtChecks:
    """Fills `grants` with what the issuer's JWTs say."""

    def __init__(self, grants: Grants, settings: OidcSettings) -> None:
        assert settings.oidc_issuer is not None
        self._grants = grants
        self._rules = ClaimRules.of(settings)
        self._audience = settings.oidc_audience
        self._algorithms = frozenset(settings.oidc_algorithms)
        self._leeway_s = settings.oidc_leeway_s
        self.issuer = Issuer(settings.oidc_issuer, settings.oidc_jwks_url, self._algorithms)
        self._keys = IssuerKeys(
            self.issuer.keys,
            self._drop_signed_by_others,
            refresh_s=settings.oidc_refresh_s,
            stale_s=settings.oidc_stale_s,
        )
        self._decode = partial(
            jwt.decode,
            issuer=settings.oidc_issuer,
            leeway=settings.oidc_leeway_s,
            options={"require": REQUIRED},
        )

    async def start(self) -> None:
        """Fetch the issuer's keys, in the background."""
        await self._keys.start()

    async def close(self) -> None:
        """Stop fetching them."""
        await self._keys.close()
        await self.issuer.close()

    async def grant(self, digest: bytes, token: str) -> Grant:
        """What this JWT allows; raises Unauthenticated, and IssuerUnavailable if nobody can say."""
        key = await self._key(token)
        claims = self._claims(token, key, self._audience)
        try:
            caller = self._rules.caller(claims)
        except UnusableClaims as error:
            raise invalid(f"the token cannot be used here: {error}") from None
        return self._grants.keep(digest, Grant(caller, int(claims["exp"]) + self._leeway_s, signed_by=key.thumbprint))

    async def identity(self, token: str, client: str) -> Mapping[str, Any]:
        """The claims of an ID token for this client (OpenID Connect Core 1.0, section 3.1.3.7); raises as `grant`."""
        claims = self._claims(token, await self._key(token), (client,))
        if claims.get("azp", client) != client:
            raise invalid("the token cannot be used here: it was made for another client")
        return claims

    async def again(self, digest: bytes, grant: Grant) -> Grant:
        """A grant that this or another process made, for somebody who need not show the JWT again."""
        if grant.expired or await self._keys.find(grant.signed_by) is None:
            raise invalid()
        return self._grants.keep(digest, grant)

    async def _key(self, token: str) -> IssuerKey:
        """The key that the JWT says it is signed with. Whatever cannot be a JWT of the issuer has no key fetched."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise invalid() from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise invalid()
        key = await self._keys.find(header.get("kid"))
        if key is None or algorithm not in key.algorithms:
            raise invalid()
        return key

    def _claims(self, token: str, key: IssuerKey, audience: tuple[str, ...]) -> Mapping[str, Any]:
        try:
            return self._decode(token, key.public, algorithms=sorted(key.algorithms), audience=audience)
        except (jwt.InvalidSignatureError, jwt.DecodeError):
            raise invalid() from None
        except InvalidTokenError as error:  # the issuer signed it: whoever has it may know what is wrong with it
            raise invalid(f"the token cannot be used here: {error}") from None
        except PyJWTError:
            raise invalid() from None

    def _drop_signed_by_others(self, thumbprints: frozenset[str]) -> None:
        for digest, grant in self._grants.all():
            if grant.signed_by is not None and grant.signed_by not in thumbprints:
                self._grants.drop(digest)
