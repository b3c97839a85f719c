"""A rolling deploy of all API and worker processes under load: nothing is lost, nothing that finished runs again."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.fault

ENOUGH = 20
"""So many submissions are accepted while one API and one worker are replaced."""
WORKER_ENV = {"LONGRUN_DRAIN_S": "2"}


class Rollout:
    """The APIs in service, and clients that use whichever answers."""

    def __init__(self, longrun: Harness) -> None:
        self._longrun = longrun
        self.urls: list[str] = []
        self.accepted: list[str] = []
        self.over = threading.Event()

    def api(self) -> Process:
        process = self._longrun.stack.api(env=environment(self._longrun.stack.folder))
        self.urls.append(process.url)
        return process

    def submit(self, client: int) -> None:
        """Submit until it is over; a refused connection or a 503 is tried again at another API."""
        number = client
        with httpx.Client(timeout=30) as http:
            while not self.over.wait(0.2):
                number += 1
                body = {
                    "task_type": "test_tick",
                    "input": {"seconds": 0.05, "folder": str(self._longrun.folder)},
                    "queue": self._longrun.queue,
                }
                urls = tuple(self.urls)
                try:
                    answer = http.post(f"{urls[number % len(urls)]}/tasks", json=body)
                except httpx.TransportError:
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
                    self.accepted.append(answer.json()["task_id"])

    def await_load(self) -> None:
        """Wait until more has been accepted."""
        enough = len(self.accepted) + ENOUGH
        until(lambda: len(self.accepted) >= enough, what="submissions are accepted")

    def follow(self, job_id: str) -> list[int]:
        """The seqs of a job's stream, resumed by Last-Event-ID wherever an API ends it."""
        seen: list[int] = []
        with httpx.Client(timeout=30) as http:
            while not self._follow(http, f"{self.urls[-1]}/tasks/{job_id}/stream", seen):
                time.sleep(0.05)  # as a client pauses before it connects again
        return seen

    def _follow(self, http: httpx.Client, url: str, seen: list[int]) -> bool:
        try:
            with http.stream("GET", url, headers={"last-event-id": str(seen[-1])} if seen else {}) as response:
                event: dict[str, str] = {}
                for line in response.iter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        event[name] = value
                        continue
                    if "id" in event:
                        seen.append(int(event["id"]))
                    if event.get("event") == "state" and json.loads(event["data"])["status"] == "SUCCESS":
                        return True
                    event = {}
        except httpx.TransportError:
            pass
        return False


@pytest.mark.timeout(600)  # processes start, one after the other
def test_a_rolling_deploy_under_load_loses_nothing_and_runs_nothing_again_that_finished(apart: Harness) -> None:
    rollout = Rollout(apart)
    apis = [rollout.api(), rollout.api()]
    workers = [apart.worker(f"old-{number}", 2, **WORKER_ENV) for number in range(2)]
    staying = jobs_that_stay(apart, workers)
    with ThreadPoolExecutor(4) as pool:
        clients: list[Future[None]] = [pool.submit(rollout.submit, client) for client in range(0, 300, 100)]
        story = pool.submit(rollout.follow, staying[0])
        try:
            for number, (api, worker) in enumerate(zip(apis, workers, strict=True)):
                rollout.api()
                rollout.urls.remove(api.url)
                api.terminate()
                apart.worker(f"new-{number}", 2, **WORKER_ENV)
                worker.terminate()
                rollout.await_load()
                assert worker.wait() == 0
                assert api.wait() == 0
        finally:
            rollout.over.set()
            (apart.folder / "go").touch()
        for client in clients:
            client.result()
        jobs = [*staying, *rollout.accepted]
        apart.all_reach(jobs, "SUCCESS")
        seen = story.result()
    rows = apart.sql("SELECT fence, attempt, crashes, losses FROM jobs WHERE id = ANY(%s::uuid[])", jobs)
    assert {(row["attempt"], row["crashes"], row["losses"]) for row in rows} == {(1, 0, 0)}
    assert all(apart.job(job_id)["fence"] > 1 for job_id in staying), "they were handed back"
    assert seen == list(range(1, apart.job(staying[0])["last_seq"] + 1))
    check(apart, jobs)


def jobs_that_stay(longrun: Harness, workers: list[Process]) -> list[str]:
    """Jobs that run until they may go, at least one on each worker."""
    jobs: list[str] = []
    pids: set[int] = set()
    while not all(pids.intersection(worker.pids) for worker in workers):
        jobs.append(longrun.submit("test_stay", {"folder": str(longrun.folder)}))
        pids.add(longrun.runs(jobs[-1]).pid)
    return jobs
