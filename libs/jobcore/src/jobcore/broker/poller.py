"""How a worker's main process listens to Redis, so that it hears when its connection is gone or silent.

kombu reads from the connection on which it waits for wake-ups only while it may take one. With every child busy
nobody reads the end of a lost connection, which makes the main process spin (celery/kombu#2214); an acknowledgement
that fails counts as owed for ever, so that after a few of them the worker takes nothing any more; and an answer that
does not come is waited for without end. Here

    what is there to read is read             the end of a connection is noticed whatever the children do
    what cannot be acknowledged is let go     Redis gives that wake-up out again later, which does no harm
    each BRPOP has a deadline                 Redis answers within its own timeout; else the connection is given up
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kombu.transport import redis, virtual
from redis.exceptions import ConnectionError as RedisConnectionError

GRACE_S: Final = 4.0
"""So much longer than its own timeout an answer to BRPOP may take."""


class QoS(redis.QoS):  # type: ignore[misc]
    """The wake-ups that are not acknowledged yet."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; raises what redis-py does when Redis cannot be told."""
        with self._let_go(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a wake-up back, or drop it; raises what redis-py does when Redis cannot be told."""
        with self._let_go(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _let_go(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Poller(redis.MultiChannelPoller):  # type: ignore[misc]
    """Watches the connections of all channels."""

    def on_poll_start(self) -> None:
        """Before each wait; ConnectionError if Redis owes an answer for too long."""
        for channel in self._channels:
            if channel.is_overdue():
                channel.give_up()
                raise RedisConnectionError("Redis does not answer on a connection that is open")
        super().on_poll_start()

    def on_readable(self, fileno: int) -> Any:
        """Something can be read."""
        channel, kind = self._fd_to_chan[fileno]
        channel.handlers[kind]()
