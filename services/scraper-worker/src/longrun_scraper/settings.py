"""Settings of the scraper: the limits of a fetch and the allowed endpoints."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import NoDecode

from jobcore.settings import CommaSeparated, Seconds, WorkerSettings
from longrun_scraper.endpoints import endpoint


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port, such as intranet.example:443 or [::1]:8080")
    return endpoint(host, int(port))


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class ScraperSettings(WorkerSettings):
    """Settings of the scraper, in addition to those of every worker."""

    fetch_allow: Annotated[frozenset[Endpoint], NoDecode, CommaSeparated] = frozenset()
    """Endpoints that the SSRF guard allows besides the public internet, as `host:port,…`."""
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
