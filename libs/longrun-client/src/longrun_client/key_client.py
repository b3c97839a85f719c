"""The methods of both clients about API keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence

from longrun_client import calls_keys
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_keys import ApiKey, NewApiKey
from longrun_client.quota_client import AsyncQuotaClient, QuotaClient
from longrun_client.transport import Transport


class KeyClient(QuotaClient):
    """Make, list, rotate and revoke API keys. It takes the scope `admin`."""

    _transport: Transport

    def api_keys(self) -> Iterator[ApiKey]:
        """Iterate over all API keys, newest first. Pages are fetched as needed."""
        return self._transport.walk(calls_keys.key_page)

    def api_key(self, key_id: str) -> ApiKey:
        """Get an API key by its id."""
        return self._transport.call(calls_keys.key(key_id))

    def create_key(
        self, name: str, scopes: Sequence[str], *, owner: str | None = None, expires_in_s: float | None = None
    ) -> NewApiKey:
        """Make an API key. Its `key` is never shown again."""
        return self._transport.call(calls_keys.create_key(name, scopes, owner, expires_in_s))

    def rotate_key(self, key_id: str, *, overlap_s: float = 0, expires_in_s: float | None = None) -> NewApiKey:
        """Replace an API key: the old one is accepted for another `overlap_s` seconds."""
        return self._transport.call(calls_keys.rotate_key(key_id, overlap_s, expires_in_s))

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke an API key for good: within 5 seconds it is refused."""
        return self._transport.call(calls_keys.revoke_key(key_id))


class AsyncKeyClient(AsyncQuotaClient):
    """Make, list, rotate and revoke API keys. It takes the scope `admin`."""

    _transport: AsyncTransport

    def api_keys(self) -> AsyncGenerator[ApiKey, None]:
        """Iterate over all API keys, newest first. Pages are fetched as needed."""
        return self._transport.walk(calls_keys.key_page)

    async def api_key(self, key_id: str) -> ApiKey:
        """Get an API key by its id."""
        return await self._transport.call(calls_keys.key(key_id))

    async def create_key(
        self, name: str, scopes: Sequence[str], *, owner: str | None = None, expires_in_s: float | None = None
    ) -> NewApiKey:
        """Make an API key. Its `key` is never shown again."""
        return await self._transport.call(calls_keys.create_key(name, scopes, owner, expires_in_s))

    async def rotate_key(self, key_id: str, *, overlap_s: float = 0, expires_in_s: float | None = None) -> NewApiKey:
        """Replace an API key: the old one is accepted for another `overlap_s` seconds."""
        return await self._transport.call(calls_keys.rotate_key(key_id, overlap_s, expires_in_s))

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke an API key for good: within 5 seconds it is refused."""
        return await self._transport.call(calls_keys.revoke_key(key_id))
