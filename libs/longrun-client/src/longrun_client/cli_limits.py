"""`longrun limits …`: how many tasks with the same concurrency key run at once."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client import tables_queues
from longrun_client.cli_options import Json, OfOwner, connect, stands_alone
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.text import printable

app = typer.Typer()

Key = Annotated[str, typer.Argument(metavar="KEY", help="The concurrency key.")]


@app.callback(invoke_without_command=True)
def list_limits(
    context: typer.Context,
    *,
    owner: Annotated[str | None, typer.Option(help="Only keys of this owner.")] = None,
    as_json: Json = False,
) -> None:
    """List, set or clear the limits of concurrency keys.

    Tasks with the same key run one at a time unless the key has a limit.
    """
    if stands_alone(context, as_json):
        with connect(context) as client:
            found = client.concurrency_limits(owner=owner)
            print_lines(found) if as_json else print_table(tables_queues.limit_table(found))


@app.command("set")
def set_limit(
    context: typer.Context,
    key: Key,
    most: Annotated[int, typer.Argument(metavar="N", help="How many tasks with the key may run at once.")],
    *,
    owner: OfOwner = None,
    as_json: Json = False,
) -> None:
    """Limit how many tasks with a key run at once. Running tasks continue."""
    with connect(context) as client:
        limit = client.set_concurrency_limit(key, most, owner=owner)
    if as_json:
        print_lines([limit])
    else:
        stdout().print(f"{printable(limit.key)}: at most {limit.max_running} at once", soft_wrap=True)


@app.command()
def clear(context: typer.Context, key: Key, owner: OfOwner = None) -> None:
    """Remove the limit of a key: its tasks run one at a time again."""
    with connect(context) as client:
        client.clear_concurrency_limit(key, owner=owner)
    stderr().print(f"{printable(key)}: one at a time", soft_wrap=True)
