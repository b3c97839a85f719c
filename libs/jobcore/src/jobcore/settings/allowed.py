"""What an operator allows beside the public internet: endpoints, `host:port`, and networks, `10.1.0.0/16`."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator


def endpoint(host: str, port: int) -> str:
    """`host:port` in a canonical form, with IPv6 addresses in brackets (RFC 3986 §3.2.2)."""
    host = host.lower().rstrip(".")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allowed(text: str) -> str:
    return _network(text) if "/" in text else _endpoint(text)


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is neither host:port nor a network such as 10.1.0.0/16: {error}") from None


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            f"{text!r} is not host:port, such as intranet.example:443 or [::1]:8080, nor a network such as 10.1.0.0/16"
        )
    return endpoint(host, int(port))


Allowed = Annotated[str, AfterValidator(_allowed)]
"""One endpoint or network, in its canonical form."""
