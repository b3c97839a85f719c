"""Hears over Redis that a job was cancelled somewhere, so that its supervisor asks PostgreSQL at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import redis

from jobcore.host.threads import LongThread
from jobcore.settings.redis_server import RedisServer

LISTEN_S: Final = 5


class CancelListener:
    """Calls `on_cancel` from its own thread when a job was cancelled somewhere."""

    def __init__(self, server: RedisServer, on_cancel: Callable[[], None]) -> None:
        self._channel = server.cancels
        self._redis = server.client(LISTEN_S, health_check_interval=10)
        self._on_cancel = on_cancel
        self._stopping = threading.Event()
        self._thread = LongThread("cancel-listener", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(self._channel)
                    while not self._stopping.is_set():
                        self._thread.beat()
                        if pubsub.get_message(timeout=2):
                            self._on_cancel()
                        if pubsub.health_check_response_counter > 1:
                            raise redis.ConnectionError("the connection is open and brings no answer")
            except (redis.RedisError, OSError):
                self._stopping.wait(1)
