"""Settings of the scraper: the limits of a fetch and the allowed endpoints."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from jobcore.settings import CommaSeparated, Seconds, WorkerSettings
from jobcore.settings.allowed import Allowed


class ScraperSettings(WorkerSettings):
    """Settings of the scraper, in addition to those of every worker."""

    fetch_allow: Annotated[frozenset[Allowed], NoDecode, CommaSeparated] = frozenset()
    """What the SSRF guard allows besides the public internet, comma-separated: endpoints as `host:port`, and networks
    such as `10.1.0.0/16`, with all ports."""
    fetch_timeout_s: Seconds = 30.0
    """Seconds that a fetch may take from the first DNS query to the last byte, redirects included."""
    fetch_connect_timeout_s: Seconds = 5.0
    """Seconds that each of name resolution, connecting to an address and the TLS handshake may take."""
    fetch_max_bytes: Annotated[int, Field(ge=1)] = 10 * 1024 * 1024
    """Maximum size of a page, in bytes after decompression."""
    fetch_max_redirects: Annotated[int, Field(ge=0)] = 20
    """Maximum number of redirects, including refreshes. Browsers follow 20."""
    fetch_user_agent: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")] = "Longrun-Scraper/0.1"
    """The header `User-Agent`, in printable ASCII."""
    scrape_max_links: Annotated[int, Field(ge=0)] = 1000
    """Maximum number of links in a result."""
