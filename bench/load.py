"""The load generator: `python -m bench.load '{"port": 8000, ...}'` sends POST /tasks and prints one JSON line.

It is one process with one event loop. It builds the bytes of the request once and parses answers with httptools,
because it shares the cores with the system under test. Each run measures its CPU (`cpu_s`) and its maximum rate.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final, cast
from uuid import uuid4

import httptools
import uvloop

from bench.figures import percentile

KEY: Final = b"00000000-0000-4000-8000-000000000000"
KEY_LINE: Final = f'Idempotency-Key: "{KEY.decode()}"\r\n'


@dataclass(frozen=True)
class Load:
    """The same POST, sent `count` times over `clients` kept-alive connections.

    Without `rate`, each client sends its next request when it has an answer. With it, all clients together send `rate`
    requests per second.
    """

    port: int
    count: int
    clients: int = 32
    rate: float | None = None
    task_type: str = "echo"
    input: str = '{"hello": "world"}'
    keys: bool = False
    """Send an idempotency key with each request, a new one each time."""
    api_key: str | None = None

    def request(self) -> bytes:
        """The bytes of a request, with the place for its key."""
        body = f'{{"task_type": "{self.task_type}", "input": {self.input}}}'.encode()
        caller = "" if self.api_key is None else f"Authorization: Bearer {self.api_key}\r\n"
        head = (
            f"POST /tasks HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{KEY_LINE if self.keys else ''}{caller}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True)
class Answers:
    """The answers of one load; times are in seconds, `first_post` is Unix time."""

    first_post: float
    elapsed_s: float
    accepted: int
    others: dict[str, int]
    p50_s: float
    p99_s: float
    max_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.accepted / self.elapsed_s

    @property
    def cpu_share(self) -> float:
        """The share of one core that the generator used."""
        return self.cpu_s / self.elapsed_s


def post(load: Load, timeout_s: float = 300) -> Answers:
    """Run the load in a separate process; RuntimeError if an answer is not 202."""
    result = subprocess.run(
        [sys.executable, "-m", "bench.load", json.dumps(asdict(load))],
        stdout=subprocess.PIPE,
        check=True,
        timeout=timeout_s,
    )
    answers = Answers(**json.loads(result.stdout))
    if answers.accepted != load.count:
        raise RuntimeError(f"{answers.accepted} of {load.count} requests answered 202, others: {answers.others}")
    return answers


class Run:
    """The state that all connections of one load share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.template = load.request()
        self.started = time.perf_counter()
        self.unsent = load.count
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.ended = asyncio.get_running_loop().create_future()

    def next_due(self) -> float | None:
        """The time to send the next request (0: now), or None if none is left."""
        if self.unsent == 0:
            return None
        number = self.load.count - self.unsent
        self.unsent -= 1
        return self.started + number / self.load.rate if self.load.rate else 0.0

    def next_request(self) -> bytes:
        """The bytes to send."""
        return self.template.replace(KEY, str(uuid4()).encode(), 1) if self.load.keys else self.template

    def answered(self, latency: float, status: str) -> None:
        self.latencies.append(latency)
        self.statuses[status] += 1
        if len(self.latencies) == self.load.count:
            self.ended.set_result(None)


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection with one request at a time."""

    transport: asyncio.Transport
    sent: float

    def __init__(self, run: Run) -> None:
        self.run = run
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        due = self.run.next_due()
        if due is None:
            return
        wait = due - time.perf_counter()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self.send)
        else:
            self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.run.next_request())

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.run.answered(time.perf_counter() - self.sent, str(self.parser.get_status_code()))
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.run.ended.done():
            self.run.ended.set_exception(error or ConnectionError("the server closed a connection"))


async def send_all(load: Load) -> Answers:
    loop = asyncio.get_running_loop()
    run = Run(load)
    connections = [
        (await loop.create_connection(lambda: Connection(run), "127.0.0.1", load.port))[1] for _ in range(load.clients)
    ]
    cpu, first_post, run.started = time.process_time(), time.time(), time.perf_counter()
    for connection in connections:
        connection.send_next()
    await run.ended
    elapsed = time.perf_counter() - run.started
    return Answers(
        first_post=first_post,
        elapsed_s=elapsed,
        accepted=run.statuses.pop("202", 0),
        others=dict(run.statuses),
        p50_s=percentile(run.latencies, 50),
        p99_s=percentile(run.latencies, 99),
        max_s=max(run.latencies),
        cpu_s=time.process_time() - cpu,
    )


def main(argument: str) -> None:
    parameters: dict[str, Any] = json.loads(argument)
    print(json.dumps(asdict(uvloop.run(send_all(Load(**parameters))))))


if __name__ == "__main__":
    main(sys.argv[1])
