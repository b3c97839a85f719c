"""`--workers`: several API processes on one socket stop, die, hang and fail as one process does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.harness import sql
from tests.processes import Process, Stack
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

COUNT = 3


@pytest.fixture
def api(stack: Stack) -> Process:
    """An API of several processes."""
    env = {"LONGRUN_API_WORKERS": str(COUNT), "LONGRUN_LOG_FORMAT": "json", "LONGRUN_ACCESS_LOG": "true"}
    first = stack.api(env=env)
    until(lambda: len(lines(first, "Started server process")) == COUNT, what="all processes serve")
    return first


def lines(api: Process, event: str) -> list[dict[str, object]]:
    """The log lines that begin with these words."""
    parsed = [json.loads(line) for line in api.log().splitlines() if line.startswith("{")]
    return [line for line in parsed if str(line["event"]).startswith(event)]


def numbers(api: Process, event: str) -> set[str]:
    """The numbers of the processes that wrote such lines."""
    return {str(line["process"]) for line in lines(api, event)}


def siblings(api: Process) -> list[psutil.Process]:
    return psutil.Process(api.pid).children()


@pytest.fixture
def answers(api: Process) -> Iterator[list[httpx.Response | Exception]]:
    """What clients get that submit one task after the other, each over a new connection."""
    over, found = Event(), list[httpx.Response | Exception]()

    def submit() -> None:
        while not over.is_set():
            body = {"task_type": "echo", "input": {}, "queue": f"siblings-{uuid4().hex[:6]}"}
            try:
                found.append(httpx.post(f"{api.url}/tasks", json=body, timeout=60))
            except httpx.TransportError as error:
                found.append(error)

    with ThreadPoolExecutor(COUNT) as clients:
        for _ in range(COUNT):
            clients.submit(submit)
        yield found
        over.set()


def more(answers: list[httpx.Response | Exception], count: int = 20) -> None:
    """Wait for more answers."""
    least = len(answers) + count
    until(lambda: len(answers) >= least, what="more answers")


def accepted(answers: list[httpx.Response | Exception]) -> list[str]:
    return [answer.json()["task_id"] for answer in answers if isinstance(answer, httpx.Response)]


@pytest.mark.parametrize("signum", cases([signal.SIGKILL, signal.SIGSTOP]))
def test_a_process_that_dies_or_hangs_is_replaced_and_costs_no_more_than_the_requests_that_it_had(
    api: Process, answers: list[httpx.Response | Exception], stack: Stack, signum: signal.Signals
) -> None:
    more(answers)
    victim = siblings(api)[1]
    victim.send_signal(signum)
    until(lambda: len(lines(api, "Started server process")) == COUNT + 1, what="the process is replaced")
    assert victim.pid not in [each.pid for each in siblings(api)]
    more(answers)
    [ended] = lines(api, "an API process has ended")
    assert (ended["pid"], ended["exit_code"]) == (victim.pid, -signal.SIGKILL)
    assert ended["process"] == lines(api, "Started server process")[-1]["process"], "its successor has another number"
    seen = list(answers)
    assert sum(isinstance(each, Exception) for each in seen) <= COUNT
    assert {each.status_code for each in seen if isinstance(each, httpx.Response)} == {202}
    ids = accepted(seen)
    stored = sql(stack.database_url, "SELECT id FROM jobs WHERE id = ANY(%s::uuid[])", ids)
    assert len(stored) == len(set(ids)) == len(ids)


def test_all_processes_handle_requests_and_name_themselves_in_their_log_lines(
    api: Process, answers: list[httpx.Response | Exception]
) -> None:
    more(answers)
    every = {str(number) for number in range(1, COUNT + 1)}
    assert numbers(api, "Started server process") == every
    until(lambda: numbers(api, "request") == every, what="each process has handled a request")


def test_sigterm_lets_open_requests_of_all_processes_end_and_closes_the_socket(api: Process) -> None:
    body = {"task_type": "echo", "input": {}, "queue": "nobody-serves-this"}
    with ThreadPoolExecutor(6) as clients, httpx.Client(base_url=api.url, timeout=60) as client:
        head = {"prefer": "wait=50"}
        waiting = [
            clients.submit(httpx.post, f"{api.url}/tasks", json=body, headers=head, timeout=60) for _ in "123456"
        ]
        until(lambda: len(client.get("/tasks?queue=nobody-serves-this").json()["items"]) >= 6, what="all are accepted")
        api.terminate()
        assert {each.result().status_code for each in waiting} == {202}
    assert api.wait() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{api.url}/healthz", timeout=5)


def test_the_others_end_when_the_first_process_is_killed(api: Process) -> None:
    others = siblings(api)
    api.kill()
    gone, alive = psutil.wait_procs(others, timeout=60)
    assert (len(gone), alive) == (COUNT, [])


def test_a_process_that_cannot_start_ends_all_with_its_exit_code() -> None:
    run = (
        "import socket, sys; from longrun_api.siblings import Siblings\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "sys.exit(Siblings([sys.executable, '-c', 'import sys; sys.exit(7)'], listener, 3).run())"
    )
    ended = subprocess.run([sys.executable, "-c", run], check=False, timeout=60, capture_output=True)
    assert ended.returncode == 7, ended.stderr


def test_a_port_in_use_and_a_wrong_number_are_told(api: Process) -> None:
    port = api.url.rpartition(":")[2]
    for arguments, told in [(["--port", port, "--workers", "2"], "in use"), (["--workers", "0"], "must be 1 to 64")]:
        command = [sys.executable, "-m", "longrun_api", *arguments]
        ended = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
        assert ended.returncode != 0
        assert told in ended.stderr
