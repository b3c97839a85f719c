"""How endpoints are written: in settings and in messages."""

from __future__ import annotations


def endpoint(host: str, port: int) -> str:
    """`host:port` in a canonical form, with IPv6 addresses in brackets (RFC 3986 §3.2.2)."""
    host = host.lower().rstrip(".")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
