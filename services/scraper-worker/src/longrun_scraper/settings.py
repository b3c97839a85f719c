"""What an operator can set for the scraper: how far a fetch may go, and where."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from jobcore.settings import Seconds, WorkerSettings
from longrun_scraper.guard import endpoint


class ScraperSettings(WorkerSettings):
    """What the scraper needs beside a worker's settings."""

    fetch_allow: Annotated[frozenset[str], NoDecode] = frozenset()
    """Endpoints that the SSRF guard lets through, as `host:port,…`; all else must be on the public internet."""
    fetch_timeout_s: Seconds = 30.0
    """How long one fetch may take from the first DNS query to the last byte, redirects included, in seconds."""
    fetch_connect_timeout_s: Seconds = 5.0
    """How long resolving a name, connecting to an address and shaking hands (TLS) may take each, in seconds."""
    fetch_max_bytes: Annotated[int, Field(ge=1)] = 10 * 1024 * 1024
    """How large a page may be, in bytes after decompression."""
    fetch_max_redirects: Annotated[int, Field(ge=0)] = 20
    """How many redirects are followed, refreshes of a page among them. Browsers follow 20."""
    fetch_user_agent: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")] = "Longrun-Scraper/0.1"
    """The `User-Agent` that web sites see, in printable ASCII."""
    scrape_max_links: Annotated[int, Field(ge=0)] = 1000
    """How many links of one page are kept."""

    @field_validator("fetch_allow", mode="before")
    @classmethod
    def _endpoints(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return frozenset(_endpoint(part.strip()) for part in value.split(",") if part.strip())


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port: write it like intranet.example:443 or [::1]:8080")
    return endpoint(host, int(port))
