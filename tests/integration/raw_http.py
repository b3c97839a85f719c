"""Requests as no client library sends them, byte for byte, and what comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil

TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Answer:
    """What a server wrote until it closed the connection; status 0: nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, received: bytes) -> Answer:
        """The first answer in what was received."""
        if not received:
            return cls(0, {}, b"")
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return cls(int(first.split()[1]), headers, body[: int(headers.get("content-length", len(body)))])

    @property
    def problem(self) -> Any:
        """The problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """The last part of the problem's type."""
        return str(self.problem["type"]).removeprefix("urn:longrun:problem:")


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A TCP connection to a server."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), TIMEOUT_S) as connection:
        yield connection


def exchange(url: str, request: bytes) -> Answer:
    """Send these bytes, and read until the server closes: the request should say `Connection: close`."""
    with connected(url) as connection:
        connection.sendall(request)
        return read(connection)


def read(connection: socket.socket) -> Answer:
    """Read until the server closes, however it does that."""
    received = bytearray()
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return Answer.of(bytes(received))


def get(path: str, *headers: str) -> bytes:
    """A GET whose answer ends the connection, with these header lines and no others."""
    return request("GET", path, *headers)


def request(method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A request whose answer ends the connection, with these header lines and no others."""
    lines = [f"{method} {path} HTTP/{version}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def resident_bytes(pid: int) -> int:
    """How much memory a process holds."""
    return int(psutil.Process(pid).memory_info().rss)
