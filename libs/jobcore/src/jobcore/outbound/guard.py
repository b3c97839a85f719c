"""The SSRF guard: clients' URLs lead to the public internet, but not into the network in which a worker runs.

    URL ──web_url──▶ host ──resolve──▶ addresses ──why_refused──▶ connect to one of these very addresses

The check is part of making a connection. It therefore covers every redirect, every spelling of an address, and DNS
servers that change their answers. Host, port and path are those that `urls` parsed, even if requests and urllib3 parse
the URL differently. `docs/adr/0004-ssrf-guard.md` says why the guard is our own code.
"""

from __future__ import annotations

import socket
import threading
from functools import partial
from http.client import HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from jobcore.outbound.addresses import why_refused
from jobcore.outbound.allow_list import AllowList
from jobcore.outbound.deadline import Deadline
from jobcore.outbound.errors import ConnectionFailed, InvalidUrl, RefusedAddress
from jobcore.outbound.urls import WebUrl, web_url
from jobcore.settings.allowed import endpoint


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


def dial(host: str, port: int, allow: AllowList, timeout_s: float, deadline: Deadline) -> socket.socket:
    """Check all addresses of the host, then connect to one of them; `deadline` watches the connection.

    Raises RefusedAddress if any address is neither public nor in `allow`, ConnectionFailed if
    none accepts the connection within `timeout_s` seconds, and FetchTimeout after the deadline.
    """
    addresses = resolve(host, port, min(timeout_s, deadline.left_s()))
    if not allow.has_endpoint(host, port):
        for address in addresses:
            kind = why_refused(address)
            if kind is not None and not allow.has_address(address, port):
                # Do not reveal the address: a client must not learn the addresses of a network that it cannot reach.
                raise RefusedAddress(
                    f"{host} has {kind} address, but only the public internet may be reached: "
                    f"an operator can allow it with {allow.setting}={endpoint(host, port)}"
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

    def __init__(self, *args: Any, guard: GuardedAdapter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self.response_class = guard.response_class

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
    """Makes all connections of a `GuardedSession` with `dial`; `url` is that of the current request.

    `response_class` reads the answers.
    """

    url: WebUrl

    def __init__(
        self,
        allow: AllowList,
        timeout_s: float,
        deadline: Deadline,
        response_class: type[HTTPResponse] = HTTPResponse,
    ) -> None:
        super().__init__()
        self.response_class = response_class
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
