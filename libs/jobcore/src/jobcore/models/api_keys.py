"""API keys: what one looks like, and what is stored of it.

    lr_<id: 12>_<secret: 43><checksum: 8>

Id and secret are letters and digits at random; 43 of them are 256 bits. The checksum is the beginning of the SHA-256 of
what stands before it, in hex: a mistyped or cut key is refused without a look into the database, and scanners for
leaked secrets can tell a key from other text.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from jobcore.models.caller import Caller, Scope

_ALPHABET: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 8
_FORM: Final = re.compile(
    rf"(lr_([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9a-f]{{{_CHECKSUM_LENGTH}}})", re.ASCII
)
KEY_ID: Final = re.compile(rf"[0-9A-Za-z]{{{_ID_LENGTH}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyDigest:
    """What is stored of a key: its public id, and the SHA-256 of the whole key."""

    id: str
    sha256: bytes = field(repr=False)

    @classmethod
    def of(cls, key: str) -> Self | None:
        """The digest of a key; None if the text is not one."""
        match = _FORM.fullmatch(key)
        if match is None or _checksum(match[1]) != match[3]:
            return None
        return cls(match[2], hashlib.sha256(key.encode()).digest())


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key to be stored."""

    digest: KeyDigest
    name: str
    owner: str | None
    scopes: frozenset[Scope]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. `last_used_at` is coarse: it may lag by a minute or two."""

    id: str
    name: str
    owner: str | None
    """Whose jobs it is for; None: the operator's."""
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    secret_hash: bytes = field(repr=False)

    @property
    def caller(self) -> Caller:
        """Who a request with this key comes from."""
        return Caller(self.owner, self.scopes, self.id)


def new_key() -> str:
    """A key that nobody can guess."""
    text = f"lr_{_random(_ID_LENGTH)}_{_random(_SECRET_LENGTH)}"
    return text + _checksum(text)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_CHECKSUM_LENGTH]
