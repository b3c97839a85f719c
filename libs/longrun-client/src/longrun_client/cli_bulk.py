"""`longrun cancel` and `longrun retry`: of one task, of several, or of all that match every option."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from longrun_client.cli_filters import (
    CreatedAfter,
    CreatedBefore,
    ErrorPart,
    FinishedAfter,
    FinishedBefore,
    InputPart,
    Metadata,
    Queues,
    Schedule,
    Statuses,
    Tags,
    TaskTypes,
    of_options,
)
from longrun_client.cli_options import Json, connect
from longrun_client.cli_tasks import INTERRUPTED, Follow, cancel_one, follow_task, retry_one
from longrun_client.client import Longrun
from longrun_client.console import print_lines, stderr, stdout
from longrun_client.inputs import InputError
from longrun_client.models import Status
from longrun_client.models_bulk import BulkOutcome, BulkResult
from longrun_client.text import printable

MOST_IDS: Final = 1000
"""The most ids of one request."""
REFUSED: Final = 2
DONE: Final = {"cancel": "cancelled", "retry": "retried"}

app = typer.Typer()

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of tasks; without any, give options.")]
All = Annotated[bool, typer.Option("--all", help="Every task.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be changed.")]


@app.command(epilog="Example: longrun cancel --queue reports --status PENDING --dry-run")
def cancel(
    context: typer.Context,
    ids: Ids = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Of one task: wait until its run has stopped.")] = False,
    status: Statuses = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Tags = None,
    schedule: Schedule = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    finished_after: FinishedAfter = None,
    finished_before: FinishedBefore = None,
    metadata: Metadata = None,
    input_json: InputPart = None,
    error: ErrorPart = None,
    every: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Cancel a task, several tasks, or all tasks that match every option."""
    given = locals()
    with connect(context) as client:
        if ids and len(ids) == 1 and not dry_run and not _has_filter(client, given):
            cancel_one(client, ids[0], wait=wait, as_json=as_json)
        elif wait:
            raise InputError("--wait: give one id with it")
        else:
            _change(client, "cancel", given)


@app.command(epilog="Example: longrun retry --status FAILED --finished-after 2026-11-24 --error timeout")
def retry(
    context: typer.Context,
    ids: Ids = None,
    *,
    follow: Follow = False,
    status: Statuses = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Tags = None,
    schedule: Schedule = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    finished_after: FinishedAfter = None,
    finished_before: FinishedBefore = None,
    metadata: Metadata = None,
    input_json: InputPart = None,
    error: ErrorPart = None,
    every: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Retry a task that FAILED or was CANCELLED, several such tasks, or all that match every option."""
    given = locals()
    with connect(context) as client:
        if ids and len(ids) == 1 and not dry_run and not _has_filter(client, given):
            retry_one(client, ids[0], follow=follow, as_json=as_json)
        elif follow:
            raise InputError("--follow: give one id with it")
        else:
            _change(client, "retry", given)


def _has_filter(client: Longrun, given: Mapping[str, Any]) -> bool:
    return bool(given["every"] or of_options(client, given))


def _change(client: Longrun, action: str, given: Mapping[str, Any]) -> None:
    ids, wanted, every = given["ids"], of_options(client, given), given["every"]
    if ids and (wanted or every):
        raise InputError("give ids or options that select tasks, not both")
    if not ids and not wanted and not every:
        raise InputError(f"give ids, or options that select tasks; --all means every task: longrun {action} --help")
    if ids:
        _show_outcomes(action, list(_by_ids(client, action, ids, dry_run=given["dry_run"])), as_json=given["as_json"])
        return
    call = client.cancel_many if action == "cancel" else client.retry_many
    if given["dry_run"] or not given["yes"]:
        counted = call(all=every, dry_run=True, **wanted)
        if given["dry_run"]:
            _show_counts(action, counted, as_json=given["as_json"])
            return
        _ask(action, counted)
    done = call(all=every, **wanted)
    if done.task is not None:
        follow_task(client, done.task.task_id, given["as_json"], said=f"{action} goes on as task {done.task.task_id}")
    _show_counts(action, done, as_json=given["as_json"])


def _by_ids(client: Longrun, action: str, ids: Sequence[str], *, dry_run: bool) -> Iterator[BulkResult]:
    call = client.cancel_many if action == "cancel" else client.retry_many
    once = list(dict.fromkeys(ids))
    for start in range(0, len(once), MOST_IDS):
        yield call(once[start : start + MOST_IDS], dry_run=dry_run)


def _ask(action: str, counted: BulkResult) -> None:
    count = f"{counted.changed:,} {'task' if counted.changed == 1 else 'tasks'}"
    many = count if counted.exact else f"at least {count}"
    if not sys.stdin.isatty():
        raise InputError(f"this would {action} {many}: repeat the command with --yes")
    if not typer.confirm(f"{action.capitalize()} {many}?", err=True):
        stderr().print("nothing was changed")
        raise typer.Exit(INTERRUPTED)


def _show_counts(action: str, result: BulkResult, *, as_json: bool) -> None:
    if as_json:
        print_lines([result])
        return
    would = "would be " if result.dry_run else ""
    skipped = ", ".join(f"{count:,} {status}" for status, count in sorted(result.skipped.items()))
    more = "" if result.exact else " (at least: counting ends at a bound)"
    left = f"; left as they are: {skipped}" if skipped else ""
    stdout().print(f"{result.changed:,} {would}{DONE[action]}{left}{more}", soft_wrap=True)


def _show_outcomes(action: str, results: Sequence[BulkResult], *, as_json: bool) -> None:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    if as_json:
        print_lines(outcomes)
    else:
        would = "would be " if results[0].dry_run else ""
        for outcome in outcomes:
            said = f"{would}{DONE[action]}" if outcome.outcome == "changed" else _why_not(outcome)
            stdout().print(printable(f"{outcome.task_id}  {said}"), soft_wrap=True)
    if not all(_is_done(action, outcome) for outcome in outcomes):
        raise typer.Exit(REFUSED)


def _why_not(outcome: BulkOutcome) -> str:
    return outcome.detail or ("there is no such task" if outcome.status is None else f"it is {outcome.status}")


def _is_done(action: str, outcome: BulkOutcome) -> bool:
    """Whether the task is now what the action makes of it: a second cancel is no error."""
    return outcome.outcome == "changed" or (action == "cancel" and outcome.status is Status.CANCELLED)
