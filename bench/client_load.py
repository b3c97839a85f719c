"""Submits of the Python client: `python -m bench.client_load async|blocking PORT COUNT` prints one JSON line.

The async client has 32 submits in flight, the blocking one is called by one thread. Both run as a user's program does:
on the event loop of the standard library, with an idempotency key each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from longrun_client import AsyncLongrun, Longrun

IN_FLIGHT: Final = 32
WARM_UP: Final = 200
INPUT: Final = {"hello": "world"}


@dataclass(frozen=True)
class Submits:
    """How long `count` submits took, and how much CPU this process used, both in seconds."""

    count: int
    elapsed_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Submits a second."""
        return self.count / self.elapsed_s

    @property
    def rate_a_core(self) -> float:
        """Submits in a second of CPU."""
        return self.count / self.cpu_s

    @property
    def cost_us(self) -> float:
        """Microseconds of CPU a submit."""
        return self.cpu_s / self.count * 1e6


async def submit_async(url: str, count: int) -> Submits:
    """Submit `count` tasks, IN_FLIGHT at once."""
    async with AsyncLongrun(url) as longrun:

        async def submit(share: int) -> None:
            for _ in range(share):
                await longrun.submit("echo", INPUT)

        async def submit_all(total: int) -> None:
            await asyncio.gather(*(submit(total // IN_FLIGHT) for _ in range(IN_FLIGHT)))

        await submit_all(WARM_UP)
        clock = Clock()
        await submit_all(count)
        return clock.read(count // IN_FLIGHT * IN_FLIGHT)


def submit_blocking(url: str, count: int) -> Submits:
    """Submit `count` tasks, one after the other."""
    with Longrun(url) as longrun:
        for _ in range(WARM_UP):
            longrun.submit("echo", INPUT)
        clock = Clock()
        for _ in range(count):
            longrun.submit("echo", INPUT)
        return clock.read(count)


class Clock:
    """Time and CPU since it was made."""

    def __init__(self) -> None:
        self._cpu, self._time = time.process_time(), time.perf_counter()

    def read(self, count: int) -> Submits:
        """What `count` submits took."""
        return Submits(count, time.perf_counter() - self._time, time.process_time() - self._cpu)


def main(kind: str, port: str, count: str) -> None:
    url = f"http://127.0.0.1:{port}"
    submits = asyncio.run(submit_async(url, int(count))) if kind == "async" else submit_blocking(url, int(count))
    print(json.dumps(asdict(submits)))


if __name__ == "__main__":
    main(*sys.argv[1:])
