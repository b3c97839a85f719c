"""How callers are recognised, and where it would be careless to recognise none."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address


class AuthMode(StrEnum):
    """A value of LONGRUN_AUTH."""

    NONE = "none"
    """Nobody is asked: whoever reaches the API is the operator. Only on loopback."""
    PROXY = "proxy"
    """The same anywhere, because a proxy asks, and only it reaches the API."""
    KEYS = "keys"
    OIDC = "oidc"


OPEN = frozenset({AuthMode.NONE, AuthMode.PROXY})
"""The modes in which the API itself asks nobody; they stand alone."""


def refuse_open_none(modes: frozenset[AuthMode], host: str) -> None:
    """End the process with one line if anyone on the network would be the operator."""
    if AuthMode.NONE in modes and not is_loopback(host):
        raise SystemExit(
            f"longrun: LONGRUN_AUTH is none, and the API would listen on {host}, where others reach it: set "
            "LONGRUN_AUTH=keys and make the first key with `longrun keys bootstrap`; or LONGRUN_AUTH=proxy if a proxy "
            "of yours authenticates every request; or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server of this name or address."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback
