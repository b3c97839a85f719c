"""How a worker's main process waits for Redis, so that it notices a connection that is lost or silent.

kombu reads the connection on which it waits for wake-ups only while it may take one. So while every child is busy,
nobody reads the end of a lost connection, and the main process spins (celery/kombu#2214). An acknowledgement that fails
counts against the prefetch for ever, so after a few of them the worker takes no more wake-ups. And kombu waits without
a deadline for an answer that never comes. Therefore this poller

    reads whatever can be read                  a lost connection is noticed even if every child is busy
    drops what it cannot acknowledge            Redis delivers that wake-up again later, which does no harm
    gives each BRPOP a deadline                 Redis answers within its own timeout, or the connection is closed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kombu.transport import redis, virtual
from redis.exceptions import ConnectionError as RedisConnectionError

GRACE_S: Final = 4.0
"""How long after the timeout of a BRPOP its answer may come, in seconds."""


class QoS(redis.QoS):  # type: ignore[misc]
    """The wake-ups that are not yet acknowledged."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a wake-up; raises redis-py's error if Redis does not take it."""
        with self._dropped_on_error(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Requeue a wake-up, or drop it; raises redis-py's error if Redis does not take it."""
        with self._dropped_on_error(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _dropped_on_error(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Poller(redis.MultiChannelPoller):  # type: ignore[misc]
    """Watches the connections of all channels."""

    def on_poll_start(self) -> None:
        """Called before each wait; ConnectionError if an answer of Redis is overdue."""
        for channel in self._channels:
            if channel.is_overdue():
                channel.give_up()
                raise RedisConnectionError("Redis does not answer on a connection that is open")
        super().on_poll_start()

    def on_readable(self, fileno: int) -> Any:
        """Called when this file descriptor can be read."""
        channel, kind = self._fd_to_chan[fileno]
        channel.handlers[kind]()
