"""`longrun webhooks …`: webhooks for many tasks, what became of the events that were sent, and what signs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from longrun_client import cli_completion
from longrun_client import tables_webhooks as tables
from longrun_client.cli_ids import TaskId, whole
from longrun_client.cli_options import IdempotencyKey, Json, connect, stands_alone
from longrun_client.console import print_lines, print_table
from longrun_client.models_webhooks import Delivery, Webhook, WebhookSecret
from longrun_client.webhook_client import OVERLAP_S

app = typer.Typer()

WebhookId = Annotated[
    str,
    typer.Argument(metavar="WEBHOOK", help="Id of the webhook.", autocompletion=cli_completion.webhook_ids),
]
OfWebhook = Annotated[
    str | None,
    typer.Argument(
        metavar="[WEBHOOK]",
        help="Id of the webhook; default: those that tasks name.",
        autocompletion=cli_completion.webhook_ids,
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        help="task.running, task.success, task.failed, task.cancelled or webhook.disabled; may be repeated; default: "
        "the ends of tasks.",
    ),
]
TaskTypes = Annotated[
    list[str] | None,
    typer.Option("--task-type", help="Of this task type, or any of several.", autocompletion=cli_completion.task_types),
]
Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", help="Of this queue, or any of several.", autocompletion=cli_completion.queues),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="With this tag, or with all of several.")]
Format = Annotated[str | None, typer.Option("--format", help="standard or cloudevents.")]


@app.callback(invoke_without_command=True)
def list_webhooks(context: typer.Context, as_json: Json = False) -> None:
    """List, make, change, try and delete webhooks for many tasks. It takes a key with the scope admin."""
    if stands_alone(context, as_json):
        with connect(context) as client:
            _print(client.webhooks(), as_json)


@app.command("create", epilog="Example: longrun webhooks create https://example.com/hook --queue reports")
def create_webhook(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send the events.")],
    event: Events = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Tags = None,
    format: Format = None,
    signature: Annotated[str | None, typer.Option(help="v1, or v1a for Ed25519.")] = None,
    owner: Annotated[str | None, typer.Option(help="Of whose tasks; an operator may name any owner.")] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Send nothing until it is enabled.")] = False,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Send events of all your tasks, or of those that match, to a URL. `secrets` prints what signs them."""
    given = _settings(event, task_type, queue, tag, format)
    given |= _given(
        signature=signature, owner=owner, idempotency_key=idempotency_key, enabled=False if disabled else None
    )
    with connect(context) as client:
        _print([client.create_webhook(url, **given)], as_json)


@app.command("show")
def show_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Show a webhook, and why it is disabled."""
    with connect(context) as client:
        _print([client.webhook(webhook_id)], as_json)


@app.command("change")
def change_webhook(
    context: typer.Context,
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option(help="Where to send the events.")] = None,
    event: Events = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Tags = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Change a webhook. Options for the filter replace the whole filter."""
    with connect(context) as client:
        changes = _settings(event, task_type, queue, tag, format) | _given(url=url)
        _print([client.change_webhook(webhook_id, **changes)], as_json)


@app.command("enable")
def enable_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Send events again, and count its days of failure from 0."""
    with connect(context) as client:
        _print([client.change_webhook(webhook_id, enabled=True)], as_json)


@app.command("disable")
def disable_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Send no events, until it is enabled."""
    with connect(context) as client:
        _print([client.change_webhook(webhook_id, enabled=False)], as_json)


@app.command("delete")
def delete_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Delete a webhook. What is not delivered yet fails."""
    with connect(context) as client:
        _print([client.delete_webhook(webhook_id)], as_json)


@app.command("ping")
def ping_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Send the event `webhook.ping`, to try a webhook, even a disabled one."""
    with connect(context) as client:
        _print_deliveries([client.ping_webhook(webhook_id)], as_json)


@app.command("log")
def list_deliveries_of_webhook(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """List the deliveries to a webhook, newest first."""
    with connect(context) as client:
        _print_deliveries(client.webhook_deliveries(webhook_id), as_json)


@app.command("deliveries")
def list_deliveries(
    context: typer.Context,
    task_id: TaskId,
    as_json: Json = False,
) -> None:
    """List the latest deliveries of a task's events."""
    with connect(context) as client:
        _print_deliveries(client.deliveries(task_id), as_json)


@app.command("redeliver")
def redeliver(
    context: typer.Context,
    delivery_id: Annotated[
        str, typer.Argument(metavar="DELIVERY", help="Id of the delivery, or its beginning.", callback=whole)
    ],
    as_json: Json = False,
) -> None:
    """Send the message of a delivery once more, whatever became of it."""
    with connect(context) as client:
        _print_deliveries([client.redeliver(delivery_id)], as_json)


@app.command("secrets")
def list_secrets(context: typer.Context, webhook_id: OfWebhook = None, as_json: Json = False) -> None:
    """Print the secrets that sign deliveries, newest first."""
    with connect(context) as client:
        _print_secrets(client.webhook_secrets(webhook_id), as_json)


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    webhook_id: OfWebhook = None,
    overlap_s: Annotated[float, typer.Option(min=0, help="Seconds for which the old one also signs.")] = OVERLAP_S,
    as_json: Json = False,
) -> None:
    """Make a new secret, and print it above the old one."""
    with connect(context) as client:
        _print_secrets(client.rotate_webhook_secret(webhook_id, overlap_s=overlap_s), as_json)


def _settings(
    event: list[str] | None,
    task_type: list[str] | None,
    queue: list[str] | None,
    tag: list[str] | None,
    format: str | None,
) -> dict[str, Any]:
    """The settings that are given."""
    filter = _given(task_type=task_type, queue=queue, tag=tag)
    return _given(events=event, filter=filter, format=format)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, [], {})}


def _print(webhooks: Iterable[Webhook], as_json: bool) -> None:
    print_lines(webhooks) if as_json else print_table(tables.webhook_table(webhooks))


def _print_deliveries(deliveries: Iterable[Delivery], as_json: bool) -> None:
    print_lines(deliveries) if as_json else print_table(tables.delivery_table(deliveries))


def _print_secrets(secrets: Iterable[WebhookSecret], as_json: bool) -> None:
    print_lines(secrets) if as_json else print_table(tables.secret_table(secrets))
