"""The wait of another client and the memory of the API while 60 clients send bodies that are slow to parse."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import ExitStack

import psutil

from bench.figures import Row, milliseconds
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import LONGRUN

CLIENTS = 60
BODY_BYTES = 1024 * 1024 - 1
FRAME = b'{"task_type":"echo","input":{"x":[%s]}}'
ELEMENTS = 50_000


def brackets() -> bytes:
    """A body with as many values as fit into it: more than the API accepts."""
    return FRAME % (b"[]," * ((BODY_BYTES - len(FRAME) - 8) // 3) + b"[]")


def costliest() -> bytes:
    """A body of the largest size that the API accepts, with as many values as it accepts."""
    values = b",".join([b"[]"] * (ELEMENTS // 2))
    return (FRAME % values).ljust(BODY_BYTES)


def attack(port: int, body: bytes, api: psutil.Process) -> tuple[float, float, dict[int, int]]:
    """The longest wait of a GET in seconds, the largest RSS of the API in MiB, and the answers by status."""
    head = f"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    waits: list[float] = []
    sizes: list[int] = []
    over = threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while not over.is_set():
            started = time.perf_counter()
            connection.request("GET", "/tasks?limit=1")
            connection.getresponse().read()
            waits.append(time.perf_counter() - started)
            sizes.append(api.memory_info().rss)

    statuses: dict[int, int] = {}
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CLIENTS)]
        for client in clients:
            client.settimeout(120)
            client.sendall(head.encode() + b"\r\n\r\n" + body[:-1])
        other = threading.Thread(target=look)
        other.start()
        for client in clients:
            client.sendall(body[-1:])
        for client in clients:
            status = int(client.recv(65536).split()[1])
            statuses[status] = statuses.get(status, 0) + 1
        over.set()
        other.join()
    return max(waits), max(sizes) / 1024**2, statuses


def measure(stage: Stage, scale: Scale) -> list[Row]:
    rows = []
    for what, body in (("brackets", brackets()), ("the costliest body that is accepted", costliest())):
        with stage.run(LONGRUN, worker=False) as running:
            [api] = [process for process in running.processes if process.name == "api"]
            stall, size, statuses = attack(running.port, body, psutil.Process(api.pid))
        say(f"  {what}: longest GET {stall * 1000:,.0f} ms, API {size:,.0f} MiB, answers {statuses}")
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        note = f"{CLIENTS} clients, 1 MiB each, last bytes at once: {answers}"
        rows.append(Row(what=f"longest GET beside {what}", longrun=milliseconds(stall), note=note))
        rows.append(Row(what="  and the API's memory", longrun=f"{size:,.0f} MiB"))
    return rows
