"""The keys with which inputs are sealed: `LONGRUN_SECRET_KEYS`. The first one seals, each of them opens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_BYTES: Final = 32
END_OF_ID: Final = "."


class CannotOpen(Exception):
    """A sealed input cannot be opened here; the message says which key is missing, or what is wrong."""


def new_key() -> str:
    """A key that nobody knows yet: 256 random bits, as Fernet writes them."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


class SecretKey:
    """One key; `id` names it without telling anything of it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.id = self._derived("id").hex()[:8]

    @cached_property
    def fernet(self) -> Fernet:
        """Encrypts and decrypts; imported only by a process that does."""
        from cryptography.fernet import Fernet

        return Fernet(self._text)

    def digest(self, asked: bytes) -> str:
        """A digest that nobody can compute, and so guess its text, without the key."""
        return hmac.digest(self._derived("fingerprints"), asked, "sha256").hex()

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(base64.urlsafe_b64decode(self._text), f"longrun: {purpose}".encode(), "sha256")


class SecretKeys:
    """The keys of a process; false if there is none."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._keys = tuple(map(SecretKey, texts))

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def first_id(self) -> str:
        """The id of the key that seals."""
        return self._keys[0].id

    def seal(self, text: str, task_type: str, owner: str | None) -> str:
        """Seal the input of a job of this task type and this owner; it can be opened for no other."""
        return self._sealed(json.dumps([task_type, owner, text]).encode())

    def open(self, sealed: str, task_type: str, owner: str | None) -> str:
        """The input that was sealed. Raises CannotOpen."""
        *bound_to, text = json.loads(self._opened(sealed))
        if bound_to != [task_type, owner]:
            raise CannotOpen("it was sealed for another task type or another owner, so somebody has moved it")
        return str(text)

    def resealed(self, sealed: str) -> str:
        """The same, sealed with the first key. Raises CannotOpen."""
        return self._sealed(self._opened(sealed))

    def fingerprints(self, asked: bytes) -> tuple[str, ...]:
        """Digests of a request, any of which recognises it: the first is stored.

        With keys it cannot be computed without them: the text of a request whose secret is easy to guess would be
        found by its SHA-256. That one is the last, for requests that were stored before there were keys.
        """
        return (*(key.digest(asked) for key in self._keys), hashlib.sha256(asked).hexdigest())

    def _sealed(self, plain: bytes) -> str:
        first = self._keys[0]
        return f"{first.id}{END_OF_ID}{first.fernet.encrypt(plain).decode()}"

    def _opened(self, sealed: str) -> bytes:
        from cryptography.fernet import InvalidToken

        key_id, _, token = sealed.partition(END_OF_ID)
        for key in self._keys:
            if key.id == key_id:
                try:
                    return key.fernet.decrypt(token)
                except InvalidToken:
                    raise CannotOpen(f"it was changed after it was sealed with the key {key_id}") from None
        known = ", ".join(key.id for key in self._keys) or "none"
        raise CannotOpen(f"it is sealed with the key {key_id}, and LONGRUN_SECRET_KEYS has here: {known}")


NO_KEYS: Final = SecretKeys()
