"""The Redis of this deployment: where it is, how to connect to it, and the names of Longrun's keys.

Celery's transport (kombu) and redis-py read the same URL differently: they disagree on certificates, sockets and
Sentinel. So only `jobcore.settings.redis_url` reads a URL, and every connection (blocking, asyncio, and that of
Celery's transport) is made here with the same arguments.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import UUID

import redis
import redis.asyncio
import redis.asyncio.sentinel as asyncio_sentinel
from redis import sentinel

PREFIX: Final = "longrun:"
CONNECT_S: Final = 1.0

Wrap = Callable[[type[redis.Connection]], type[redis.Connection]]


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server's certificate is verified, and which certificate Longrun presents."""

    verify: ssl.VerifyMode = ssl.CERT_REQUIRED
    check_hostname: bool = True
    ca_file: str | None = None
    """Authorities to trust besides those of the system, as PEM."""
    cert_file: str | None = None
    key_file: str | None = None

    def arguments(self) -> dict[str, Any]:
        """These settings as arguments of redis-py's connections, blocking and asyncio alike."""
        return {
            "ssl_cert_reqs": _VERIFY_NAMES[self.verify],
            "ssl_check_hostname": self.check_hostname and self.verify is not ssl.CERT_NONE,
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }


_VERIFY_NAMES: Final = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One Redis or Valkey: a host, a Unix socket, or the master that Sentinels name."""

    hosts: tuple[tuple[str, int], ...] = (("127.0.0.1", 6379),)
    """Host and port of the server, or of each Sentinel."""
    socket: str | None = None
    """The path of a Unix socket, which is used instead of `hosts`."""
    master: str | None = None
    """The name under which the Sentinels know the server; None if `hosts` is the server itself."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    prefix: str = PREFIX
    """The beginning of each key and channel of this deployment."""

    @property
    def address(self) -> str:
        """A URL without user and password, for logs; Celery's transport can parse it."""
        if self.socket:
            return f"redis+socket://{self.socket}"
        host, port = self.hosts[0]
        scheme = "sentinel" if self.master else "rediss" if self.tls else "redis"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/{self.db}"

    def key(self, name: str) -> str:
        """A key or channel of this deployment."""
        return f"{self.prefix}{name}"

    def queue(self, name: str) -> str:
        """The list of a queue's wake-ups; no key of kombu begins like it."""
        return self.key(f"queue:{name}")

    def job(self, job_id: UUID) -> str:
        """The channel of a job's live events."""
        return self.key(f"job:{job_id}")

    @property
    def readers(self) -> str:
        """The channel that an API process listens to while it has streams; nothing is sent on it."""
        return self.key("readers")

    @property
    def news(self) -> str:
        """The channel that says that there are new events, of whatever job."""
        return self.key("news")

    @property
    def cancels(self) -> str:
        """The channel on which supervisors receive cancels."""
        return self.key("cancels")

    def client(self, timeout_s: float, **options: Any) -> redis.Redis:
        """A client whose calls block for at most `timeout_s` seconds each."""
        return redis.Redis.from_pool(self.pool(timeout_s, **options))

    def pool(self, timeout_s: float | None, wrap: Wrap = lambda kind: kind, **options: Any) -> redis.ConnectionPool:
        """A pool of blocking connections of the class `wrap(redis-py's class)`; it connects at its first use."""
        arguments = self._arguments(timeout_s) | options
        if self.socket:
            arguments.pop("socket_keepalive", None)
            return redis.ConnectionPool(
                connection_class=wrap(cast(Any, redis.UnixDomainSocketConnection)), path=self.socket, **arguments
            )
        if not self.master:
            [(host, port)] = self.hosts
            kind = wrap(redis.SSLConnection if self.tls else redis.Connection)
            return redis.ConnectionPool(connection_class=kind, host=host, port=port, **arguments)
        kind = wrap(sentinel.SentinelManagedSSLConnection if self.tls else sentinel.SentinelManagedConnection)
        sentinels = _untyped(sentinel.Sentinel)(self.hosts, sentinel_kwargs=self._sentinel_arguments())
        return cast(
            redis.ConnectionPool,
            _untyped(sentinel.SentinelConnectionPool)(self.master, sentinels, connection_class=kind, **arguments),
        )

    def asyncio_client(self, timeout_s: float, **options: Any) -> redis.asyncio.Redis:
        """An asyncio client whose calls take at most `timeout_s` seconds each."""
        arguments = self._arguments(timeout_s) | options
        pool: redis.asyncio.ConnectionPool
        if self.socket:
            pool = redis.asyncio.ConnectionPool(
                connection_class=redis.asyncio.UnixDomainSocketConnection, path=self.socket, **arguments
            )
        elif not self.master:
            [(host, port)] = self.hosts
            kind = redis.asyncio.SSLConnection if self.tls else redis.asyncio.Connection
            pool = redis.asyncio.ConnectionPool(connection_class=kind, host=host, port=port, **arguments)
        else:
            sentinels = _untyped(asyncio_sentinel.Sentinel)(self.hosts, sentinel_kwargs=self._sentinel_arguments())
            arguments["ssl"] = self.tls is not None
            pool = _untyped(asyncio_sentinel.SentinelConnectionPool)(self.master, sentinels, **arguments)
        return redis.asyncio.Redis.from_pool(pool)

    def _arguments(self, timeout_s: float | None) -> dict[str, Any]:
        connect_s = CONNECT_S if timeout_s is None else min(CONNECT_S, timeout_s)
        return {
            "db": self.db,
            "username": self.username,
            "password": self.password,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": connect_s,
            **(self.tls.arguments() if self.tls else {}),
        }

    def _sentinel_arguments(self) -> dict[str, Any]:
        return {
            "password": self.sentinel_password,
            "socket_timeout": CONNECT_S,
            "socket_connect_timeout": CONNECT_S,
            **({"ssl": True, **self.tls.arguments()} if self.tls else {}),
        }


def _untyped(kind: Any) -> Any:
    """A class of redis-py whose constructor has no types."""
    return kind
