"""How Longrun speaks to Redis through Celery: the settings that every sender and worker shares."""

from __future__ import annotations

from queue import Empty
from typing import Any, Final

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis
from redis.exceptions import ResponseError

from jobcore import logs
from jobcore.settings import CoreSettings

TRANSPORT_OPTIONS: Final = {
    "socket_timeout": 3,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


RECONNECT_S: Final = 1

log = logs.get(__name__)


class _Channel(redis.Channel):  # type: ignore[misc]
    """Drops what is in a queue's list and is no message; each such item would end a Celery main process."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("dropped what is not a message out of a queue's list", error=repr(error))
            raise Empty from None


class _Transport(redis.Transport):  # type: ignore[misc]
    """Takes a Redis that refuses writes for one that is away.

    Its disk or memory may be full, or it may be a replica now; else the refusal of one acknowledgement would end a
    Celery main process and every job that it runs.
    """

    Channel = _Channel
    connection_errors = (*redis.Transport.connection_errors, ResponseError)


class ImpatientConnection(Connection):  # type: ignore[misc]
    """Looks for a broker that went away every second; kombu's pauses grow to 30 s, and jobs wait for a wake-up."""

    def get_transport_cls(self) -> type[redis.Transport]:
        """The Redis transport that drops garbage."""
        return _Transport

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super()._ensure_connection(
            *args, **kwargs | {"interval_start": RECONNECT_S, "interval_step": 0, "interval_max": RECONNECT_S}
        )


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = ImpatientConnection


class _App(Celery):  # type: ignore[misc]
    amqp_cls = _Amqp


def create_sender(settings: CoreSettings) -> Celery:
    """An app that can send wake-ups."""
    return create("longrun", settings)


def create(name: str, settings: CoreSettings) -> Celery:
    """An app with what senders and workers must agree on. No result backend: PostgreSQL has every result."""
    app = _App(name)
    app.conf.update(
        broker_url=settings.redis_url,
        broker_transport_options=dict(TRANSPORT_OPTIONS),
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
    )
    return app
