"""TCP options that uvicorn does not set: detect peers that are gone, and reset a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

KEEPALIVE_IDLE_S: Final = 60
"""Idle seconds before the kernel sends the first probe."""
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4


def detect_lost_peers(connection: socket.socket | None) -> None:
    """Let the kernel close this TCP connection when its peer no longer answers; other sockets are left alone."""
    if connection is None or connection.family == getattr(socket, "AF_UNIX", None):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": 1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_INTERVAL_S * KEEPALIVE_PROBES),
    }
    for name, value in options.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reset(transport: asyncio.Transport) -> None:
    """Reset the connection (RST) and discard what was written to it, including the kernel's send buffer.

    After an ordinary close, the kernel would keep up to 4 MiB for minutes. The peer can still read what it has
    already received.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
