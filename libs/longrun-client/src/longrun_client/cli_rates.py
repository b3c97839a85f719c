"""`longrun rate-limits …`: how often tasks with the same rate key start."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from longrun_client import tables_queues
from longrun_client.cli_options import Json, OfOwner, connect, stands_alone
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.inputs import InputError
from longrun_client.text import printable

app = typer.Typer()

Key = Annotated[str, typer.Argument(metavar="KEY", help="The rate key.")]
Rate = Annotated[str, typer.Argument(metavar="N/WINDOW", help="Such as 100/1s, 30/1m or 1000/1h.")]

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
RATE: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9}(?:\.[0-9]{1,9})?)?([smhd])", re.ASCII)


def parse_rate(text: str) -> tuple[int, float]:
    """How many starts, and within how many seconds: `100/1s`, `100/s` and `30/1.5m` are understood.

    Raises InputError.
    """
    match = RATE.fullmatch(text)
    if not match:
        raise InputError(f"{text!r} is no rate: write N/WINDOW, such as 100/1s, 30/1m or 1000/1h")
    return int(match[1]), float(match[2] or 1) * UNITS[match[3]]


@app.callback(invoke_without_command=True)
def list_rate_limits(
    context: typer.Context,
    *,
    owner: Annotated[str | None, typer.Option(help="Only keys of this owner.")] = None,
    as_json: Json = False,
) -> None:
    """List, show, set or clear the rate limits of keys: how many tasks of each may start within a window."""
    if stands_alone(context, as_json):
        with connect(context) as client:
            found = client.rate_limits(owner=owner)
            print_lines(found) if as_json else print_table(tables_queues.rate_limit_table(found))


@app.command("show")
def show_rate_limit(context: typer.Context, key: Key, *, owner: OfOwner = None, as_json: Json = False) -> None:
    """Show the rate limit of a key, and when its next task may start."""
    with connect(context) as client:
        found = [client.rate_limit(key, owner=owner)]
    print_lines(found) if as_json else print_table(tables_queues.rate_limit_table(found))


@app.command("set")
def set_rate_limit(
    context: typer.Context, key: Key, rate: Rate, *, owner: OfOwner = None, as_json: Json = False
) -> None:
    """Limit how many tasks with a key start within any window. Running tasks continue."""
    max_starts, window_s = parse_rate(rate)
    with connect(context) as client:
        limit = client.set_rate_limit(key, max_starts, window_s, owner=owner)
    if as_json:
        print_lines([limit])
    else:
        said = f"at most {limit.max_starts} starts within {limit.window_s:g} s"
        stdout().print(f"{printable(limit.key)}: {said}", soft_wrap=True)


@app.command()
def clear(context: typer.Context, key: Key, owner: OfOwner = None) -> None:
    """Remove the rate limit of a key."""
    with connect(context) as client:
        client.clear_rate_limit(key, owner=owner)
    stderr().print(f"{printable(key)}: no rate limit", soft_wrap=True)
