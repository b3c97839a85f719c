"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket

from longrun_local.errors import StartError

# Below the ephemeral ranges of Linux and macOS: otherwise a client that keeps reconnecting to a stopped server could
# get the server's port as its source port and connect to itself.
FREE_PORTS = range(15000, 30000)
BACKLOG = 2048
"""How many connections may wait, as for uvicorn's own sockets."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `host:port` now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As servers do: a connection in TIME_WAIT does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which no server listens now."""
    for port in random.sample(FREE_PORTS, k=1000):
        if is_free(port, host):
            return port
    raise StartError(f"no free TCP port found on {host} between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def listen(port: int, setting: str, host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens on the port, for one server after the other: between two, connections wait.

    Raises StartError, with the setting that changes the port, if the port is taken.
    """
    if not is_free(port, host):
        raise StartError(
            f"port {port} on {host} is taken by another program: stop that program, "
            f"or choose another port, for example {setting}={free_port(host)}"
        )
    return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
