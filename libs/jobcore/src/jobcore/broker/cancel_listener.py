"""Receives the cancels that are published over Redis, so that a supervisor asks PostgreSQL for them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import redis

from jobcore.host.background_thread import BackgroundThread
from jobcore.settings.redis_server import RedisServer

LISTEN_S: Final = 5
POLL_S: Final = 1.0
RECONNECT_S: Final = 1.0
STOP_S: Final = 3.0


class CancelListener(BackgroundThread):
    """Calls `on_cancel`, from its own thread, when any job was cancelled."""

    def __init__(self, server: RedisServer, on_cancel: Callable[[], None]) -> None:
        super().__init__("cancel-listener", stop_s=STOP_S)
        self._channel = server.cancels
        self._redis = server.client(LISTEN_S, health_check_interval=10)
        self._on_cancel = on_cancel

    def run(self) -> None:
        """Listen until stopped."""
        while not self.stopping:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(self._channel)
                    while not self.stopping:
                        self.beat()
                        if pubsub.get_message(timeout=POLL_S):
                            self._on_cancel()
                        if pubsub.health_check_response_counter > 1:
                            raise redis.ConnectionError("the connection is open, but no answer comes")
            except (redis.RedisError, OSError):
                self.pause(RECONNECT_S)
