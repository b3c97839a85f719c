"""`longrun audit-log`: what operators and admins did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table
from longrun_client.models_audit import AuditLogEntry
from longrun_client.tables import new_table
from longrun_client.text import local_time, printable

app = typer.Typer()


@app.command("audit-log", epilog="Example: longrun audit-log --subject default")
def audit_log(
    context: typer.Context,
    actor: Annotated[str | None, typer.Option(help="Only acts of this actor, such as the id of a key.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only acts on what has this name or id.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only acts on what this owner has.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show who changed queues, limits, schedules and keys, newest first. It takes a key with the scope admin."""
    with connect(context) as client:
        found = islice(client.audit_log(actor=actor, subject=subject, owner=owner), limit)
        print_lines(found) if as_json else print_table(_table(found))


def _table(entries: Iterable[AuditLogEntry]) -> Table:
    table = new_table("AT", "ACTOR", "FROM", "ACT", "ON", "CHANGE")
    for entry in entries:
        actor = entry.actor if entry.actor_owner is None else f"{entry.actor} for {entry.actor_owner}"
        subject = entry.subject if entry.owner is None else f"{entry.subject} of {entry.owner}"
        table.add_row(
            local_time(entry.at),
            printable(actor),
            printable(entry.address or "-"),
            printable(entry.act),
            printable(f"{entry.kind} {subject}"),
            printable(changes(entry.before or {}, entry.after or {})),
        )
    return table


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs: `paused false -> true`. A setting that there was not, or is not any more, counts as null."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {json.dumps(before.get(name))} -> {json.dumps(after.get(name))}" for name in names)
