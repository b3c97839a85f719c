"""Settings of the API, in addition to those of every Longrun process."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from jobcore.models.api_keys import KeyDigest
from jobcore.settings import CommaSeparated, Seconds
from longrun_api.auth_modes import OPEN
from longrun_api.oidc_settings import OidcSettings

MAX_WORKERS: Final = 64
HostName = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+)$")]
Origin = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]


class ApiSettings(OidcSettings):
    """Settings of an API process: environment variables `LONGRUN_*`."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """The port to listen on."""
    bootstrap_key: Annotated[SecretStr | None, Field(repr=False)] = None
    """The first key of an admin, which `longrun keys new` makes: the API stores its hash at the start. A new value \
revokes the one before."""
    api_workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1
    """Processes that handle requests, beside the one that starts them; each has connections and bounds of its own. \
More than one helps only where a process's share of the cores is more than one."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections to PostgreSQL that requests share; the intake and the keeper have their own."""
    database_timeout_s: Seconds = 4.0
    """Seconds that a request waits for PostgreSQL before it gets 503."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """The largest request body, in bytes; that of an upload is `LONGRUN_MAX_UPLOAD_BYTES`."""
    max_upload_bytes: Annotated[int, Field(ge=0)] = 2**30
    """Bytes that an input file may have: an upload to `/files`, or a file of a form."""
    staged_files_s: Seconds = 86_400.0
    """Seconds that an upload may take, and after it a file waits for the submission that names it, before it is \
deleted."""
    request_timeout_s: Seconds = 30.0
    """Seconds that a request may take to arrive, from its first byte to its last."""
    quota_submissions: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Tasks that an owner may submit in a second; a batch may be larger, and the next submission waits for it. Unset: \
any number. Not counted are the operator's, and any while Redis is away."""
    quota_queued: Annotated[int | None, Field(ge=1, le=1_000_000_000)] = None
    """Tasks of an owner that may be PENDING at once; what would make more is refused. Unset: any number."""
    quota_names: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Schedules, concurrency limits and rate limits that an owner may keep, together. Unset: any number."""
    quota_streams: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Streams of events that an owner may have open at once, over all processes. Unset: any number. Not counted are \
the operator's, and any that open while Redis is away."""
    quota_stored_bytes: Annotated[int | None, Field(ge=1, le=10**15)] = None
    """Bytes that an owner may have stored in inputs, results and files; from then on its submissions and uploads are \
refused. Unset: any number."""
    max_connections: Annotated[int, Field(ge=1)] = 16384
    """Maximum number of open connections, streams included; the system's limit of open files may be lower."""
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, CommaSeparated] = ()
    """Host names of the API, besides loopback names and its addresses: comma-separated; `*.example.com` for all names \
below example.com, `*` for any name."""
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, CommaSeparated] = ()
    """Origins such as `https://example.com`, comma-separated, whose pages may use the API: change something, and read \
responses (CORS)."""
    root_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """The path under which a proxy serves the API, such as `/longrun`; the proxy may pass it on or remove it."""
    trace_url: Annotated[str, Field(pattern=r"^https?://\S*\{trace_id\}\S*$")] | None = None
    """Where traces are shown, such as `https://jaeger.example.com/trace/{trace_id}`: the console links each job \
to its own. Unset: it shows the id."""
    access_log: bool = False
    """Log each request, except probes."""
    stream_stall_s: Seconds = 30.0
    """Seconds after which a stream is cut whose reader reads nothing."""
    stream_backlog_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Bytes that all streams together may buffer for stalled readers; above it, the longest stalled one is cut."""
    wait_max_s: Annotated[int, Field(ge=0, le=60)] = 55
    """The most seconds that a request waits for a task (`Prefer: wait`, `?wait=`); many proxies give up after 60."""
    shutdown_s: Annotated[int, Field(ge=1)] = 10
    """Seconds that open requests get to finish after SIGTERM."""

    @field_validator("bootstrap_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if KeyDigest.of(value.get_secret_value()) is None:
            raise ValueError("is no API key: make one with `longrun keys new`")
        return value

    @model_validator(mode="after")
    def _open_modes_stand_alone(self) -> Self:
        if len(self.auth) > 1 and self.auth & OPEN:
            raise ValueError("LONGRUN_AUTH: none and proxy stand alone, because they let anyone in")
        return self

    @property
    def asks_for_credentials(self) -> bool:
        """Whether requests need credentials."""
        return not self.auth & OPEN

    @property
    def bootstrap_digest(self) -> KeyDigest | None:
        """What is stored of the bootstrap key; None: there is none."""
        return None if self.bootstrap_key is None else KeyDigest.of(self.bootstrap_key.get_secret_value())

    @property
    def buffered_bytes(self) -> int:
        """Bytes of unanswered requests that a process may hold: a few of the largest, or very many small ones."""
        return max(64 * 1024 * 1024, 8 * self.max_body_bytes)
