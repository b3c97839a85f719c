"""Single lines of text for the terminal, without control characters."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.json import JSON
from rich.text import Text

from longrun_client.models import Event, LogLine, Progress, Status, Task, TaskError
from longrun_client.models_output import Piece
from longrun_client.models_watch import TaskEvent

STYLES: Final = {
    Status.PENDING: "yellow",
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "magenta",
}
LEVELS: Final = {"debug": "dim", "warning": "yellow", "error": "red"}
# Control characters from a task could control the terminal, and those for the direction of text could feign another
# text; lone surrogates cannot be printed.
DIRECTION: Final = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
UNPRINTABLE: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{DIRECTION}]")


def printable(text: str) -> str:
    r"""The text with its control characters escaped, such as \u001b."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def pretty_json(value: Any) -> str:
    """A value as indented JSON."""
    return printable(json.dumps(value, indent=2, ensure_ascii=False))


def print_json(console: Console, value: Any) -> None:
    """Print a value as indented JSON, in colour on a terminal."""
    text = pretty_json(value)
    console.print(JSON(text, ensure_ascii=False) if console.is_terminal else text, soft_wrap=True)


def duration(seconds: float) -> str:
    """A duration in readable form: 7 ms, 1.4 s, 42 s, 3 m 20 s, 5 h 2 m, 3 d 4 h."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, part_size, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part_size:.0f} {part}"
    return f"{seconds:.0f} s"


def age(at: datetime) -> str:
    """The time since `at`."""
    return duration((datetime.now(UTC) - at).total_seconds())


def run_time(task: Task) -> str:
    """How long the latest attempt has run or ran; empty before the first."""
    if task.started_at is None:
        return ""
    return duration(((task.finished_at or datetime.now(UTC)) - task.started_at).total_seconds())


def local_time(at: datetime) -> str:
    """A time in the local time zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def amount(progress: Progress | None) -> str:
    """Progress as text: `3/10 fetching page 3`."""
    if progress is None:
        return ""
    done = f"{progress.done:g}" if progress.total is None else f"{progress.done:g}/{progress.total:g}"
    return printable(f"{done} {progress.message or ''}".strip())


def status_text(status: Status) -> Text:
    """A status in its colour."""
    return Text(status, STYLES[status])


def error_text(error: TaskError) -> str:
    """An error as text: `raised ValueError: no such page`."""
    kind = f"{error.kind} {error.type}" if error.type and error.type != error.kind else error.kind
    return printable(f"{kind}: {error.message}" if error.message else kind)


def log_line(line: LogLine) -> Text:
    """A log line as text."""
    return _stamped(line.at, line.level, line.message, LEVELS.get(line.level, ""))


def piece_text(data: Any) -> str:
    """The value of a piece of output as text: a string as it is, another value as JSON."""
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def piece_line(piece: Piece) -> Text:
    """A piece of output as text."""
    return _stamped(piece.at, piece.name, piece_text(piece.data))


def event_line(event: Event) -> Text | None:
    """An event as a line; None for kinds that are not printed, such as checkpoints."""
    data = event.data
    if event.kind == "log":
        level = str(data.get("level", "info"))
        return _stamped(event.at, level, str(data.get("message", "")), LEVELS.get(level, ""))
    if event.kind == "output":
        return piece_line(Piece.of(event))
    if event.kind == "progress":
        return _stamped(event.at, "progress", amount(Progress.model_validate(data)))
    if event.status is not None:
        return _stamped(event.at, event.status, _state_text(event), STYLES[event.status])
    return None


def task_event_line(event: TaskEvent) -> Text:
    """An event of one of many tasks as a line: `12:00:07 FAILED    echo 01a2…  attempt 3: raised ValueError: no`."""
    if event.status is None:
        label, style, said = event.kind, "", amount(Progress.model_validate(event.data))
    else:
        label, style, said = str(event.status), STYLES[event.status], _state_text(event)
    line = _stamped(event.at, label, f"{event.task_type} {event.task_id}", style)
    return Text.assemble(line, printable(f"  {said}") if said else "")


def _state_text(event: Event) -> str:
    attempt = f"attempt {event.attempt}" if event.attempt else ""
    why = error_text(TaskError.model_validate(event.data["error"])) if event.data.get("error") else ""
    return ": ".join(filter(None, [attempt, why]))


def outcome(task: Task) -> Text:
    """The outcome of an ended task: `FAILED after 2.1 s, attempt 3: raised ValueError: no such page`."""
    took = f" after {run_time(task)}" if task.started_at else ""
    tries = f", attempt {task.attempt}" if task.attempt > 1 else ""
    why = f": {error_text(task.error)}" if task.error and task.status is Status.FAILED else ""
    return Text.assemble(status_text(task.status), f"{took}{tries}{why}")


def _stamped(at: datetime, label: str, said: str, style: str = "") -> Text:
    return Text.assemble(
        (f"{at.astimezone():%H:%M:%S} ", "dim"), (f"{printable(label):<9} ", style or "dim"), (printable(said), style)
    )
