"""The SSRF guard: the scraper reaches the public internet, and nothing of the network it runs in.

    URL ──web_url──▶ host ──resolve──▶ addresses ──why_refused──▶ connect to one of these very addresses

The check sits where a connection is made, so it holds for every redirect, every spelling of an address and
every answer of a DNS server that says something else when asked twice. Host, port and path are those that `urls`
read, whatever requests and urllib3 read in the same URL. `docs/adr/0004-ssrf-guard.md` says why it is ours.
"""

from __future__ import annotations

import socket
import threading
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from longrun_scraper.deadline import Deadline
from longrun_scraper.errors import ConnectionFailed, RefusedAddress
from longrun_scraper.head import Answer
from longrun_scraper.urls import InvalidUrl, WebUrl, web_url

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
    """A connection to where the guard says, that asks for what the guard says."""

    response_class = Answer

    def __init__(self, *args: Any, guard: GuardedAdapter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard

    def _new_conn(self) -> socket.socket:
        connection = self._guard.dial(self)
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        return connection

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # requests drops slashes in front of a path, urllib3 writes some characters anew.
        super().putrequest(method, self._guard.url.target, *args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    """The same, with TLS for the host that the URL names."""


class GuardedAdapter(HTTPAdapter):
    """Makes every connection of a requests session by `dial`; `url` is the one of the request under way."""

    url: WebUrl

    def __init__(self, allow: frozenset[str], timeout_s: float, deadline: Deadline) -> None:
        super().__init__()
        self._allow, self._timeout_s, self._deadline = allow, timeout_s, deadline

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The pool for this request, which from now on connects through the guard."""
        self.url = web_url(request.url or "")
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        self._compare(pool.scheme, pool.host, pool.port)
        connection = _TLSConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
        pool.ConnectionCls = partial(connection, guard=self)
        return pool

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """A socket to the host of the URL, as `urls` read it; InvalidUrl if urllib3 read another one."""
        self._compare(self.url.scheme, connection._dns_host, connection.port)
        return dial(self.url.host, self.url.port, self._allow, self._timeout_s, self._deadline)

    def _compare(self, scheme: str, host: str, port: int | None) -> None:
        read = (scheme, host.strip("[]").lower(), port)
        if read != (self.url.scheme, self.url.host, self.url.port):
            raise InvalidUrl(f"{self.url.href} can be read as another URL, with the host {host}:{port}")
