"""What operators do to the queue while jobs run: they pause it and limit it."""

from __future__ import annotations

import time

from tests.chaos.client import Client
from tests.chaos.deployment import QUEUE
from tests.chaos.kinds import Strike, fault


@fault((QUEUE,), (0.5, 3.0))
def queue_paused(strike: Strike) -> None:
    """An operator pauses the queue and lets it go on."""
    client = Client(strike.deployment)
    client.change_queue(paused=True)
    try:
        time.sleep(strike.seconds)
    finally:
        client.change_queue(paused=False)


@fault((QUEUE,), (1.0, 5.0))
def queue_limited(strike: Strike) -> None:
    """An operator lets two jobs of the queue run at a time, and takes the limit away."""
    client = Client(strike.deployment)
    client.change_queue(max_running=2)
    try:
        time.sleep(strike.seconds)
    finally:
        client.change_queue(max_running=None)
