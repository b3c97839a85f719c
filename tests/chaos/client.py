"""A client that does not give up: it tries the other API when one does not answer or says 503."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any

import httpx

from tests.chaos.deployment import APIS, QUEUE, Deployment

TIMEOUT_S = 5.0
AGAIN_S = 0.2
GIVE_UP_S = 120.0
TRY_AGAIN = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS, httpx.codes.INTERNAL_SERVER_ERROR}


class Refused(AssertionError):
    """An answer that no retry will change."""


class Client:
    """Submits, cancels and follows; safe to use from many threads."""

    def __init__(self, deployment: Deployment) -> None:
        fronts = [deployment.nodes[name].front for name in APIS]
        self._clients = [httpx.Client(base_url=front.url, timeout=TIMEOUT_S) for front in fronts if front]
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self.accepted: list[str] = []
        self.errors: list[str] = []
        """Answers that are neither a success nor a 503, and so should not be."""

    def submit(self, body: dict[str, Any]) -> str:
        """Submit until it is answered 202; the id. An answer that was lost may have left one job more."""
        answer = self._send("POST", "/tasks", json=body)
        job_id = str(answer.json()["task_id"])
        with self._lock:
            self.accepted.append(job_id)
        return job_id

    def cancel(self, job_id: str) -> None:
        """Cancel until it is answered: also 409, when the job ended first."""
        self._send("DELETE", f"/tasks/{job_id}")

    def retry(self, job_id: str) -> None:
        """Try an ended job again by hand until it is answered: also 409, when it has not failed (yet)."""
        self._send("POST", f"/tasks/{job_id}/retry")

    def change_queue(self, **changes: Any) -> None:
        """Pause, resume or limit the queue until it is answered."""
        self._send("PATCH", f"/queues/{QUEUE}", json=changes)

    def make_schedule(self, body: dict[str, Any]) -> None:
        """Make a schedule until it is answered: also 409, when an answer was lost and its name is taken."""
        self._send("POST", "/schedules", json=body)

    def pause_schedule(self, name: str) -> None:
        """Pause a schedule until it is answered: also 409, when a request that seemed lost did so meanwhile."""
        self._send("POST", f"/schedules/{name}/pause")

    def follow(self, job_id: str, until: float) -> list[int]:
        """The seqs of the job's story as a stream gives them, resumed wherever it breaks; complete unless time ran out.

        `until` is on the monotonic clock.
        """
        seen: list[int] = []
        while time.monotonic() < until:
            try:
                if self._follow(job_id, seen, until):
                    return seen
            except (httpx.TransportError, httpx.HTTPStatusError):
                time.sleep(AGAIN_S)
        return []

    def _follow(self, job_id: str, seen: list[int], until: float) -> bool:
        headers = {"last-event-id": str(seen[-1])} if seen else {}
        with self._next().stream("GET", f"/tasks/{job_id}/stream", headers=headers) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return True
            response.raise_for_status()
            event: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                    continue
                if "id" in event:
                    seen.append(int(event["id"]))
                if event.get("event") == "state" and json.loads(event["data"])["status"] not in ("PENDING", "RUNNING"):
                    return True
                event = {}
                if time.monotonic() > until:
                    return False
        return False

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        give_up = time.monotonic() + GIVE_UP_S
        while True:
            try:
                answer = self._next().request(method, path, **options)
            except httpx.TransportError as error:
                problem = repr(error)
            else:
                if answer.status_code not in TRY_AGAIN:
                    if answer.is_error and answer.status_code != httpx.codes.CONFLICT:
                        raise Refused(f"{method} {path} was answered {answer.status_code}: {answer.text}")
                    return answer
                problem = f"{answer.status_code} {answer.text}"
                if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
                    self.errors.append(f"{method} {path}: {problem}")
            if time.monotonic() > give_up:
                raise AssertionError(f"{method} {path} was not answered within {GIVE_UP_S:g} s: {problem}")
            time.sleep(AGAIN_S)

    def _next(self) -> httpx.Client:
        return self._clients[next(self._turns) % len(self._clients)]
