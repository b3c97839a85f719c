"""What an OpenID provider publishes: its description and the public keys that check its signatures.

It is fetched with a deadline and a limit of bytes, and redirects are not followed: what is wrong with it delays nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from longrun_api import base64url
from longrun_api.oidc_settings import is_secure

FETCH_S: Final = 5.0
"""Seconds for the description and the keys together."""
MAX_BYTES: Final = 256 * 1024
"""Bytes that each of the two documents may have."""
MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8193)
"""Sizes of RSA keys that are used: shorter ones can be broken, longer ones keep the process busy."""
EXPECTED: Final = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError)

_PUBLIC: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
"""The members of each type of key that its thumbprint has (RFC 7638 and RFC 8037)."""
_ALGORITHMS: Final = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA"}),
}


def description_url(issuer: str) -> str:
    """Where an issuer describes itself (OpenID Connect Discovery 1.0, section 4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


class IssuerFailed(Exception):
    """The issuer does not answer, or its answer cannot be used; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key of the issuer."""

    kid: str | None
    """The name that JWTs call it by."""
    thumbprint: str
    """Its own name, by what it is (RFC 7638)."""
    algorithms: frozenset[str]
    """The signatures that it may check."""
    public: Any
    """The key itself, as PyJWT takes it."""


class Issuer:
    """Fetches the keys of one issuer."""

    def __init__(self, issuer: str, jwks_url: str | None, algorithms: frozenset[str]) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._algorithms = algorithms
        self._http: httpx2.AsyncClient | None = None

    async def keys(self) -> tuple[IssuerKey, ...]:
        """The keys that it publishes now, at least one; raises IssuerFailed."""
        async with answering():
            document = await self._json(self._jwks_url or secure(await self._described(), "jwks_uri"))
        keys = tuple(self._usable(document))
        if not keys:
            raise IssuerFailed("it publishes no key for the signatures in LONGRUN_OIDC_ALGORITHMS")
        return keys

    async def description(self) -> dict[str, Any]:
        """What it says of itself, such as its endpoints; raises IssuerFailed."""
        async with answering():
            return await self._described()

    async def token(self, url: str, form: Mapping[str, str], client: tuple[str, str] | None) -> dict[str, Any]:
        """The answer of its token endpoint (RFC 6749, section 5.1) to this form; raises IssuerFailed.

        `client` are the name and the password of RFC 6749, section 2.3.1; None: a public client has no password.
        """
        async with answering():
            auth = None if client is None else httpx2.BasicAuth(*client)
            status, body = await self._fetch("POST", url, data=dict(form), auth=auth)
            answer = _object(url, body)
        if status != httpx2.codes.OK:
            said = [answer[name] for name in ("error", "error_description") if isinstance(answer.get(name), str)]
            raise IssuerFailed(": ".join(said) or f"{url} answers {status}")
        return answer

    async def close(self) -> None:
        """Close the connection to it."""
        if self._http is not None:
            await self._http.aclose()

    async def _described(self) -> dict[str, Any]:
        description = await self._json(description_url(self._issuer))
        if description.get("issuer") != self._issuer:
            raise IssuerFailed(f"it calls itself {description.get('issuer')!r}, and LONGRUN_OIDC_ISSUER differs")
        return description

    async def _json(self, url: str) -> dict[str, Any]:
        status, body = await self._fetch("GET", url)
        if status != httpx2.codes.OK:
            raise IssuerFailed(f"{url} answers {status}")
        return _object(url, body)

    async def _fetch(self, method: str, url: str, **options: Any) -> tuple[int, bytes]:
        if self._http is None:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
            self._http = httpx2.AsyncClient(headers=headers, timeout=FETCH_S)
        body = b""
        async with self._http.stream(method, url, **options) as response:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_BYTES:
                    raise IssuerFailed(f"{url} has more than {MAX_BYTES} bytes")
        return response.status_code, body

    def _usable(self, document: Mapping[str, Any]) -> Iterator[IssuerKey]:
        published = document.get("keys")
        for jwk in published[:MAX_KEYS] if isinstance(published, list) else ():
            key = parsed(jwk) if isinstance(jwk, dict) else None
            if key is not None and (algorithms := key.algorithms & self._algorithms):
                yield IssuerKey(key.kid, key.thumbprint, algorithms, key.public)


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Whatever goes wrong within the block is IssuerFailed, as is no end within FETCH_S."""
    try:
        async with asyncio.timeout(FETCH_S):
            yield
    except EXPECTED as error:
        raise IssuerFailed(str(error) or f"no answer within {FETCH_S:g} s") from error


def secure(description: Mapping[str, Any], name: str) -> str:
    """The URL of this name in the description of an issuer; raises IssuerFailed."""
    url = description.get(name)
    if not isinstance(url, str) or not is_secure(url):
        raise IssuerFailed(f"its {name} must be an https URL, not {url!r}")
    return url


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise IssuerFailed(f"{url} has no JSON object")
    return document


def parsed(jwk: Mapping[str, Any]) -> IssuerKey | None:
    """The key of a JWK (RFC 7517); None if it is no public key that checks signatures."""
    kty, kid = jwk.get("kty"), jwk.get("kid")
    names = _PUBLIC.get(kty) if isinstance(kty, str) else None
    if names is None or jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    public = {name: jwk.get(name) for name in names}
    if not all(isinstance(value, str) for value in public.values()) or not isinstance(kid, str | None):
        return None
    algorithms = _ALGORITHMS.get(str(public.get("crv", "RSA")), frozenset())
    if "alg" in jwk:
        algorithms = algorithms & {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset()
    if not algorithms:
        return None
    try:
        key = PyJWK(public, algorithm=min(algorithms)).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size not in RSA_BITS:
        return None
    said = json.dumps(public, separators=(",", ":"), sort_keys=True).encode()
    return IssuerKey(kid, base64url.encode(hashlib.sha256(said).digest()), algorithms, key)
