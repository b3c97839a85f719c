"""Print the events of a running task: logs and states as lines and, on a terminal, a progress bar below them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressLine

from longrun_client.models import Event, Progress, Status
from longrun_client.text import STYLES, amount, event_line

PROGRESS_EVERY_S: Final = 1.0


def watch(events: Iterable[Event], console: Console) -> None:
    """Print events as they arrive, except the terminal one: the caller prints the outcome."""
    (_live if console.is_terminal else _plain)(events, console)


def _plain(events: Iterable[Event], console: Console) -> None:
    quiet_until = 0.0
    for event in events:
        if event.kind == "progress":
            if time.monotonic() < quiet_until:
                continue
            quiet_until = time.monotonic() + PROGRESS_EVERY_S
        _print(event, console)


def _live(events: Iterable[Event], console: Console) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
    )
    with ProgressLine(*columns, console=console, transient=True) as line:
        line.add_task(_label(Status.PENDING), total=None, said="")
        [row] = line.tasks
        for event in events:
            if event.kind == "progress":
                progress = Progress.model_validate(event.data)
                row.total = progress.total
                line.update(row.id, completed=progress.done, said=escape(amount(progress)))
            elif event.status is None or event.status.ended or event.data.get("error"):
                _print(event, line.console)
            if event.status is not None:
                row.total = None
                line.update(row.id, description=_label(event.status), completed=0, said="")


def _label(status: Status) -> str:
    return f"[{STYLES[status]}]{status}[/]"


def _print(event: Event, console: Console) -> None:
    text = event_line(event)
    if text is not None and not event.terminal:
        console.print(text, soft_wrap=True)
