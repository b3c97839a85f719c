"""Which server a client talks to, and how long it waits for it."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final, Self, TypedDict

import httpx

from longrun_client.errors import InvalidAddress

DEFAULT_URL: Final = "http://127.0.0.1:8000"
# The server pings a quiet stream every 15 s: after three missed pings its connection is dead.
SILENCE_S: Final = 45.0


class Limits(TypedDict):
    """How long a client waits, in seconds."""

    timeout_s: float
    patience_s: float


@dataclass(frozen=True, slots=True)
class Server:
    """An address, the seconds that one exchange may take, and those that streams outlast an outage."""

    url: str
    timeout_s: float
    patience_s: float

    @classmethod
    def at(cls, base_url: str | None, timeout_s: float, patience_s: float) -> Self:
        """The server at `base_url`, LONGRUN_URL or the default; InvalidAddress names what is wrong with it."""
        given = base_url.rstrip("/") if base_url else given_url()
        if not given.startswith(("http://", "https://")) or not _host(given):
            raise InvalidAddress(
                f"{given!r} is not the address of a server: give --server (base_url) or LONGRUN_URL as "
                f"http://host:port, such as {DEFAULT_URL}"
            )
        return cls(given, timeout_s, patience_s)

    def limits(self) -> Limits:
        """What another client for the same server is made with."""
        return Limits(timeout_s=self.timeout_s, patience_s=self.patience_s)

    def http_options(self) -> dict[str, Any]:
        """What httpx's clients, both of them, are made with."""
        return {
            "base_url": self.url,
            "timeout": self.timeout_s,
            "headers": {"User-Agent": f"longrun-client/{version('longrun-client')}"},
            "verify": _ssl_context(),
        }

    def stream_timeout(self) -> httpx.Timeout:
        """As for other calls, but a stream may be silent for longer."""
        return httpx.Timeout(self.timeout_s, read=SILENCE_S)


def given_url() -> str:
    """The address in LONGRUN_URL, or the default."""
    return (os.environ.get("LONGRUN_URL") or DEFAULT_URL).rstrip("/")


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return ""


@cache
def _ssl_context() -> ssl.SSLContext:
    # Reading the certificates takes tens of milliseconds: once a process.
    return httpx.create_ssl_context()
