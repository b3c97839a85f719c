"""An API that asks for keys, for tests: its admin's key, and clients with keys of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from tests.processes import Process, Stack

T = TypeVar("T")


def unless_cut(ask: Callable[[], T]) -> T | None:
    """What this request finds; None if it was cut off, as requests are that are open when their credential ends.

    Whoever asks again and again until a credential is refused can be the one that is cut.
    """
    try:
        return ask()
    except httpx.TransportError:
        return None


class KeyedApi:
    """An API in the mode `keys`, and how its callers are made."""

    def __init__(self, stack: Stack, admin_key: str, **env: str) -> None:
        self.stack = stack
        self.admin_key = admin_key
        self.process = self.another(**env)
        self.admin = self.client(admin_key)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.process.url

    def another(self, **env: str) -> Process:
        """One more process of the same API."""
        return self.stack.api(env={"LONGRUN_AUTH": "keys", "LONGRUN_BOOTSTRAP_KEY": self.admin_key, **env})

    def client(self, key: str | None, url: str | None = None) -> httpx.Client:
        """A client with this key."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=url or self.url, headers=headers, timeout=30)

    def make(self, *scopes: str, **fields: Any) -> dict[str, Any]:
        """A key with these scopes, as the API shows it once."""
        response = self.admin.post("/keys", json={"name": "test", "scopes": scopes, **fields})
        assert response.status_code == httpx.codes.CREATED, response.text
        made: dict[str, Any] = response.json()
        return made

    def caller(self, *scopes: str, **fields: Any) -> httpx.Client:
        """A client with a new key of these scopes."""
        return self.client(self.make(*scopes, **fields)["key"])
