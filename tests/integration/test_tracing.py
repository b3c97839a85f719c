"""One trace a job, across real processes: POST, wake-up, run, SQL, outgoing request. And no trace of anything else."""

from __future__ import annotations

import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from longrun_local.ports import free_port
from tests.badsite import BadSite
from tests.otlp import Receiver, Span
from tests.processes import Process, Stack
from tests.waiting import until

LANES = """
import asyncio
from opentelemetry import trace
from jobcore import task

spans = trace.get_tracer(__name__)

def part(name: str) -> None:
    spans.start_span(name).end()

async def awaited(name: str) -> None:
    await asyncio.sleep(0.01)
    part(name)

@task(queue="spans")
async def asks() -> None:
    await asyncio.sleep(0.01)
    part("of the task")
    await asyncio.gather(awaited("of an asyncio task"), asyncio.to_thread(part, "of a thread"))

@task(queue="spans", lane="thread")
def fetches() -> None:
    part("of the task")
"""
PARTS = {"asks": ["of a thread", "of an asyncio task", "of the task"], "fetches": ["of the task"]}
POST_S = 0.5
"""A submission that waits for a collector takes longer."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def site() -> Iterator[BadSite]:
    with BadSite() as site:
        yield site


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of task types that make spans."""
    path = tmp_path_factory.mktemp("tasks") / "lanes.py"
    path.write_text(LANES)
    return path


@pytest.fixture(scope="module")
def traced(shared_stack: Stack, receiver: Receiver, site: BadSite, lanes: Path) -> Iterator[httpx.Client]:
    """A client of an API that is traced, as is its scraper."""
    api = shared_stack.api(env={**receiver.environment, "LONGRUN_TASKS": str(lanes)})
    shared_stack.scraper(env={**receiver.environment, "LONGRUN_FETCH_ALLOW": site.host_port})
    with httpx.Client(base_url=api.url, timeout=30) as client:
        yield client


def new_traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def run(client: httpx.Client, body: Mapping[str, Any], traceparent: str | None = None) -> dict[str, Any]:
    """Submit a task and wait for its end; the task."""
    headers = {"traceparent": traceparent or new_traceparent()}
    answer = client.post("/tasks", json=body, headers=headers)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    path = answer.json()["links"]["self"]
    quiet = {"traceparent": f"{headers['traceparent'][:-2]}00"}

    def ended() -> dict[str, Any] | None:
        task = dict(client.get(path, headers=quiet).json())
        return task if task["finished_at"] else None

    return until(ended, what=f"{path} ends")


def scrape(site: BadSite) -> dict[str, Any]:
    return {"task_type": "web_scrape", "input": {"url": site.url + "/good"}}


def ancestors(span: Span, spans: list[Span]) -> list[str]:
    by_id = {each.span_id: each for each in spans}
    found = []
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        found.append(span.name)
    return found


def test_one_trace_spans_the_post_its_wake_up_the_run_its_sql_and_the_outgoing_request(
    traced: httpx.Client, receiver: Receiver, site: BadSite
) -> None:
    trace_id, client_span_id = until(
        lambda: claimed_by_its_own_wake_up(traced, receiver, site), what="a job is claimed by its own wake-up"
    )
    until(lambda: executed(receiver.trace(trace_id), "finish"), what="the spans of the end arrive")
    until(lambda: spans_of(receiver.trace(trace_id), "longrun-api", "SERVER", "POST"), what="the post's span arrives")
    everything = receiver.trace(trace_id)
    [post] = spans_of(everything, "longrun-api", "SERVER", "POST")
    assert post.parent_id == client_span_id
    [published] = spans_of(everything, "longrun-api", "PRODUCER", "apply_async/jobcore.work")
    assert published.parent_id == post.span_id
    [woken] = spans_of(everything, "longrun-scraper", "CONSUMER", "run/jobcore.work")
    assert woken.parent_id == published.span_id
    [job_run] = spans_of(everything, "longrun-scraper", "CONSUMER", "run web_scrape")
    assert job_run.parent_id == post.span_id
    [request] = spans_of(everything, "longrun-scraper", "CLIENT", "GET")
    assert request.parent_id == job_run.span_id
    accepts, claims, finishes = (executed(everything, name) for name in ("accept", "claim", "finish"))
    assert accepts
    assert claims
    assert all(ancestors(span, everything)[-1] == post.name for span in accepts + finishes)
    assert all(woken.name in ancestors(span, everything) for span in claims)


