"""The connection to Redis through Celery, with the settings that every sender and worker shares.

Each key of kombu begins with the deployment's prefix, and the list of a queue also with `queue:`. So a queue may have
any name (even `unacked_index`), and other applications may use the same Redis.
"""

from __future__ import annotations

import select
import time
from queue import Empty
from typing import Any, Final

import redis as redis_py
from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis
from redis.exceptions import ResponseError

from jobcore.broker.poller import GRACE_S, Poller, QoS
from jobcore.settings import CoreSettings
from jobcore.settings.redis_server import RedisServer
from jobcore.telemetry import logs

TRANSPORT_OPTIONS: Final = {
    "socket_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


RECONNECT_S: Final = 1

log = logs.get(__name__)


class _Client(redis.PrefixedStrictRedis):  # type: ignore[misc]
    """Replaces the name of a queue's list in the answer to BRPOP by the name of the queue."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and answer:
            key, item = answer
            return key.removeprefix(b"queue:"), item
        return answer


class _Channel(redis.Channel):  # type: ignore[misc]
    """Connects as the rest of Longrun does, and drops invalid messages, each of which would end a main process."""

    QoS = QoS
    from_transport_options = (*redis.Channel.from_transport_options, "server")
    server: RedisServer
    _answer_by = 0.0

    def is_overdue(self) -> bool:
        """Whether the answer to a BRPOP is overdue."""
        if not self._in_poll or time.monotonic() < self._answer_by:
            return False
        # a process that was frozen may find the answer in its socket
        poll = select.poll()
        poll.register(self._in_poll._sock, select.POLLIN)
        return not poll.poll(0)

    def give_up(self) -> None:
        """Close the connection on which an answer is overdue."""
        self.client.connection.disconnect()

    def _get_pool(self, asynchronous: bool = False) -> redis_py.ConnectionPool:
        self.keyprefix_fanout = str(redis.Channel.keyprefix_fanout).format(db=self.server.db)
        return self.server.pool(
            self.socket_timeout,
            wrap=self._reporting_disconnects if asynchronous else lambda kind: kind,
            socket_keepalive=self.socket_keepalive,
            health_check_interval=self.health_check_interval,
            max_connections=self.max_connections,
        )

    def _reporting_disconnects(self, kind: type[redis_py.Connection]) -> type[redis_py.Connection]:
        channel = self

        class Reporting(kind):  # type: ignore[valid-type, misc]
            def disconnect(self, *args: Any) -> None:
                super().disconnect(*args)
                if channel._registered:
                    channel._on_connection_disconnect(self)

        return Reporting

    def _create_client(self, asynchronous: bool = False) -> _Client:
        pool = self.async_pool if asynchronous else self.pool
        return _Client(connection_pool=pool, global_keyprefix=self.server.prefix)

    def _q_for_pri(self, queue: str, pri: int) -> str:
        # only Celery's queue for the replies of remote control, which Flower reads too, has a colon in its name
        return str(super()._q_for_pri(queue if ":" in queue else f"queue:{queue}", pri))

    def _brpop_start(self, timeout: float | None = None) -> None:
        super()._brpop_start(timeout)
        self._answer_by = time.monotonic() + self.brpop_timeout + GRACE_S

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("dropped an invalid message from a queue's list", error=repr(error))
            raise Empty from None


class _Transport(redis.Transport):  # type: ignore[misc]
    """Treats a Redis that refuses writes as one that is unavailable.

    Its disk or memory may be full, or it may have become a replica. Otherwise one refused acknowledgement would end a
    Celery main process and every job that it runs.
    """

    Channel = _Channel
    connection_errors = (*redis.Transport.connection_errors, ResponseError)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()


class ImpatientConnection(Connection):  # type: ignore[misc]
    """Reconnects every second: kombu's pauses grow to 30 s, and jobs wait for a wake-up meanwhile."""

    def get_transport_cls(self) -> type[redis.Transport]:
        """The Redis transport of Longrun."""
        return _Transport

    def Pool(self, limit: int | None = None, **options: Any) -> ConnectionPool:
        """A pool of such connections, from which Celery's remote control takes its own."""
        return _Pool(self, limit, **options)

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super()._ensure_connection(
            *args, **kwargs | {"interval_start": RECONNECT_S, "interval_step": 0, "interval_max": RECONNECT_S}
        )


class _PooledConnection(PooledConnection, ImpatientConnection):  # type: ignore[misc]
    pass


class _Pool(ConnectionPool):  # type: ignore[misc]
    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = ImpatientConnection


class _App(Celery):  # type: ignore[misc]
    amqp_cls = _Amqp


def create_sender(settings: CoreSettings) -> Celery:
    """A Celery app that can send wake-ups."""
    return create("longrun", settings)


def create(name: str, settings: CoreSettings) -> Celery:
    """A Celery app with the settings that senders and workers share; it has no result backend."""
    server = settings.redis
    app = _App(name)
    app.conf.update(
        broker_url=server.address,
        # kombu prefixes its keys; its channels and exchanges have a colon in their names, which no queue's name has
        broker_transport_options={**TRANSPORT_OPTIONS, "server": server, "global_keyprefix": server.prefix},
        control_exchange="celery:control",
        event_exchange="celery:events",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
    )
    return app
