"""Tables of tasks, attempts, workers, task types and schedules for the terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from longrun_client.models import Attempt, CancelReceipt, Task, TaskType, Worker
from longrun_client.models_counts import TaskCounts
from longrun_client.models_schedules import Schedule
from longrun_client.text import age, amount, duration, error_text, local_time, printable, run_time, status_text

OUTCOMES: Final = {"success": "green", "failed": "red", "running": "cyan", "cancelled": "magenta"}


def task_table(tasks: Iterable[Task]) -> Table:
    """One row per task."""
    table = new_table("ID", "TYPE", "STATUS", "TRY", "AGE", "TOOK", "PROGRESS")
    for task in tasks:
        table.add_row(
            task.task_id,
            printable(task.task_type),
            status_text(task.status),
            str(task.attempt),
            age(task.created_at),
            run_time(task),
            Text(amount(task.progress), no_wrap=True),
        )
    return table


def count_table(found: TaskCounts) -> Table:
    """One row per status."""
    table = new_table("STATUS", "TASKS")
    for status, tasks in found.counts.items():
        table.add_row(status_text(status), f"{tasks.count:,}{'' if tasks.exact else '+'}")
    return table


def attempt_table(attempts: Iterable[Attempt]) -> Table:
    """One row per attempt."""
    table = new_table("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "HOST")
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


def worker_table(workers: Iterable[Worker], *, with_tasks: bool = True) -> Table:
    """One row per worker, and one for each of its running tasks if they are wanted.

    BUSY is how many tasks it runs, of those it has room for.
    """
    table = new_table("WORKER", "STATE", "BUSY", "QUEUES", "HOST", "PID", "UP", "SEEN")
    for worker in workers:
        table.add_row(
            worker.id,
            worker.state,
            _busy(worker),
            printable(", ".join(worker.queues)),
            printable(worker.host),
            str(worker.pid),
            age(worker.started_at),
            f"{age(worker.heartbeat_at)} ago",
        )
        for task in worker.tasks if with_tasks else ():
            table.add_row(Text(task.task_id, "cyan"), Text("runs", "cyan"), task.lane or "", printable(task.task_type))
    return table


def task_type_table(task_types: Iterable[TaskType]) -> Table:
    """Task types with their descriptions and an example command each."""
    table = new_table("TASK TYPE", "QUEUE", "TRIES", "WHAT IT DOES")
    for task_type in task_types:
        table.add_row(
            Text(printable(task_type.name), "bold"),
            printable(task_type.queue),
            str(task_type.max_attempts),
            Text.assemble(printable(task_type.description), "\n", (example_command(task_type), "cyan")),
        )
    return table


def schedule_table(schedules: Iterable[Schedule]) -> Table:
    """One row per schedule."""
    table = new_table("NAME", "CRON", "TIMEZONE", "NEXT", "RUNS", "SKIPPED", "MISSED", "TASK TYPE")
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


def schedule_sheet(schedule: Schedule) -> Table:
    """All fields of a schedule except its task, one per line."""
    return sheet(_schedule_fields(schedule))


def task_sheet(task: Task) -> Table:
    """All fields of a task except its input and result, one per line."""
    return sheet(_task_fields(task))


def example_command(task_type: TaskType) -> str:
    """A command line that submits the task type's example."""
    return " ".join(["longrun submit", task_type.name, *_arguments(task_type.example or {})])


def _task_fields(task: Task) -> Iterator[tuple[str, str | Text]]:
    yield "id", task.task_id
    yield "type", printable(task.task_type)
    yield "status", status_text(task.status)
    yield "error", error_text(task.error) if task.error else ""
    yield "progress", amount(task.progress)
    yield "attempt", _attempt(task)
    yield "queue", f"{printable(task.queue)}, priority {task.priority or 0}" if task.queue else ""
    yield "concurrency", printable(task.concurrency_key or "")
    yield "rate", printable(task.rate_key or "")
    yield "fairness", printable(task.fairness_key or "")
    yield "owner", printable(task.owner or "")
    yield "dedupe", printable(task.dedupe_key or "")
    yield "tags", printable(", ".join(task.tags))
    yield "metadata", printable(json.dumps(task.metadata, ensure_ascii=False)) if task.metadata else ""
    yield "created", f"{local_time(task.created_at)}, {age(task.created_at)} ago"
    yield "started", local_time(task.started_at) if task.started_at else ""
    yield "finished", local_time(task.finished_at) if task.finished_at else ""
    yield "took", run_time(task)
    yield "cancel", _cancel(task.cancel) if task.cancel else ""
    yield "events", str(task.seq)
    yield "trace", task.trace_id or ""


def _attempt(task: Task) -> str:
    if task.max_attempts is None:
        return str(task.attempt)
    if task.tries in (None, task.attempt):
        return f"{task.attempt} of {task.max_attempts}"
    return f"{task.attempt}, by tries {task.tries} of {task.max_attempts}"


def _schedule_fields(schedule: Schedule) -> Iterator[tuple[str, str | Text]]:
    error = schedule.error
    yield "id", schedule.schedule_id
    yield "name", printable(schedule.name)
    yield "owner", printable(schedule.owner or "")
    yield "cron", f"{printable(schedule.cron)} in {printable(schedule.timezone)}"
    yield "next", _next(schedule)
    yield "error", Text(printable(error.message), "red") if error else ""
    yield "overlap", printable(schedule.overlap)
    yield "missed runs", printable(schedule.missed_runs)
    yield "deadline", f"{schedule.start_deadline_s:g} s" if schedule.start_deadline_s else ""
    yield "last", local_time(schedule.last_at) if schedule.last_at else ""
    yield "ticks", f"{schedule.runs} ran, {schedule.skipped} skipped, {schedule.missed} missed"
    yield "created", f"{local_time(schedule.created_at)}, {age(schedule.created_at)} ago"


def room_text(by_lane: Mapping[str, int]) -> str:
    """The room of the lane that has the most; a server of an earlier version says nothing about it."""
    return str(max(by_lane.values())) if by_lane else "-"


def _busy(worker: Worker) -> str:
    if not worker.room:  # a server of an earlier version counts children
        return f"{len(worker.tasks)}/{worker.concurrency}"
    runs = sum(worker.runs.values())
    return f"{runs}/{runs + max(worker.room.values())}"


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


def sheet(fields: Iterable[tuple[str, str | Text]]) -> Table:
    """The fields that have a value, one per line."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, value in fields:
        if value:
            lines.add_row(label, value)
    return lines


def new_table(*columns: str) -> Table:
    """A table with these headings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True, overflow="fold")
    table.add_column(columns[-1], overflow="ellipsis")
    return table
