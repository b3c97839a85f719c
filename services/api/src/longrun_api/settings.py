"""What an operator can set for the API, beside what every Longrun process takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jobcore.settings import CoreSettings, Seconds


class ApiSettings(CoreSettings):
    """Settings of an API process: environment variables `LONGRUN_*`."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """The port to listen on."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections to PostgreSQL that requests share; intake and keeper have their own."""
    database_timeout_s: Seconds = 4.0
    """Seconds a request waits for PostgreSQL before it answers 503."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """The largest request body, in bytes."""
    stream_stall_s: Seconds = 30.0
    """Seconds that a stream waits for a reader that takes nothing before it is cut."""
    stream_backlog_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Bytes that all streams may hold for readers that take nothing; beyond them the longest stalled is cut."""
    shutdown_s: Annotated[int, Field(ge=1)] = 10
    """Seconds that open requests get to end after SIGTERM."""
