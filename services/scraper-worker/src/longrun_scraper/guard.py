"""The SSRF guard: the scraper can reach the public internet, but not the network in which it runs.

    URL ──web_url──▶ host ──resolve──▶ addresses ──why_refused──▶ connect to one of these very addresses

The check is part of making a connection. It therefore covers every redirect, every spelling of an address, and DNS
servers that change their answers. Host, port and path are those that `urls` parsed, even if requests and urllib3 parse
the URL differently. `docs/adr/0004-ssrf-guard.md` says why the guard is our own code.
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
from longrun_scraper.endpoints import endpoint
from longrun_scraper.errors import ConnectionFailed, RefusedAddress
from longrun_scraper.head import CleanResponse
from longrun_scraper.urls import InvalidUrl, WebUrl, web_url

# The IANA special-purpose address registries (RFC 6890), and public addresses that clouds use for metadata services.
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
# The public IPv6 addresses are one block with a few exceptions; everything outside that block is refused.
_PUBLIC_V6: Final = ip_network("2000::/3")
_REFUSED_V6: Final = [ip_network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64: Final = ip_network("64:ff9b::/96")


def why_refused(address: str) -> str | None:
    """The kind of an address ("a loopback") that is not on the public internet, else None.

    An IPv6 address that represents an IPv4 address (mapped, RFC 4291; NAT64, RFC 6052) is treated as that address.
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
    """The addresses of a host in the order in which to try them; raises ConnectionFailed."""
    answer: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answer.put(error)

    # In a thread: getaddrinfo has no timeout, and no signal (such as a cancel) interrupts it.
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
    """Check all addresses of the host, then connect to one of them; `deadline` watches the connection.

    Raises RefusedAddress if any address is neither public nor in `allow` (a set of `endpoint`s), ConnectionFailed if
    none accepts the connection within `timeout_s` seconds, and FetchTimeout after the deadline.
    """
    addresses = resolve(host, port, min(timeout_s, deadline.left_s()))
    if endpoint(host, port) not in allow:
        for address in addresses:
            kind = why_refused(address)
            if kind is not None and endpoint(address, port) not in allow:
                # Do not reveal the address: a client must not learn the addresses of a network that it cannot reach.
                raise RefusedAddress(
                    f"{host} has {kind} address, but only the public internet may be fetched: "
                    f"an operator can allow it with LONGRUN_FETCH_ALLOW={endpoint(host, port)}"
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
    """A connection whose address and request target come from the guard."""

    response_class = CleanResponse

    def __init__(self, *args: Any, guard: GuardedAdapter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard

    def _new_conn(self) -> socket.socket:
        connection = self._guard.dial(self)
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        return connection

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # requests drops leading slashes of a path, and urllib3 re-encodes some characters.
        super().putrequest(method, self._guard.url.target, *args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    """The same with TLS, for the host of the URL."""


class GuardedAdapter(HTTPAdapter):
    """Makes all connections of a requests session with `dial`; `url` is that of the current request."""

    url: WebUrl

    def __init__(self, allow: frozenset[str], timeout_s: float, deadline: Deadline) -> None:
        super().__init__()
        self._allow, self._timeout_s, self._deadline = allow, timeout_s, deadline

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The connection pool for this request, changed to connect through the guard."""
        self.url = web_url(request.url or "")
        pool: Any = super().get_connection_with_tls_context(request, *args, **kwargs)
        self._compare(pool.scheme, pool.host, pool.port)
        connection = _TLSConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
        pool.ConnectionCls = partial(connection, guard=self)
        return pool

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """A socket to the host of the URL as `urls` parsed it; raises InvalidUrl if urllib3 parsed another host."""
        self._compare(self.url.scheme, connection._dns_host, connection.port)
        return dial(self.url.host, self.url.port, self._allow, self._timeout_s, self._deadline)

    def _compare(self, scheme: str, host: str, port: int | None) -> None:
        read = (scheme, host.strip("[]").lower(), port)
        if read != (self.url.scheme, self.url.host, self.url.port):
            raise InvalidUrl(f"{self.url.href} is ambiguous: it can also be parsed with the host {host}:{port}")
