"""`longrun webhooks …`: what became of the events that were sent, and what signs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from longrun_client.cli_ids import TaskId
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table
from longrun_client.models_webhooks import Delivery, WebhookSecret
from longrun_client.tables import new_table
from longrun_client.text import local_time, printable
from longrun_client.webhook_client import OVERLAP_S

app = typer.Typer(no_args_is_help=True, help="Deliveries of events to webhooks, and the secrets that sign them.")


@app.command("deliveries")
def list_deliveries(
    context: typer.Context,
    task_id: TaskId,
    as_json: Json = False,
) -> None:
    """List the latest deliveries of a task's events. `longrun retry` with the id of a failed one sends it again."""
    with connect(context) as client:
        found = client.deliveries(task_id)
    print_lines(found) if as_json else print_table(_delivery_table(found))


@app.command("secrets")
def list_secrets(context: typer.Context, as_json: Json = False) -> None:
    """Print the secrets that sign your deliveries, newest first. It takes a key with the scope admin."""
    with connect(context) as client:
        _print(client.webhook_secrets(), as_json)


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    overlap_s: Annotated[float, typer.Option(min=0, help="Seconds for which the old one also signs.")] = OVERLAP_S,
    as_json: Json = False,
) -> None:
    """Make a new secret, and print it above the old one."""
    with connect(context) as client:
        _print(client.rotate_webhook_secret(overlap_s=overlap_s), as_json)


def _print(secrets: Iterable[WebhookSecret], as_json: bool) -> None:
    print_lines(secrets) if as_json else print_table(_secret_table(secrets))


def _delivery_table(deliveries: Iterable[Delivery]) -> Table:
    table = new_table("ID", "EVENT", "STATUS", "SENT", "ANSWER", "NEXT", "ERROR")
    for one in deliveries:
        table.add_row(
            one.delivery_id,
            printable(one.type),
            printable(one.status),
            f"{one.attempts}×",
            "" if one.status_code is None else f"{one.status_code} in {one.latency_ms} ms",
            "" if one.next_at is None else local_time(one.next_at),
            printable(one.error or ""),
        )
    return table


def _secret_table(secrets: Iterable[WebhookSecret]) -> Table:
    table = new_table("SECRET", "CREATED", "SIGNS UNTIL")
    for one in secrets:
        until = "it is rotated" if one.expires_at is None else local_time(one.expires_at)
        table.add_row(printable(one.secret), local_time(one.created_at), until)
    return table
