"""The address of a server and the client's timeouts."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any, Final, Self
from urllib.request import getproxies, proxy_bypass

import httpx2

from longrun_client.errors import InvalidAddress, InvalidKey

DEFAULT_URL: Final = "http://127.0.0.1:8000"
# The server sends a comment on an idle stream every 25 s: after two missing ones the connection is dead.
SILENCE_S: Final = 60.0


@dataclass(frozen=True)
class Server:
    """An address, the timeout of one exchange, and how long streams outlast an outage, both in seconds; and a key."""

    url: str
    timeout_s: float
    patience_s: float
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, base_url: str | None, timeout_s: float, patience_s: float, api_key: str | None = None) -> Self:
        """The server at `base_url`, LONGRUN_URL or the default address; the key is `api_key` or LONGRUN_API_KEY.

        Raises InvalidAddress, and InvalidKey without repeating the key.
        """
        given = base_url.rstrip("/") if base_url else given_url()
        if not given.startswith(("http://", "https://")) or not _host(given):
            raise InvalidAddress(
                f"{without_password(given)!r} is not the address of a server: set --server (base_url) or LONGRUN_URL "
                f"to http://host:port, such as {DEFAULT_URL}"
            )
        return cls(given, timeout_s, patience_s, _key(api_key))

    @cached_property
    def shown(self) -> str:
        """The address in messages, without its password; made once, because each call needs it."""
        return without_password(self.url)

    def http_options(self) -> dict[str, Any]:
        """Arguments of httpx2.Client and httpx2.AsyncClient."""
        return {
            "base_url": self.url,
            "timeout": self.timeout_s,
            "headers": self.headers(),
            "verify": self.ssl_context(),
            "trust_env": not self.is_direct(),
        }

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        agent = {"User-Agent": f"longrun-client/{version('longrun-client')}"}
        return agent if self.api_key is None else {**agent, "Authorization": f"Bearer {self.api_key}"}

    def ssl_context(self) -> ssl.SSLContext:
        """Which certificates to trust: those of the operating system, or of SSL_CERT_FILE and SSL_CERT_DIR."""
        return _ssl_context()

    def is_direct(self) -> bool:
        """Whether it is reached without a proxy, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""
        scheme, _, rest = self.url.partition("://")
        proxies = getproxies()
        return not (proxies.get(scheme) or proxies.get("all")) or bool(proxy_bypass(rest.partition("/")[0]))

    def timeout(self, wait_s: float) -> httpx2.Timeout:
        """The timeout of an exchange whose answer the server may hold back for `wait_s` seconds."""
        return httpx2.Timeout(self.timeout_s, read=self.timeout_s + wait_s)

    def stream_timeout(self) -> httpx2.Timeout:
        """The timeout of streams, which may be idle for longer than other responses."""
        return httpx2.Timeout(self.timeout_s, read=SILENCE_S)


def without_password(url: str) -> str:
    """The URL with `***` in the place of a password."""
    return re.sub(r"(?<=://)([^/?#]*?):[^/?#]*@", r"\1:***@", url)


def given_url() -> str:
    """The address in LONGRUN_URL, or the default."""
    return (os.environ.get("LONGRUN_URL") or DEFAULT_URL).rstrip("/")


def _key(given: str | None) -> str | None:
    key = (given if given is not None else os.environ.get("LONGRUN_API_KEY", "")).strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise InvalidKey("api_key (LONGRUN_API_KEY) has characters that no key has, such as a space or a line break")
    return key or None


def _host(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return ""


@cache
def _ssl_context() -> ssl.SSLContext:
    # Loading the certificates takes tens of milliseconds, so do it once per process.
    return httpx2.create_ssl_context()
