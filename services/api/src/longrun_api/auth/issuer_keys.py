"""The issuer's keys as this process knows them: fetched again every few minutes, and at once for a new name.

A request with a known key never waits for the issuer. One with an unknown key has them fetched, but not more often than
every PAUSE_S seconds, so that invented names do not make this API a burden to the issuer; all such requests wait for
the same fetch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import Final

from jobcore.errors import LongrunError
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.auth.issuer import IssuerFailed, IssuerKey

PAUSE_S: Final = 5.0
"""Seconds from the begin of a fetch to the next one, also when it failed."""

log = logs.get(__name__)


class IssuerUnavailable(LongrunError):
    """The issuer does not answer, so nobody can say whether a JWT is valid."""

    status = 503
    slug = "issuer-unavailable"
    title = "The issuer of tokens is unavailable"
    retry_after_s = 5


class IssuerKeys:
    """Keys by the names that JWTs call them by, and by their thumbprints."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Iterable[IssuerKey]]],
        replaced: Callable[[frozenset[str]], None],
        *,
        refresh_s: float,
        stale_s: float,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`replaced` is told the thumbprints of all keys whenever they have changed."""
        self._fetch_keys = fetch
        self._replaced = replaced
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._pause_s = pause_s
        self._keys: dict[str | None, IssuerKey] = {}
        self._asked_at = self._fetched_at = -inf
        self._away = False
        self._fetching: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "cannot fetch the keys of the OIDC issuer", "the OIDC issuer's keys are there")

    async def start(self) -> None:
        """Fetch the keys, and keep fetching them, in the background."""
        self._task = asyncio.create_task(self._run(), name="issuer-keys")

    async def close(self) -> None:
        """Stop."""
        await background_tasks.end(self._task)
        await background_tasks.end(self._fetching)

    async def find(self, name: str | None) -> IssuerKey | None:
        """The key of this kid or thumbprint, or the only one if a JWT names none; None if the issuer has none such.

        Raises IssuerUnavailable if nobody can say.
        """
        if key := self._keys.get(name):
            return key
        if self._fetching is None and time.monotonic() - self._asked_at >= self._pause_s:
            self._begin()
        if self._fetching is not None:
            await asyncio.wait([self._fetching])
        key = self._keys.get(name)
        if key is None and (self._away or not self._keys):
            raise IssuerUnavailable("the issuer of this token does not say now which keys it has")
        return key

    def _begin(self) -> asyncio.Task[None]:
        """The fetch that is under way, begun if there is none: never are there two."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name="issuer-fetch")
        return self._fetching

    async def _fetch(self) -> None:
        self._asked_at = time.monotonic()
        try:
            found = tuple(await self._fetch_keys())
        except IssuerFailed as error:
            self._away = True
            self._outage.begin(error)
        except Exception:
            self._away = True
            log.exception("cannot fetch the keys of the OIDC issuer")
        else:
            self._away = False
            self._outage.end()
            self._fetched_at = time.monotonic()
            self._replace(found)
        finally:
            self._fetching = None

    async def _run(self) -> None:
        while True:
            await asyncio.wait([self._begin()])
            if self._keys and time.monotonic() - self._fetched_at > self._stale_s:
                log.error("the OIDC issuer is away for too long: its keys are not used any more")
                self._replace(())
            await asyncio.sleep(self._pause_s if self._away else self._refresh_s)

    def _replace(self, keys: tuple[IssuerKey, ...]) -> None:
        self._keys = {name: key for key in keys for name in (key.kid, key.thumbprint) if name is not None}
        if len(keys) == 1:
            self._keys[None] = keys[0]
        self._replaced(frozenset(key.thumbprint for key in keys))
