"""Metrics across real processes: ended jobs are counted once, gauges come from the leader, rules ask what exists."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from longrun_local import services
from longrun_local.ports import free_port
from tests.harness import NOTICED_S, Harness, environment
from tests.otlp import Receiver
from tests.processes import READY_S, Process, Stack
from tests.promql import Selector, exported, grouped_by, selectors
from tests.waiting import until

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "charts/longrun/files/rules.yaml").read_text())
DASHBOARD = json.loads((ROOT / "charts/longrun/files/dashboard.json").read_text())
TARGET_LABELS = {"namespace"}
"""What Prometheus adds to a series in Kubernetes."""

QUEUE = "measured"
STATES = ("full", "free")
POST_S = 0.5
"""A submission that waits for a collector takes longer."""
HOUR_S = 3600.0
"""An age in seconds is less, one in another unit or since 1970 is more."""
ENDED = """
SELECT task_type, queue, status, error ->> 'kind' AS kind, count(*) FROM jobs
WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def api(shared_stack: Stack, receiver: Receiver) -> Process:
    return shared_stack.api(env=environment(shared_stack.folder) | receiver.environment)


@pytest.fixture(scope="module")
def worker(shared_stack: Stack, receiver: Receiver, api: Process) -> Process:
    del api  # leads, as it was there first
    env = environment(shared_stack.folder) | receiver.environment | {"LONGRUN_QUEUES": QUEUE}
    return shared_stack.worker("worker", env=env)


