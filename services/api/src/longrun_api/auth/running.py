"""The parts that recognise callers, while the process runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.bootstrap import BootstrapKey
from longrun_api.auth.grants import Grants
from longrun_api.auth.jwt_checks import JwtChecks
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.provider import Provider
from longrun_api.auth.sessions import Sessions
from longrun_api.auth.stream_tokens import stream_tokens
from longrun_api.auth.sweep import Sweep
from longrun_api.auth_modes import AuthMode
from longrun_api.database import AsyncDatabase
from longrun_api.settings import ApiSettings


@asynccontextmanager
async def authenticating(settings: ApiSettings, database: AsyncDatabase) -> AsyncIterator[Authenticator]:
    """Start the parts, and stop them at the end."""
    grants = Grants()
    keys = KeyChecks(grants, database, settings.database_timeout_s) if AuthMode.KEYS in settings.auth else None
    jwts = JwtChecks(grants, settings) if AuthMode.OIDC in settings.auth else None
    provider = Provider(jwts, settings) if jwts is not None and settings.oidc_client_id is not None else None
    bootstrap = BootstrapKey(database, settings.bootstrap_digest)
    sessions = Sessions(grants, database)
    sweep = Sweep(grants, sessions, keys)
    await bootstrap.start()
    await sweep.start()
    if jwts is not None:
        await jwts.start()
    try:
        yield Authenticator(grants, stream_tokens(database), sessions, keys=keys, jwts=jwts, provider=provider)
    finally:
        if jwts is not None:
            await jwts.close()
        await sweep.close()
        await bootstrap.close()
