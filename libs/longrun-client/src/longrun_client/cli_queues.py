"""`longrun queues …`: list, show, pause, resume, limit and delete queues."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client import cli_completion, tables_queues
from longrun_client.cli_options import Json, connect, stands_alone
from longrun_client.cli_rates import parse_rate
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.inputs import InputError
from longrun_client.models_queues import Queue
from longrun_client.text import printable

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue's name.", autocompletion=cli_completion.queues)]


@app.callback(invoke_without_command=True)
def list_queues(context: typer.Context, as_json: Json = False) -> None:
    """List queues and the tasks in each; show, pause, resume, limit or delete a queue."""
    if stands_alone(context, as_json):
        with connect(context) as client:
            found = client.queues()
            print_lines(found) if as_json else print_table(tables_queues.queue_table(found))


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show a queue and the tasks in it, counted further than in the list."""
    with connect(context) as client:
        found = [client.queue(name)]
    if as_json:
        print_lines(found)
    else:
        print_table(tables_queues.queue_table(found, tables_queues.COUNTED_ALONE_TO))


@app.command()
def pause(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Pause a queue: none of its tasks starts until it is resumed. Running tasks continue."""
    with connect(context) as client:
        _say(client.pause_queue(name), as_json)


@app.command()
def resume(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Resume a paused queue."""
    with connect(context) as client:
        _say(client.resume_queue(name), as_json)


@app.command()
def limit(
    context: typer.Context,
    name: Name,
    most: Annotated[str, typer.Argument(metavar="N|none", help="How many of its tasks may run at once.")],
    as_json: Json = False,
) -> None:
    """Limit how many tasks of a queue run at once; `none` removes the limit. Running tasks continue."""
    with connect(context) as client:
        _say(client.limit_queue(name, _number(most)), as_json)


@app.command("rate-limit")
def rate_limit(
    context: typer.Context,
    name: Name,
    rate: Annotated[str, typer.Argument(metavar="N/WINDOW|none", help="Such as 100/1s, 30/1m or 1000/1h.")],
    as_json: Json = False,
) -> None:
    """Limit how many tasks of a queue start within any window; `none` removes the limit. Running tasks continue."""
    max_starts, window_s = (None, 1.0) if rate == "none" else parse_rate(rate)
    with connect(context) as client:
        _say(client.limit_queue_rate(name, max_starts, window_s), as_json)


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a queue with its pause and its limit, unless tasks or workers use it."""
    with connect(context) as client:
        client.delete_queue(name)
    stderr().print(f"{printable(name)}: deleted", soft_wrap=True)


def _number(most: str) -> int | None:
    if most == "none":
        return None
    if not (most.isascii() and most.isdigit()):
        raise InputError(f"N: {most!r} is neither a whole number nor none")
    return int(most)


def _say(queue: Queue, as_json: bool) -> None:
    if as_json:
        print_lines([queue])
        return
    limit = "no limit" if queue.max_running is None else f"at most {queue.max_running} at once"
    if queue.rate_limit:
        limit += f", at most {queue.rate_limit.max_starts} starts within {queue.rate_limit.window_s:g} s"
    stdout().print(f"{printable(queue.name)}: {'paused' if queue.paused else 'not paused'}, {limit}", soft_wrap=True)
    if not queue.workers:
        stderr().print("no worker serves this queue now: check its name with `longrun queues`", soft_wrap=True)
