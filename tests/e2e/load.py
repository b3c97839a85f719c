"""A steady load from outside the cluster that remembers what was accepted and what was refused."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from tests.e2e.release import Release

CLIENTS = 4
STEADY_S = 3.0


@dataclass
class Load:
    """POSTs `rate` tasks a second over a few clients, and reads one back after each, while the block lasts."""

    release: Release
    rate: float
    task_type: str = "echo"
    input: dict[str, Any] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._started = time.monotonic()
        self._threads = [threading.Thread(target=self._run, name=f"load-{number}") for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, for_s: float = STEADY_S) -> None:
        """Let so many seconds of load pass."""
        self._stop.wait(for_s)

    def _run(self) -> None:
        with self.release.client() as client:
            while True:
                number = next(self._numbers)
                if self._stop.wait(max(0.0, self._started + number / self.rate - time.monotonic())):
                    return
                self._submit(client)

    def _submit(self, client: httpx.Client) -> None:
        at = time.monotonic() - self._started
        try:
            answer = client.post("/tasks", json={"task_type": self.task_type, "input": self.input})
            if answer.status_code == httpx.codes.ACCEPTED:
                self.accepted.append(answer.json()["task_id"])
                answer = client.get(answer.json()["links"]["self"])
            if answer.is_error:
                self.failures.append(f"{at:.1f} s: {answer.status_code} {answer.text[:200]}")
        except httpx.TransportError as error:
            self.failures.append(f"{at:.1f} s: {error!r}")
