"""The parts that recognise callers, while the process runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.bootstrap import BootstrapKey
from longrun_api.auth.grants import Grants
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.stream_tokens import StreamTokens
from longrun_api.database import AsyncDatabase
from longrun_api.settings import ApiSettings


@asynccontextmanager
async def authenticating(settings: ApiSettings, database: AsyncDatabase) -> AsyncIterator[Authenticator]:
    """Start the parts, and stop them at the end."""
    grants = Grants()
    keys = KeyChecks(grants, database, settings.database_timeout_s)
    bootstrap = BootstrapKey(database, settings.bootstrap_digest)
    await bootstrap.start()
    await keys.start()
    try:
        yield Authenticator(grants, keys, StreamTokens(database))
    finally:
        await keys.close()
        await bootstrap.close()
