"""The SSRF guard: the scraper reaches the public internet, and nothing of the network it runs in.

    URL ──check_url──▶ name ──resolve──▶ addresses ──why_refused──▶ connect to one of these very addresses

The check sits where a connection is made, so it holds for every redirect, every spelling of an address and
every answer of a DNS server that says something else when asked twice. `docs/adr/0004-ssrf-guard.md` says why
it is ours.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from jobcore.errors import PermanentError, RetryableError
from longrun_scraper.deadline import Deadline

MAX_URL_LENGTH: Final = 2048


class InvalidUrl(PermanentError):
    """The URL, or one that it redirects to, cannot be fetched as it is written."""


class RefusedAddress(PermanentError):
    """The host is not on the public internet, and the operator did not allow it."""


class ConnectionFailed(RetryableError):
    """The host could not be found or reached, or broke the connection off."""


# The IANA special-purpose address registries (RFC 6890), and what clouds put on addresses of the public range.
_REFUSED_V4: Final = [
    (ip_network(network), kind)
    for network, kind in {
        "0.0.0.0/8": "an unspecified",
        "10.0.0.0/8": "a private",
        "100.64.0.0/10": "a carrier-grade NAT",
        "127.0.0.0/8": "a loopback",
        "168.63.129.16/32": "a cloud metadata",  # Azure's WireServer
        "169.254.169.254/32": "a cloud metadata",
        "169.254.0.0/16": "a link-local",
        "172.16.0.0/12": "a private",
        "192.0.0.0/24": "a reserved",
        "192.0.2.0/24": "a documentation",
        "192.88.99.0/24": "a reserved",
        "192.168.0.0/16": "a private",
        "198.18.0.0/15": "a benchmarking",
        "198.51.100.0/24": "a documentation",
        "203.0.113.0/24": "a documentation",
        "224.0.0.0/4": "a multicast",
        "240.0.0.0/4": "a reserved",
    }.items()
]
# What is public in IPv6 is one block less a few: all that lies outside it is refused without being listed.
_PUBLIC_V6: Final = ip_network("2000::/3")
_REFUSED_V6: Final = [ip_network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64: Final = ip_network("64:ff9b::/96")


def check_url(url: str) -> None:
    """Raise InvalidUrl, saying what to change, unless this is an http(s) URL with a host and no user name.

    Whether its host may be reached is only known when connecting.
    """
    if len(url) > MAX_URL_LENGTH:
        raise InvalidUrl(f"the URL has {len(url)} characters: {MAX_URL_LENGTH} at most")
    if " " in url or not url.isprintable():
        raise InvalidUrl("the URL has spaces or control characters: write them as %20 and the like")
    try:
        # The parser that requests uses: a second one might find another host in the same URL.
        parts = parse_url(url)
    except LocationParseError:
        raise InvalidUrl(f"{url!r} is not a URL: write it like https://example.com/page") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidUrl(f"{url!r} must start with http:// or https://")
    if not parts.host:
        raise InvalidUrl(f"{url!r} names no host: write it like https://example.com/page")
    if parts.auth is not None:
        raise InvalidUrl("the URL has a user name or a password before the host: leave it out")


def endpoint(host: str, port: int) -> str:
    """`host:port` in one spelling, with IPv6 addresses in brackets (RFC 3986 §3.2.2)."""
    host = host.lower().rstrip(".")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def why_refused(address: str) -> str | None:
    """What kind of address this is ("a loopback") if it is not on the public internet, else None.

    An IPv6 address that stands for an IPv4 one (mapped, RFC 4291; NAT64, RFC 6052) is as good as that one.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if inner is None:
            public = ip in _PUBLIC_V6 and not any(ip in network for network in _REFUSED_V6)
            return None if public else _kind_v6(ip)
        ip = inner
    return next((kind for network, kind in _REFUSED_V4 if ip in network), None)


def _kind_v6(ip: IPv6Address) -> str:
    kinds = {
        "a loopback": ip.is_loopback,
        "an unspecified": ip.is_unspecified,
        "a link-local": ip.is_link_local,
        "a multicast": ip.is_multicast,
        "a private": ip.is_private or ip.is_site_local,
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "a reserved")


def resolve(host: str, port: int, timeout_s: float) -> list[str]:
    """The addresses of a host in the order to try them; ConnectionFailed if there are none in time."""
    answer: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answer.put(error)

    # In a thread: getaddrinfo has no timeout, and no signal (a cancel) interrupts it.
    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    try:
        addresses = answer.get(timeout=timeout_s)
    except Empty:
        raise ConnectionFailed(f"cannot resolve {host}: no answer within {timeout_s:.3g} s") from None
    if isinstance(addresses, UnicodeError):
        raise InvalidUrl(f"{host!r} is not a host name")
    if isinstance(addresses, Exception):
        raise ConnectionFailed(f"cannot resolve {host}: {addresses}") from addresses
    return addresses


def dial(host: str, port: int, allow: frozenset[str], timeout_s: float, deadline: Deadline) -> socket.socket:
    """Connect to one of the host's addresses, after a look at all of them.

    Raises RefusedAddress if one is neither public nor in `allow` (a set of `endpoint`s), ConnectionFailed if
    none answers within `timeout_s` seconds each, FetchTimeout past the deadline, which watches the connection.
    """
    addresses = resolve(host, port, min(timeout_s, deadline.left_s()))
    if endpoint(host, port) not in allow:
        for address in addresses:
            kind = why_refused(address)
            if kind is not None and endpoint(address, port) not in allow:
                # Names no address: who may not reach a network need not learn its addresses either.
                raise RefusedAddress(
                    f"{host} has {kind} address, and only the public internet is fetched from: "
                    f"an operator can permit it by LONGRUN_FETCH_ALLOW={endpoint(host, port)}"
                )
    failure: OSError | None = None
    for address in addresses:
        try:
            connection = socket.create_connection((address, port), min(timeout_s, deadline.left_s()))
        except OSError as error:
            failure = error
            continue
        deadline.watch(connection)
        return connection
    raise ConnectionFailed(f"cannot connect to {endpoint(host, port)}: {failure}") from failure


class _Connection(HTTPConnection):
    """A connection that is made by the given function."""

    def __init__(self, *args: Any, dial: Callable[[HTTPConnection], socket.socket], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        connection = self._dial(self)
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        return connection


class _TLSConnection(_Connection, HTTPSConnection):
    """The same, with TLS for the host that the URL names."""


class GuardedAdapter(HTTPAdapter):
    """Makes every connection of a requests session by `dial`."""

    def __init__(self, allow: frozenset[str], timeout_s: float, deadline: Deadline) -> None:
        super().__init__()
        self._dial = lambda to: dial(to._dns_host, to.port, allow, timeout_s, deadline)

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The pool for this request, which from now on connects through the guard."""
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        connection = _TLSConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
        pool.ConnectionCls = partial(connection, dial=self._dial)
        return pool
