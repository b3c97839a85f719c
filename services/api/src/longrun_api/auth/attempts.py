"""A person's attempt to sign in at the provider: what the browser keeps meanwhile, and what is made of it.

The browser keeps one secret, in a cookie. The state, the nonce and the verifier of PKCE are hashes of it: so whoever
comes back has begun the attempt in the same browser, and nothing is stored here.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Self

from longrun_api import base64url

ATTEMPT_COOKIE: Final = "longrun_sign_in"
ATTEMPT_S: Final = 600
"""Seconds that a person may take at the provider."""
MAX_NEXT: Final = 2_000
"""Characters of an address that a cookie has room for."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in."""

    secret: str
    next: str
    """The page of the console to show then."""

    @classmethod
    def begin(cls, wanted: str) -> Self:
        """A new one, which shall lead to this page."""
        return cls(secrets.token_urlsafe(32), wanted if len(wanted) <= MAX_NEXT else "")

    @classmethod
    def of_cookie(cls, cookie: str) -> Self | None:
        """The attempt that a browser has begun; None: it has begun none."""
        secret, _, wanted = cookie.partition(".")
        try:
            return cls(secret, base64url.decode(wanted).decode()) if secret else None
        except ValueError:
            return None

    @property
    def cookie(self) -> str:
        """What the browser keeps."""
        return f"{self.secret}.{base64url.encode(self.next.encode())}"

    @property
    def state(self) -> str:
        """What the provider sends back with the code (RFC 6749, section 10.12)."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token has (OpenID Connect Core 1.0, section 15.5.2)."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What shows that the code was made for this attempt (RFC 7636, section 4.1)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier at first, by the method S256."""
        return _hash(self.verifier)

    def _derived(self, name: str) -> str:
        return _hash(f"{name} {self.secret}")


def _hash(text: str) -> str:
    return base64url.encode(hashlib.sha256(text.encode()).digest())
