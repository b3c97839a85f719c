"""What an operator can set for the API, beside what every Longrun process takes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from jobcore.settings import CoreSettings, Seconds

HostName = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+)$")]
Origin = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]


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
    request_timeout_s: Seconds = 30.0
    """Seconds that a request may take to arrive, from its first byte to its last."""
    max_connections: Annotated[int, Field(ge=1)] = 16384
    """Connections that are open at once, streams included; the system's limit of open files may be lower."""
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode] = ()
    """Names that clients may use for the API, beside loopback names and the address they connect to: comma-separated, \
`*.example.com` for every name below one, `*` for any."""
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins such as `https://example.com`, comma-separated, whose pages may change something beside the API's own."""
    stream_stall_s: Seconds = 30.0
    """Seconds that a stream waits for a reader that takes nothing before it is cut."""
    stream_backlog_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Bytes that all streams may hold for readers that take nothing; beyond them the longest stalled is cut."""
    shutdown_s: Annotated[int, Field(ge=1)] = 10
    """Seconds that open requests get to end after SIGTERM."""

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of requests a process holds at once: some of the largest, or very many small ones."""
        return max(64 * 1024 * 1024, 8 * self.max_body_bytes)