@pytest.fixture(scope="module")
def measured(
    shared_stack: Stack, receiver: Receiver, api: Process, worker: Process, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    """A stack in which a job has ended in every way that there is, and some have not."""
    with httpx.Client(base_url=api.url, timeout=30) as client:
        folder = tmp_path_factory.mktemp("diaries")
        harness = Harness(shared_stack, client, QUEUE, folder, [worker])
        end_in_every_way(harness)
        # what a child has not sent when it is killed is lost
        until_counted(receiver, harness)
        until_requeued(receiver, retry=5)
        harness.reaches(harness.submit("test_poison", {"deaths": 9}), "FAILED", within_s=60)
        lose_a_worker(harness, receiver)
        harness.submit("test_polite", {"seconds": 600, "folder": str(folder)})
        harness.submit("echo", delay_s=1000)
        harness.submit("echo", queue="nobody")
        answer_503(shared_stack, receiver, folder)
        yield harness


def end_in_every_way(harness: Harness) -> None:
    succeed = [harness.submit("echo") for _ in range(20)] + [harness.submit("test_flaky", {"failures": 1})]
    fail = [
        harness.submit("test_flaky", {"failures": 9}),
        harness.submit("sleep", {"seconds": 60}, timeout_s=0.3),
        harness.submit("echo", queue="nobody", expires_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat()),
    ]
    cancelled = [harness.submit("echo", delay_s=1000), harness.submit("sleep", {"seconds": 60})]
    harness.reaches(cancelled[1], "RUNNING")
    for job_id in cancelled:
        harness.api.delete(f"/tasks/{job_id}")
    harness.all_reach(succeed, "SUCCESS")
    harness.all_reach(fail, "FAILED", within_s=60)
    harness.all_reach(cancelled, "CANCELLED")


def lose_a_worker(harness: Harness, receiver: Receiver) -> None:
    env = environment(harness.stack.folder) | receiver.environment | {"LONGRUN_QUEUES": "doomed"}
    doomed = harness.stack.worker("doomed", concurrency=1, env=env)
    job_id = harness.submit("sleep", {"seconds": 1}, queue="doomed")
    harness.reaches(job_id, "RUNNING")
    doomed.kill_group()
    harness.reaches(job_id, "PENDING", within_s=NOTICED_S)


def answer_503(stack: Stack, receiver: Receiver, folder: Path) -> None:
    """By an API whose database does not exist."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = receiver.environment | {"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none"}
    lonely = stack.start("api", services.api("127.0.0.1", port), {**env, **at(folder.name)})

    def answer() -> httpx.Response | None:
        try:
            return httpx.get(f"{url}/tasks", timeout=5)
        except httpx.TransportError:
            return None

    assert until(answer, READY_S, "an answer").status_code == httpx.codes.SERVICE_UNAVAILABLE
    until(lambda: receiver.total("http.server.request.duration", http__response__status_code=503), what="the 503")
    lonely.terminate()


def at(instance: str) -> dict[str, str]:
    """Makes a second process of a service on this host known by a name of its own."""
    return {"OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={instance}"}


def counted(receiver: Receiver) -> Counter[tuple[str, str, str, str | None]]:
    """Ended jobs as the counters have them."""
    found: Counter[tuple[str, str, str, str | None]] = Counter()
    for series, value in list(receiver.values.items()):
        if series.name == "longrun.jobs.ended":
            key = (series["longrun.task_type"], series["longrun.queue"], series["longrun.job.status"])
            found[*key, series["error.type"]] += int(value)
    return found


def stored(harness: Harness) -> Counter[tuple[str, str, str, str | None]]:
    """Ended jobs as the table has them."""
    return Counter(
        {(row["task_type"], row["queue"], row["status"], row["kind"]): row["count"] for row in harness.sql(ENDED)}
    )


def until_counted(receiver: Receiver, harness: Harness) -> None:
    """Wait until the counters have the ended jobs of the table."""
    until(lambda: counted(receiver) == stored(harness), what=lambda: f"{counted(receiver)} becomes {stored(harness)}")


def until_requeued(receiver: Receiver, **expected: int) -> None:
    """Wait until so many jobs were counted that went back to their queue, by reason."""

    def requeued() -> dict[str, float]:
        return {reason: receiver.total("longrun.jobs.requeued", longrun__reason=reason) for reason in expected}

    until(lambda: requeued() == expected, what=lambda: f"{requeued()} becomes {expected}")


def test_every_job_that_ended_is_counted_once_whoever_ended_it(measured: Harness, receiver: Receiver) -> None:
    until_counted(receiver, measured)
    kinds = {(status, kind) for _, _, status, kind in counted(receiver)}
    ways = {("FAILED", kind) for kind in ("raised", "worker_lost", "timeout", "expired")}
    assert kinds == ways | {("SUCCESS", None), ("CANCELLED", None)}


def test_runs_that_did_not_end_their_job_are_counted_by_reason(measured: Harness, receiver: Receiver) -> None:
    del measured
    until_requeued(receiver, retry=5, crash=2, loss=1)


def test_what_is_open_is_shown_by_the_leading_keeper_alone(measured: Harness, receiver: Receiver) -> None:
    def open_jobs() -> dict[tuple[str, ...], float]:
        attributes = ("longrun.queue", "longrun.task_type", "longrun.state")
        return {
            tuple(series[attribute] for attribute in attributes): value
            for series, value in list(receiver.values.items())
            if series.name == "longrun.jobs.open" and value
        }

    expected = {
        (QUEUE, "test_polite", "running"): 1,
        (QUEUE, "echo", "waiting"): 1,
        ("nobody", "echo", "ready"): 1,
        ("doomed", "sleep", "ready"): 1,
    }
    until(lambda: open_jobs() == expected, what=lambda: f"{open_jobs()} becomes {expected}")
    assert {series.service for series in receiver.values if series.name == "longrun.jobs.open"} == {"longrun-api"}
    until(lambda: receiver.total("longrun.workers", longrun__queue=QUEUE, longrun__state="active") == 1)

    def children() -> dict[str, float]:
        return {
            state: receiver.total("longrun.children", longrun__queue=QUEUE, longrun__state=state) for state in STATES
        }

    until(lambda: children() == {"full": 1, "free": 1}, what=lambda: f"{children()} are one full, one free")
    assert 0 < receiver.total("longrun.queue.oldest.age", longrun__queue="nobody") < HOUR_S
    assert 0 <= receiver.total("longrun.worker.heartbeat.age", longrun__queue=QUEUE) < HOUR_S


def test_each_run_and_each_claim_is_timed(measured: Harness, receiver: Receiver) -> None:
    until(lambda: receiver.total("longrun.job.run.duration", longrun__task_type="echo") == 20)
    assert receiver.total("longrun.job.pickup.duration", longrun__task_type="echo") == 20
    assert receiver.total("longrun.claim.duration", longrun__queue=QUEUE) > 0
    assert receiver.total("longrun.wakeups.sent", longrun__queue=QUEUE) > 0
    accepted = measured.sql("SELECT count(*) FROM jobs")[0]["count"]
    until(lambda: receiver.total("longrun.jobs.accepted") == accepted)


def test_a_new_child_takes_over_the_series_of_the_one_it_replaces(
    measured: Harness, receiver: Receiver, worker: Process
) -> None:
    before = {sender["service.instance.id"] for sender in list(receiver.resources.values())}
    host = os.uname().nodename
    assert {f"{host}/0", f"{host}/1", f"{host}/supervisor", host} <= before
    job_id = measured.submit("test_poison", {"deaths": 1})
    measured.reaches(job_id, "SUCCESS")
    done = measured.submit("echo")
    measured.reaches(done, "SUCCESS")
    until_counted(receiver, measured)
    assert set(receiver.resources) == before
    assert worker.popen.poll() is None


ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
RECORDED = {rule["record"]: next(selectors(rule["expr"])).metric for rule in ALL_RULES if "record" in rule}
"""What rules record, and the metric whose series are summed up there."""
EXPRESSIONS = {
    **{rule.get("alert", rule.get("record")): rule["expr"] for rule in ALL_RULES},
    **{
        f"{panel['title']} {target['refId']}": target["expr"].replace("$namespace", ".*").replace("$queue", ".*")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    },
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_rules_and_dashboard_ask_for_metrics_that_the_stack_sends(
    measured: Harness, receiver: Receiver, name: str
) -> None:
    del measured

    def found(selector: Selector) -> list[dict[str, str]]:
        names = [pair for series in list(receiver.values) for pair in exported(series)]
        wanted = RECORDED.get(selector.metric, selector.metric)
        return [labels for metric, labels in names if metric == wanted and selector.takes(labels)]

    asked = list(selectors(EXPRESSIONS[name]))
    assert asked
    labels: set[str] = set(TARGET_LABELS)
    for selector in asked:
        for series in until(partial(found, selector), what=f"{selector}"):
            labels |= series.keys()
    assert grouped_by(EXPRESSIONS[name]) <= labels


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    alerts = [rule for rule in ALL_RULES if "alert" in rule]
    assert all({"summary", "description"} <= alert["annotations"].keys() for alert in alerts)
    assert {alert["labels"]["severity"] for alert in alerts} == {"critical", "warning"}


def test_a_keeper_that_no_longer_leads_ends_its_gauges_with_zero(stack: Stack) -> None:
    with Receiver() as receiver:
        env = environment(stack.folder) | receiver.environment

        def shown(metric: str) -> dict[str, float]:
            return {series.service: value for series, value in list(receiver.values.items()) if series.name == metric}

        first = stack.keeper(env | {"OTEL_SERVICE_NAME": "first"})
        with httpx.Client(base_url=stack.api(env={"LONGRUN_KEEPER_S": "3600"}).url) as client:
            client.post("/tasks", json={"task_type": "echo", "input": {}}).raise_for_status()
        until(lambda: shown("longrun.jobs.open") == {"first": 1}, what="the first keeper leads")
        first.send(signal.SIGSTOP)
        stack.keeper(env | {"OTEL_SERVICE_NAME": "second"})
        until(lambda: shown("longrun.jobs.open") == {"first": 1, "second": 1}, what="the second keeper leads")
        first.send(signal.SIGCONT)
        until(lambda: shown("longrun.jobs.open") == {"first": 0, "second": 1}, what="the first ends its gauges")
        until(lambda: shown("longrun.keeper.leader") == {"first": 0, "second": 1}, what="one leads")


def test_with_a_dead_collector_posts_stay_quick_and_every_process_ends_in_time(stack: Stack) -> None:
    nobody = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
    }
    api, worker, keeper = stack.api(env=nobody), stack.worker(env=nobody), stack.keeper(env=nobody)
    with httpx.Client(base_url=api.url, timeout=30) as client:
        harness = Harness(stack, client, "default", stack.folder)
        times = []
        for _ in range(100):
            began = time.monotonic()
            harness.submit("echo")
            times.append(time.monotonic() - began)
        harness.reaches(harness.submit("echo"), "SUCCESS")
    assert statistics.median(times) < POST_S
    for process in (worker, keeper, api):
        process.terminate()
        process.wait()


COUNT_AND_FORK = """
import os, time
from jobcore.telemetry import metrics, traces
traces.setup("forker", "0", spans=False)
metrics.workers_lost(3)
traces.flush()
if os.fork() == 0:  # as a task does that uses multiprocessing
    time.sleep(1.5)  # longer than an interval of exports: that it sends nothing can only be waited for
    os._exit(0)
os.wait()
traces.flush()
"""


def run_alone(code: str, env: dict[str, str]) -> str:
    """Run it in a process of its own; what it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env=inherited | env, timeout=60, stderr=subprocess.STDOUT, text=True)


