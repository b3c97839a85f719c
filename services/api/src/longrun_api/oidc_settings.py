"""Settings of `LONGRUN_AUTH=oidc`: whose tokens are believed, and what their claims mean."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from jobcore.models.caller import Scope
from jobcore.settings import CommaSeparated, CoreSettings
from longrun_api.auth_modes import AuthMode, is_loopback

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a private key that only the issuer has. With HS256 the API could sign tokens itself."""
ScopeRule = Annotated[str, Field(pattern=r"^[^=\s,]+=[a-z]+(\+[a-z]+)*$")]
ClientScope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
"""RFC 6749, section 3.3."""
SCOPE_RULES: Final = tuple(f"longrun:{scope}={scope}" for scope in Scope)


def is_secure(url: str) -> bool:
    """Whether what this URL says comes from its host: by TLS, or without a network."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    )


def _secure(url: str) -> str:
    if not is_secure(url) or urlsplit(url).username is not None:
        raise ValueError("must be an https URL without a password: who changes it on its way could sign tokens")
    return url


SecureUrl = Annotated[str, AfterValidator(_secure)]


class OidcSettings(CoreSettings):
    """Settings of an API that accepts the tokens of an OpenID provider."""

    auth: Annotated[frozenset[AuthMode], Field(min_length=1), NoDecode, CommaSeparated] = frozenset({AuthMode.NONE})
    """How callers are recognised: `keys` by API keys, `oidc` by JWTs of an OpenID provider, `keys,oidc` by either. \
`none` lets anyone in, and is accepted on a loopback address only; `proxy` is the same on any address, for an API that \
only an authenticating proxy of yours reaches."""
    oidc_issuer: SecureUrl | None = None
    """The issuer whose JWTs are accepted, as their claim `iss` has it: an https URL, at which it describes itself \
(OpenID Connect Discovery)."""
    oidc_audience: Annotated[tuple[str, ...], NoDecode, CommaSeparated] = ()
    """Names of this API, comma-separated: a JWT has one of them in its claim `aud`."""
    oidc_jwks_url: SecureUrl | None = None
    """Where the issuer publishes its keys; unset: where its own description says."""
    oidc_algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1), NoDecode, CommaSeparated] = (
        "RS256",
        "ES256",
    )
    """Signatures that are accepted, comma-separated: RS, PS or ES with 256, 384 or 512, and EdDSA."""
    oidc_owner_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that has the owner for whom the caller acts; `a.b` is the member `b` of the claim `a`."""
    oidc_scopes_claim: Annotated[str, Field(min_length=1)] = "scope"
    """The claim that has scopes, roles or groups: a list, or a text with spaces; `a.b` as above."""
    oidc_scopes: Annotated[tuple[ScopeRule, ...], NoDecode, CommaSeparated] = SCOPE_RULES
    """What the values of that claim allow: `value=scope+scope`, comma-separated."""
    oidc_default_scopes: Annotated[frozenset[Scope], NoDecode, CommaSeparated] = frozenset()
    """Scopes that every JWT of the issuer for this API has, comma-separated."""
    oidc_operators: Annotated[tuple[str, ...], NoDecode, CommaSeparated] = ()
    """Values of that claim, comma-separated, whose callers act for the operator: they have no owner and see what \
belongs to everyone. Unset: nobody does."""
    oidc_leeway_s: Annotated[float, Field(ge=0, le=300)] = 10.0
    """Seconds by which the clocks of the issuer and of the API may differ."""
    oidc_refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Seconds after which the issuer's keys are fetched again, so that withdrawn ones are refused."""
    oidc_stale_s: Annotated[float, Field(ge=1)] = 86_400.0
    """Seconds that keys are used after they were fetched, while the issuer does not answer."""

    public_url: SecureUrl | None = None
    """Where browsers reach the API, such as `https://longrun.example.com`, with `LONGRUN_ROOT_PATH` at its end if \
that is set. The provider leads them back to `/console/sign-in/callback` below it."""
    oidc_client_id: Annotated[str | None, Field(min_length=1)] = None
    """The name of the console as a client of the provider: people can sign in there. Unset: they paste a token."""
    oidc_client_secret: Annotated[SecretStr | None, Field(repr=False)] = None
    """The secret of this client; unset: it is a public one, which proves by PKCE alone that it began what it ends."""
    oidc_client_scopes: Annotated[tuple[ClientScope, ...], NoDecode, CommaSeparated] = ("openid",)
    """What the console asks the provider for, comma-separated; `openid` is one of them."""
    oidc_session_s: Annotated[int, Field(ge=60, le=28_800)] = 3600
    """Seconds after which the console asks the provider again who a person is and what the person may do."""

    @model_validator(mode="after")
    def _oidc_is_complete(self) -> Self:
        if AuthMode.OIDC not in self.auth:
            return self
        if self.oidc_issuer is None or not self.oidc_audience:
            raise ValueError("LONGRUN_AUTH=oidc needs LONGRUN_OIDC_ISSUER and LONGRUN_OIDC_AUDIENCE")
        if self.oidc_stale_s < self.oidc_refresh_s:
            raise ValueError("LONGRUN_OIDC_STALE_S must be at least LONGRUN_OIDC_REFRESH_S")
        if self.oidc_client_id is not None and self.public_url is None:
            raise ValueError("LONGRUN_OIDC_CLIENT_ID needs LONGRUN_PUBLIC_URL, to which browsers are led back")
        if "openid" not in self.oidc_client_scopes:
            raise ValueError("LONGRUN_OIDC_CLIENT_SCOPES must have openid: without it there is no ID token")
        for rule in self.oidc_scopes:
            _scopes_of(rule)
        return self

    @property
    def scope_map(self) -> dict[str, frozenset[Scope]]:
        """What each value of the scopes' claim allows."""
        return {rule.partition("=")[0]: _scopes_of(rule) for rule in self.oidc_scopes}


def _scopes_of(rule: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(name) for name in rule.partition("=")[2].split("+"))
    except ValueError as error:
        raise ValueError(f"LONGRUN_OIDC_SCOPES: {rule}: {error}; scopes: {', '.join(Scope)}") from None
