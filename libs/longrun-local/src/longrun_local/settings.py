"""What can be set for `longrun run-local`, beside the settings of the services that it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobcore.settings import Seconds

Port = Annotated[int, Field(ge=1, le=65535)]


class LocalSettings(BaseSettings):
    """What the launcher needs to know; everything else is passed on to the services as it is."""

    model_config = SettingsConfigDict(env_prefix="LONGRUN_", extra="ignore", frozen=True, use_attribute_docstrings=True)

    home: Path = Path(".longrun")
    """The folder of data and logs."""
    host: str = "127.0.0.1"
    """The address that the API listens on."""
    port: Port = 8000
    """The port that the API listens on."""
    demo_port: Port = 8001
    """The port on 127.0.0.1 where `longrun demo` serves its site: the one loopback port that scrapes may reach."""
    database_url: Annotated[
        str | None, Field(validation_alias=AliasChoices("DATABASE_URL", "LONGRUN_DATABASE_URL"))
    ] = None
    """A PostgreSQL of yours, instead of the embedded one."""
    redis_url: Annotated[str | None, Field(validation_alias=AliasChoices("REDIS_URL", "LONGRUN_REDIS_URL"))] = None
    """A Redis or Valkey of yours, instead of the embedded one."""
    shutdown_s: Annotated[int, Field(ge=1)] = 10
    """How long open requests may go on after Ctrl-C, in seconds."""
    drain_s: Seconds = 25.0
    """How long running jobs may go on after Ctrl-C, in seconds."""

    @field_validator("database_url", "redis_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return value or None

    @property
    def url(self) -> str:
        """Where this machine reaches the API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def fetch_allow(self) -> str:
        """LONGRUN_FETCH_ALLOW for the scraper: the operator's own endpoints and the demo's site."""
        own = os.environ.get("LONGRUN_FETCH_ALLOW", "").strip(", ")
        return ",".join(filter(None, [own, f"127.0.0.1:{self.demo_port}"]))
