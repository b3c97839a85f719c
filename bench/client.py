"""One request at a time, for measures that send few."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The status (None: no answer in time), the seconds it took, and the JSON body of a 202."""

    status: int | None
    seconds: float
    body: Mapping[str, Any]


def post_one(port: int, timeout_s: float, task: Mapping[str, Any] | None = None) -> Answer:
    """POST one task (an `echo` by default) on a new connection."""
    body = json.dumps(task or {"task_type": "echo", "input": {"hello": "world"}})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    started = time.perf_counter()
    try:
        connection.request("POST", "/tasks", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except TimeoutError:
        return Answer(None, time.perf_counter() - started, {})
    finally:
        connection.close()
    seconds = time.perf_counter() - started
    return Answer(response.status, seconds, json.loads(content) if response.status == 202 else {})