def test_each_of_many_runs_in_a_child_has_one_span_and_what_its_code_does_anywhere_is_below_it(
    traced: httpx.Client, receiver: Receiver, shared_stack: Stack, lanes: Path
) -> None:
    submitted = [(new_traceparent(), task_type) for _ in range(10) for task_type in PARTS]
    for traceparent, task_type in submitted:
        body = {"task_type": task_type, "input": {}}
        traced.post("/tasks", json=body, headers={"traceparent": traceparent}).raise_for_status()
    shared_stack.worker("lanes", 1, {**receiver.environment, "LONGRUN_TASKS": str(lanes), "LONGRUN_QUEUES": "spans"})

    def parts(trace_id: str) -> list[Span]:
        return [span for span in receiver.trace(trace_id) if span.name.startswith("of ")]

    def complete(trace_id: str, count: int) -> bool:
        return len(parts(trace_id)) >= count and bool(runs_of(receiver.trace(trace_id)))

    for traceparent, task_type in submitted:
        trace_id, expected = traceparent.split("-")[1], PARTS[task_type]
        until(partial(complete, trace_id, len(expected)), what="the spans of the run and its code arrive")
        [job_run] = runs_of(receiver.trace(trace_id))
        assert job_run.name == f"run {task_type}"
        assert sorted(span.name for span in parts(trace_id)) == expected
        assert {span.parent_id for span in parts(trace_id)} == {job_run.span_id}


def runs_of(spans: list[Span]) -> list[Span]:
    """The spans of a job's runs."""
    return [span for span in spans if span.kind == "CONSUMER" and "longrun.job.id" in span.attributes]


def test_the_span_of_a_request_has_its_id(traced: httpx.Client, receiver: Receiver) -> None:
    traceparent = new_traceparent()
    traced.get("/queues", headers={"traceparent": traceparent, "X-Request-Id": "seen-in-the-span"}).raise_for_status()
    trace_id = traceparent.split("-")[1]
    found = until(lambda: spans_of(receiver.trace(trace_id), "longrun-api", "SERVER", "GET"), what="its span arrives")
    assert "seen-in-the-span" in str(found[0].attributes["http.request.header.x-request-id"])


def executed(spans: list[Span], statement: str) -> list[Span]:
    """The spans of this prepared statement."""
    return [span for span in spans if f"EXECUTE longrun_{statement}" in span.attributes.get("db.statement", "")]


def claimed_by_its_own_wake_up(client: httpx.Client, receiver: Receiver, site: BadSite) -> tuple[str, str] | None:
    """Run a job; its trace and the client's span, or None if a wake-up of another job or of the keeper claimed it."""
    traceparent = new_traceparent()
    _, trace_id, client_span_id, _ = traceparent.split("-")
    task = run(client, scrape(site), traceparent)
    assert (task["status"], task["trace_id"]) == ("SUCCESS", trace_id)

    def span(start: str) -> Span | None:
        return next(iter(spans_of(receiver.trace(trace_id), "longrun-scraper", "CONSUMER", start)), None)

    job_run = until(lambda: span("run web_scrape"), what="the run's span arrives")
    woken = until(lambda: span("run/jobcore.work"), what="the wake-up's span arrives")
    assert job_run.attributes["longrun.job.id"] == task["task_id"]
    assert len(job_run.links) == 1
    return (trace_id, client_span_id) if job_run.links == (woken.span_id,) else None


def spans_of(spans: list[Span], service: str, kind: str, start: str) -> list[Span]:
    return [span for span in spans if (span.service, span.kind) == (service, kind) and span.name.startswith(start)]


