"""The methods of both clients about the quotas of owners; they need the scope admin, without an owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Unpack

from longrun_client import calls_quotas
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_quotas import Amounts, Quota
from longrun_client.transport import Transport


class QuotaClient:
    """Say what single owners may take."""

    _transport: Transport

    def quotas(self) -> Iterator[Quota]:
        """Iterate over the owners that have quotas of their own, by owner."""
        return self._transport.walk(calls_quotas.quota_page)

    def quota(self, owner: str) -> Quota:
        """Get what an owner may take and has taken; a key of the owner may ask too."""
        return self._transport.call(calls_quotas.quota(owner))

    def set_quota(self, owner: str, **amounts: Unpack[Amounts]) -> Quota:
        """Give an owner quotas of its own; None: any number. They hold within five seconds."""
        return self._transport.call(calls_quotas.set_quota(owner, amounts))

    def clear_quota(self, owner: str) -> None:
        """Give an owner the quotas of the server's settings again."""
        self._transport.call(calls_quotas.clear_quota(owner))


class AsyncQuotaClient:
    """Say what single owners may take."""

    _transport: AsyncTransport

    def quotas(self) -> AsyncGenerator[Quota, None]:
        """Iterate over the owners that have quotas of their own, by owner."""
        return self._transport.walk(calls_quotas.quota_page)

    async def quota(self, owner: str) -> Quota:
        """Get what an owner may take and has taken; a key of the owner may ask too."""
        return await self._transport.call(calls_quotas.quota(owner))

    async def set_quota(self, owner: str, **amounts: Unpack[Amounts]) -> Quota:
        """Give an owner quotas of its own; None: any number. They hold within five seconds."""
        return await self._transport.call(calls_quotas.set_quota(owner, amounts))

    async def clear_quota(self, owner: str) -> None:
        """Give an owner the quotas of the server's settings again."""
        await self._transport.call(calls_quotas.clear_quota(owner))
