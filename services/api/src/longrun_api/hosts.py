"""Check the `Host` header against the names of this server, as a defence against DNS rebinding.

A browser sends the name in its address bar as `Host`, whatever address that name resolves to. A page that rebinds its
own name to our address therefore sends a name that is not ours. An IP address in `Host` cannot be rebound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

import httptools

from longrun_api.problems import HttpError

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ANY: Final = "*"
# RFC 3986, section 3.2.2, without percent-encoding and sub-delims, which no DNS name contains
AUTHORITY: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<name>[\w.-]+))(?::(?P<port>\d{0,5}))?", re.ASCII)


class BadHost(HttpError):
    """`Host` is missing, repeated or malformed (RFC 9112, section 3.2)."""

    status = 400
    slug = "bad-host"
    title = "The request has no valid Host header"


class HostNotAllowed(HttpError):
    """`Host` is not a name of this server (RFC 9110, section 15.5.20)."""

    status = 421
    slug = "host-not-allowed"
    title = "This server does not answer to that host name"


class Authority(NamedTuple):
    """A host and its port: the name in lower case, an IPv6 address in its shortest form; None: the scheme's port."""

    name: str
    port: int | None


@lru_cache(maxsize=256)
def parse_authority(text: str) -> Authority | None:
    """Parse `host`, `host:port` or `[ipv6]:port`; None if it is malformed."""
    match = AUTHORITY.fullmatch(text)
    if match is None:
        return None
    name = match["name"]
    if name is None:
        address = _address(match["ipv6"])
        if address is None:
            return None
        name = str(address)
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        return None
    return Authority(name.lower().removesuffix("."), port)


def with_host_of_target(target: bytes, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with the host of `GET http://host/path`, whatever `Host` says (RFC 9112, section 3.2.2)."""
    url = httptools.parse_url(target)
    if not url.host:
        return headers
    port = b":%d" % url.port if url.port else b""
    return [(b"host", url.host + port), *((name, value) for name, value in headers if name != b"host")]


class Hosts:
    """The names of this server: loopback names, the address on which a request arrived, and the `given` names.

    A given name may begin with `*.` for all names below it; `*` allows any name.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        names = {str(_address(name) or name.lower()) for name in given}
        self._any = ANY in names
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._names = LOOPBACK | names

    def check(self, values: list[str], server: str | None, http_version: str) -> Authority | None:
        """The host of a request; raises BadHost or HostNotAllowed. `server` is the address on which it arrived.

        None for HTTP/1.0 without the header, which no browser sends.
        """
        host = self.parse(values, http_version)
        if host is not None and not self._allows(host.name, server):
            raise HostNotAllowed(
                f"{host.name!r} is not a name of this server; its operator can add it to LONGRUN_ALLOWED_HOSTS"
            )
        return host

    def parse(self, values: list[str], http_version: str) -> Authority | None:
        """The host of a request, whether or not it is ours; raises BadHost."""
        if not values and http_version == "1.0":
            return None
        if len(values) != 1:
            raise BadHost(f"send the header Host once, not {len(values)} times")
        host = parse_authority(values[0])
        if host is None:
            raise BadHost(f"Host must be a host name or address with an optional port, not {values[0][:100]!r}")
        return host

    def _allows(self, name: str, server: str | None) -> bool:
        return name in self._names or self._any or name.endswith(self._suffixes) or _same_address(name, server)


def _same_address(name: str, server: str | None) -> bool:
    address = _address(name)
    return address is not None and server is not None and address == _address(server)


@lru_cache(maxsize=256)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