def test_a_process_that_a_task_forks_sends_nothing_of_its_parents() -> None:
    with Receiver() as receiver:
        # the console tells what a forked gRPC channel might swallow
        said = run_alone(COUNT_AND_FORK, receiver.environment | at("pod-a") | {"OTEL_METRICS_EXPORTER": "console,otlp"})
        assert receiver.total("longrun.workers.lost") == 3
        assert set(re.findall('"service.instance.id": "(.+)"', said)) == {"pod-a/0"}


SET_UP_FOR_METRICS = """
import sys
from jobcore.telemetry import traces
traces.setup("quiet", spans=False)
print("opentelemetry.sdk" in sys.modules)
"""


def test_where_metrics_are_switched_off_nothing_is_loaded_for_them() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    assert run_alone(SET_UP_FOR_METRICS, endpoint).strip() == "True"
    assert run_alone(SET_UP_FOR_METRICS, endpoint | {"OTEL_METRICS_EXPORTER": "none"}).strip() == "False"


SPAN_AND_COUNT = """
from opentelemetry import trace
from jobcore.telemetry import metrics, traces
traces.setup("metrics-only")
trace.get_tracer("test").start_span("x", kind=trace.SpanKind.SERVER).end()
metrics.workers_lost(1)
traces.flush()
"""


def test_with_an_endpoint_for_metrics_alone_no_span_is_sent_anywhere() -> None:
    with Receiver() as receiver:
        endpoint = receiver.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        said = run_alone(SPAN_AND_COUNT, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint})
        assert receiver.total("longrun.workers.lost") == 1
        assert "exporting traces" not in said
