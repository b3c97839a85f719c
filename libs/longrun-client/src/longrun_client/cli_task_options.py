"""The options of a task on the command line: of `longrun submit`, and of the task of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from longrun_client import cli_completion
from longrun_client.cli_groups import TIME, with_group
from longrun_client.inputs import from_json

FIELDS: Final = {"timeout": "timeout_s", "delay": "delay_s", "tag": "tags"}
"""Fields of the API whose options have other names."""
RETRY: Final = {"retry_backoff": "backoff_s", "retry_backoff_max": "backoff_max_s", "retry_jitter": "jitter"}
"""Options for the members of `retry`."""


WEBHOOK: Final = {"webhook": "url", "webhook_event": "events", "webhook_format": "format"}
"""Options for the members of `webhook`."""


def _task_options(
    *,
    queue: Annotated[str | None, typer.Option(help="Queue of the task.", autocompletion=cli_completion.queues)] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9; 9 is the most urgent.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Maximum duration of one attempt, in seconds.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Maximum number of tries.")] = None,
    retry_backoff: Annotated[
        float | None, typer.Option(help="Seconds before the second attempt; doubled with each further one.")
    ] = None,
    retry_backoff_max: Annotated[float | None, typer.Option(help="Most seconds between two attempts.")] = None,
    retry_jitter: Annotated[
        float | None, typer.Option(help="Share, 0 to 1, by which a delay varies at random, up or down.")
    ] = None,
    concurrency_key: Annotated[
        str | None,
        typer.Option(help="Tasks with the same key run one at a time, or as many as `longrun limits` shows."),
    ] = None,
    rate_key: Annotated[
        str | None, typer.Option(help="Tasks with the same key start only as often as `longrun rate-limits` shows.")
    ] = None,
    fairness_key: Annotated[
        str | None, typer.Option(help="Keys take turns in a queue; e.g. the id of a tenant.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Label of the task; may be repeated.")] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="A JSON object that is returned with the task.")
    ] = None,
) -> None:
    """The options of a task, wherever it is made: only their declaration counts."""


def _time_options(
    *,
    run_at: Annotated[datetime | None, typer.Option(help="Earliest start.", **TIME)] = None,
    delay: Annotated[float | None, typer.Option(help="Earliest start, in seconds from now.")] = None,
    expires_at: Annotated[
        datetime | None, typer.Option(help="Latest start: a task that has not started by then fails.", **TIME)
    ] = None,
    dedupe_key: Annotated[
        str | None, typer.Option(help="While a task with this key is live, print that one and submit no other.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Where to send the task's events.")] = None,
    webhook_event: Annotated[
        list[str] | None,
        typer.Option(help="task.running, task.success, task.failed or task.cancelled; default: the last three."),
    ] = None,
    webhook_format: Annotated[str | None, typer.Option(help="standard or cloudevents; default: standard.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose task it is; an operator may submit for any owner.")] = None,
) -> None:
    """The options that only a single submission has: only their declaration counts."""


def fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the API for these options, without those that are not given."""
    values = {name: value for name, value in given.items() if value not in (None, [])}
    retry = {RETRY[name]: values.pop(name) for name in RETRY if name in values}
    if "metadata" in values:
        values["metadata"] = from_json(values["metadata"], "--metadata")
    webhook = {field: values.pop(name) for name, field in WEBHOOK.items() if name in values}
    if webhook:
        values["webhook"] = {"url": "", **webhook}
    return {FIELDS.get(name, name): value for name, value in values.items()} | ({"retry": retry} if retry else {})


with_task_options: Final = with_group("options", _task_options, fields)
"""Give a command the options of a task, in the place of its parameter `options`: a dict of the API's fields."""
with_submit_options: Final = with_group("times", _time_options, fields)
"""Give a command the options of one submission, in the place of its parameter `times`."""