def test_a_stream_is_one_span_however_many_events_it_carries(
    traced: httpx.Client, receiver: Receiver, site: BadSite
) -> None:
    task = run(traced, scrape(site))
    traceparent = new_traceparent()
    stream = traced.get(task["links"]["stream"], headers={"traceparent": traceparent})
    assert stream.text.count("event: ") >= 4
    trace_id = traceparent.split("-")[1]
    until(lambda: [span for span in receiver.trace(trace_id) if span.kind == "SERVER"], what="its span arrives")
    run(traced, scrape(site))
    assert [span.kind for span in receiver.trace(trace_id)].count("SERVER") == 1
    assert [span for span in receiver.trace(trace_id) if span.kind == "INTERNAL"] == []


def test_housekeeping_and_probes_make_no_traces_of_their_own(
    traced: httpx.Client, receiver: Receiver, site: BadSite
) -> None:
    for probe in ("/healthz", "/readyz"):
        assert traced.get(probe).status_code == httpx.codes.OK
    # delayed jobs are woken by the keeper, which serves no request; what ends before the last run is received by then
    requests = [new_traceparent() for _ in range(3)]
    for traceparent in requests:
        assert run(traced, {**scrape(site), "delay_s": 0.5}, traceparent)["status"] == "SUCCESS"
    last = requests[-1].split("-")[1]
    until(lambda: [span for span in receiver.trace(last) if span.name == "run web_scrape"], what="the last run's span")
    strangers = [span for span in list(receiver.spans) if not span.parent_id]
    assert [(span.service, span.name, span.attributes.get("db.statement")) for span in strangers] == []


def test_the_spans_of_the_last_job_are_sent_when_its_worker_is_told_to_end(
    shared_stack: Stack, traced: httpx.Client, receiver: Receiver
) -> None:
    lazy = {**receiver.environment, "OTEL_BSP_SCHEDULE_DELAY": "60000", "LONGRUN_QUEUES": "flush"}
    worker = shared_stack.worker("leaving", env=lazy)
    traceparent = new_traceparent()
    trace_id = traceparent.split("-")[1]
    task = run(traced, {"task_type": "echo", "input": {}, "queue": "flush"}, traceparent)
    assert task["status"] == "SUCCESS"
    assert [span for span in receiver.trace(trace_id) if span.service == "longrun-leaving"] == []
    worker.terminate()
    assert worker.wait() == 0
    names = [span.name for span in receiver.trace(trace_id) if span.service == "longrun-leaving"]
    assert "run echo" in names


def test_with_a_dead_collector_posts_stay_quick_and_jobs_run(stack: Stack) -> None:
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    api = stack.api(env=nobody)
    worker = stack.worker(env=nobody)
    with httpx.Client(base_url=api.url, timeout=30) as client:
        times = [timed_post(client) for _ in range(100)]
        assert run(client, {"task_type": "echo", "input": {}})["status"] == "SUCCESS"
    assert statistics.median(times) < POST_S
    worker.terminate()
    assert worker.wait() == 0


def timed_post(client: httpx.Client) -> float:
    began = time.monotonic()
    answer = client.post("/tasks", json={"task_type": "echo", "input": {}})
    assert answer.status_code == httpx.codes.ACCEPTED
    return time.monotonic() - began


def test_without_an_endpoint_no_process_loads_the_sdk_or_has_a_trace(stack: Stack) -> None:
    processes = [stack.api(), stack.worker()]
    with httpx.Client(base_url=processes[0].url, timeout=30) as client:
        task = run(client, {"task_type": "echo", "input": {}})
    assert task["status"] == "SUCCESS"
    for process in processes:
        assert not any("cygrpc" in libraries for libraries in mapped_files(process)), process.name


def mapped_files(process: Process) -> list[str]:
    """The libraries that each process has loaded (Linux)."""
    maps = [Path(f"/proc/{pid}/maps") for pid in process.pids]
    return [path.read_text() for path in maps if path.exists()]


@pytest.mark.parametrize("module", ["longrun_api.main", "longrun_worker.app", "longrun_scraper.app"])
def test_importing_a_service_without_an_endpoint_does_not_import_the_sdk(module: str) -> None:
    code = f"import sys, {module}; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}).stdout
    assert output.strip().splitlines()[-1] == "[]"
