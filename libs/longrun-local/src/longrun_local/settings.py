"""Settings of `longrun run-local`, in addition to those of the services that it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobcore.settings import Seconds

Port = Annotated[int, Field(ge=1, le=65535)]


class LocalSettings(BaseSettings):
    """Settings of the launcher. All others are passed on to the services unchanged."""

    model_config = SettingsConfigDict(env_prefix="LONGRUN_", extra="ignore", frozen=True)

    home: Path = Path(".longrun")
    """The folder for data and logs."""
    host: str = "127.0.0.1"
    """The address on which the API listens."""
    port: Port = 8000
    """The port on which the API listens."""
    demo_port: Port = 8001
    """The port on 127.0.0.1 on which `longrun demo` serves its site: the only loopback port that scrapes may reach."""
    database_url: Annotated[
        str | None, Field(validation_alias=AliasChoices("DATABASE_URL", "LONGRUN_DATABASE_URL"))
    ] = None
    """A PostgreSQL server to use instead of the embedded one."""
    redis_url: Annotated[str | None, Field(validation_alias=AliasChoices("REDIS_URL", "LONGRUN_REDIS_URL"))] = None
    """A Redis or Valkey server to use instead of the embedded one."""
    files: str | None = None
    """Another place for result files than a folder in that for data, such as `s3://bucket/prefix`."""
    shutdown_s: Annotated[int, Field(ge=1)] = 10
    """Seconds that open requests get to finish after Ctrl-C."""
    drain_s: Seconds = 25.0
    """Seconds that running jobs get to finish after Ctrl-C."""

    @field_validator("database_url", "redis_url", "files", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return value or None

    @property
    def url(self) -> str:
        """The URL of the API on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def fetch_allow(self) -> str:
        """LONGRUN_FETCH_ALLOW for the scraper: the operator's endpoints and the demo's site."""
        own = os.environ.get("LONGRUN_FETCH_ALLOW", "").strip(", ")
        return ",".join(filter(None, [own, f"127.0.0.1:{self.demo_port}"]))
