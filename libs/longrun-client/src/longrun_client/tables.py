"""Tables and pages that people read: jobs, one job, its attempts, workers, task types, schedules, queues, limits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from longrun_client.models import Attempt, CancelReceipt, Job, TaskType, Worker
from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.models_schedules import Schedule
from longrun_client.text import age, amount, duration, error_text, local_time, printable, run_time, status_text

OUTCOMES: Final = {"success": "green", "failed": "red", "running": "cyan", "cancelled": "magenta"}

COUNTED_TO: Final = 1_000
"""Where the server stops to count."""


def job_table(jobs: Iterable[Job]) -> Table:
    """Jobs, a line each."""
    table = _table("ID", "TYPE", "STATUS", "TRY", "AGE", "TOOK", "PROGRESS")
    for job in jobs:
        table.add_row(
            job.task_id,
            printable(job.task_type),
            status_text(job.status),
            str(job.attempt),
            age(job.created_at),
            run_time(job),
            Text(amount(job.progress), no_wrap=True),
        )
    return table


def attempt_table(attempts: Iterable[Attempt]) -> Table:
    """Attempts, a line each."""
    table = _table("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "HOST")
    for attempt in attempts:
        ended_at = attempt.ended_at or datetime.now(UTC)
        table.add_row(
            str(attempt.attempt),
            Text(attempt.outcome, OUTCOMES.get(attempt.outcome, "yellow")),
            local_time(attempt.started_at),
            duration((ended_at - attempt.started_at).total_seconds()),
            attempt.worker.id,
            printable(attempt.worker.host or ""),
        )
    return table


def worker_table(workers: Iterable[Worker]) -> Table:
    """Workers, a line each, and below each what it runs."""
    table = _table("WORKER", "STATE", "BUSY", "QUEUES", "HOST", "PID", "UP", "SEEN")
    for worker in workers:
        table.add_row(
            worker.id,
            worker.state,
            f"{len(worker.tasks)}/{worker.concurrency}",
            printable(", ".join(worker.queues)),
            printable(worker.host),
            str(worker.pid),
            age(worker.started_at),
            f"{age(worker.heartbeat_at)} ago",
        )
        for job in worker.tasks:
            table.add_row(Text(job.task_id, "cyan"), Text("runs", "cyan"), "", printable(job.task_type))
    return table


def task_type_table(task_types: Iterable[TaskType]) -> Table:
    """Task types, each with what it does and an example that works."""
    table = _table("TASK TYPE", "QUEUE", "TRIES", "WHAT IT DOES")
    for task_type in task_types:
        table.add_row(
            Text(printable(task_type.name), "bold"),
            printable(task_type.queue),
            str(task_type.max_attempts),
            Text.assemble(printable(task_type.description), "\n", (example_command(task_type), "cyan")),
        )
    return table


def schedule_table(schedules: Iterable[Schedule]) -> Table:
    """Schedules, a line each."""
    table = _table("NAME", "CRON", "TIMEZONE", "NEXT", "RUNS", "SKIPPED", "MISSED", "TASK TYPE")
    for schedule in schedules:
        table.add_row(
            printable(schedule.name),
            printable(schedule.cron),
            printable(schedule.timezone),
            _next(schedule),
            str(schedule.runs),
            str(schedule.skipped),
            str(schedule.missed),
            printable(str(schedule.task.get("task_type", ""))),
        )
    return table


def queue_table(queues: Iterable[Queue]) -> Table:
    """Queues, a line each."""
    table = _table("NAME", "PAUSED", "READY", "OLDEST", "BLOCKED", "WAITING", "RUNNING", "LIMIT", "WORKERS")
    for queue in queues:
        table.add_row(
            printable(queue.name),
            Text("yes", "yellow") if queue.paused else "no",
            _count(queue.ready),
            "-" if queue.oldest_s is None else duration(queue.oldest_s),
            _count(queue.blocked),
            _count(queue.waiting),
            str(queue.running),
            "none" if queue.max_running is None else str(queue.max_running),
            str(queue.workers),
        )
    return table


def limit_table(limits: Iterable[ConcurrencyLimit]) -> Table:
    """Limits of concurrency keys, a line each."""
    table = _table("KEY", "LIMIT")
    for limit in limits:
        table.add_row(printable(limit.key), str(limit.max_running))
    return table


def schedule_sheet(schedule: Schedule) -> Table:
    """Everything about a schedule but its task, a field a line."""
    return _sheet(_schedule_fields(schedule))


def job_sheet(job: Job) -> Table:
    """Everything about a job but its input and result, a field a line."""
    return _sheet(_job_fields(job))


def example_command(task_type: TaskType) -> str:
    """A command line that submits the task type's example."""
    return " ".join(["longrun submit", task_type.name, *_arguments(task_type.example or {})])


