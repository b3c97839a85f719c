"""`longrun cancel` and `longrun retry`: of one task, of several, or of all that match every option."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import typer

from longrun_client.cli_completion import task_ids
from longrun_client.cli_filters import Filter, with_filter
from longrun_client.cli_ids import all_whole
from longrun_client.cli_options import IdempotencyKey, Json, connect
from longrun_client.cli_tasks import INTERRUPTED, Follow, cancel_one, follow_task, retry_one
from longrun_client.client import Longrun
from longrun_client.console import print_lines, stderr, stdout
from longrun_client.inputs import InputError
from longrun_client.models import Status
from longrun_client.models_bulk import BulkOutcome, BulkResult
from longrun_client.options import FilterOptions
from longrun_client.text import printable

MOST_IDS: Final = 1000
"""The most ids of one request."""
REFUSED: Final = 2
DONE: Final = {"cancel": "cancelled", "retry": "retried"}

app = typer.Typer()

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help="Ids of tasks, or their beginnings; without any, give options.",
        callback=all_whole,
        autocompletion=task_ids,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every task.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be changed.")]


@dataclass(frozen=True, slots=True)
class _Request:
    """What the options of a command ask for."""

    action: Literal["cancel", "retry"]
    ids: Sequence[str]
    wanted: FilterOptions
    every: bool
    yes: bool
    dry_run: bool
    as_json: bool
    key: str | None

    @property
    def only_id(self) -> str | None:
        """The id, if one task shall be changed and nothing else is said."""
        has_more = self.wanted or self.every or self.dry_run
        return self.ids[0] if len(self.ids) == 1 and not has_more else None

    def key_of(self, number: int) -> str | None:
        """The idempotency key of one of several requests: each needs one of its own."""
        return f"{self.key}/{number}" if self.key and number else self.key


@app.command(epilog="Example: longrun cancel --queue reports --status PENDING --dry-run")
@with_filter
def cancel(
    context: typer.Context,
    ids: Ids = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Of one task: wait until its run has stopped.")] = False,
    selected: Filter,
    every: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Cancel a task, several tasks, or all tasks that match every option."""
    with connect(context) as client:
        request = _Request("cancel", ids or [], selected.of(client), every, yes, dry_run, as_json, idempotency_key)
        if request.only_id:  # DELETE needs no key: the second one returns the same receipt
            cancel_one(client, request.only_id, wait=wait, as_json=as_json)
        elif wait:
            raise InputError("--wait: give one id with it")
        else:
            _change(client, request)


@app.command(epilog="Example: longrun retry --status FAILED --finished-after 2026-11-24 --error timeout")
@with_filter
def retry(
    context: typer.Context,
    ids: Ids = None,
    *,
    follow: Follow = False,
    selected: Filter,
    every: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Retry a task that FAILED or was CANCELLED, several such tasks, or all that match every option."""
    with connect(context) as client:
        request = _Request("retry", ids or [], selected.of(client), every, yes, dry_run, as_json, idempotency_key)
        if request.only_id:
            retry_one(client, request.only_id, key=request.key, follow=follow, as_json=as_json)
        elif follow:
            raise InputError("--follow: give one id with it")
        else:
            _change(client, request)


def _change(client: Longrun, request: _Request) -> None:
    action, wanted, every = request.action, request.wanted, request.every
    if request.ids and (wanted or every):
        raise InputError("give ids or options that select tasks, not both")
    if not request.ids and not wanted and not every:
        raise InputError(f"give ids, or options that select tasks; --all means every task: longrun {action} --help")
    call = client.cancel_many if action == "cancel" else client.retry_many
    if request.ids:
        results = [
            call(ids, dry_run=request.dry_run, idempotency_key=request.key_of(number))
            for number, ids in enumerate(_by_request(request.ids))
        ]
        _show_outcomes(action, results, as_json=request.as_json)
        return
    if request.dry_run or not request.yes:
        counted = call(all=every, dry_run=True, **wanted)
        if request.dry_run:
            _show_counts(action, counted, as_json=request.as_json)
            return
        _ask(action, counted)
    done = call(all=every, idempotency_key=request.key, **wanted)
    if done.task is not None:
        follow_task(client, done.task.task_id, request.as_json, said=f"{action} goes on as task {done.task.task_id}")
    _show_counts(action, done, as_json=request.as_json)


def _by_request(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids without repetitions, as many together as one request may have."""
    once = list(dict.fromkeys(ids))
    return (once[start : start + MOST_IDS] for start in range(0, len(once), MOST_IDS))


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