def _job_fields(job: Job) -> Iterator[tuple[str, str | Text]]:
    yield "id", job.task_id
    yield "type", printable(job.task_type)
    yield "status", status_text(job.status)
    yield "error", error_text(job.error) if job.error else ""
    yield "progress", amount(job.progress)
    yield "attempt", _attempt(job)
    yield "queue", f"{printable(job.queue)}, priority {job.priority or 0}" if job.queue else ""
    yield "concurrency", printable(job.concurrency_key or "")
    yield "fairness", printable(job.fairness_key or "")
    yield "tags", printable(", ".join(job.tags))
    yield "metadata", printable(json.dumps(job.metadata, ensure_ascii=False)) if job.metadata else ""
    yield "created", f"{local_time(job.created_at)}, {age(job.created_at)} ago"
    yield "started", local_time(job.started_at) if job.started_at else ""
    yield "finished", local_time(job.finished_at) if job.finished_at else ""
    yield "took", run_time(job)
    yield "cancel", _cancel(job.cancel) if job.cancel else ""
    yield "events", str(job.seq)
    yield "trace", job.trace_id or ""


def _attempt(job: Job) -> str:
    if job.max_attempts is None:
        return str(job.attempt)
    if job.tries in (None, job.attempt):
        return f"{job.attempt} of {job.max_attempts}"
    return f"{job.attempt}, by tries {job.tries} of {job.max_attempts}"


def _schedule_fields(schedule: Schedule) -> Iterator[tuple[str, str | Text]]:
    error = schedule.error
    yield "id", schedule.schedule_id
    yield "name", printable(schedule.name)
    yield "cron", f"{printable(schedule.cron)} in {printable(schedule.timezone)}"
    yield "next", _next(schedule)
    yield "error", Text(printable(error.message), "red") if error else ""
    yield "overlap", printable(schedule.overlap)
    yield "missed runs", printable(schedule.missed_runs)
    yield "deadline", f"{schedule.start_deadline_s:g} s" if schedule.start_deadline_s else ""
    yield "last", local_time(schedule.last_at) if schedule.last_at else ""
    yield "ticks", f"{schedule.runs} ran, {schedule.skipped} skipped, {schedule.missed} missed"
    yield "created", f"{local_time(schedule.created_at)}, {age(schedule.created_at)} ago"


def _count(jobs: int) -> str:
    return f"{jobs}+" if jobs >= COUNTED_TO else str(jobs)


def _next(schedule: Schedule) -> Text:
    if schedule.error is not None:
        return Text("error", "red")
    return Text(local_time(schedule.next_at)) if schedule.next_at else Text("paused", "yellow")


def _cancel(receipt: CancelReceipt) -> str:
    moments = {
        "requested": receipt.requested_at,
        "acknowledged": receipt.acknowledged_at,
        "stopped": receipt.stopped_at,
    }
    said = [f"{name} {local_time(at)}" for name, at in moments.items() if at]
    return ", ".join([*said, f"by {receipt.method}" if receipt.method else "still stopping"])


def _arguments(example: dict[str, Any]) -> Iterator[str]:
    for name, value in example.items():
        yield f"--{name}"
        yield shlex.quote(value if isinstance(value, str) else json.dumps(value))


def _sheet(fields: Iterable[tuple[str, str | Text]]) -> Table:
    sheet = Table.grid(padding=(0, 2))
    sheet.add_column(style="dim", no_wrap=True)
    sheet.add_column(overflow="fold")
    for label, value in fields:
        if value:
            sheet.add_row(label, value)
    return sheet


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True, overflow="fold")
    table.add_column(columns[-1], overflow="ellipsis")
    return table
