"""`longrun quotas …`: what single owners may take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, cast

import typer
from rich.table import Table

from longrun_client.cli_options import Json, connect, stands_alone
from longrun_client.console import print_lines, print_table, stderr
from longrun_client.inputs import InputError
from longrun_client.models_quotas import Amounts, Quota
from longrun_client.tables import new_table
from longrun_client.text import printable

app = typer.Typer()

Owner = Annotated[str, typer.Argument(metavar="OWNER", help="The owner.")]
Submissions = Annotated[str, typer.Option("--submissions", metavar="N", help="Tasks in a second, or `any`.")]
Names = Annotated[str, typer.Option("--names", metavar="N", help="Schedules and limits together, or `any`.")]
Queued = Annotated[str, typer.Option("--queued", metavar="N", help="Tasks that are PENDING at once, or `any`.")]
Streams = Annotated[str, typer.Option("--streams", metavar="N", help="Streams that are open at once, or `any`.")]
StoredBytes = Annotated[
    str, typer.Option("--stored-bytes", metavar="N", help="Bytes of inputs, results and files, or `any`.")
]


@app.callback(invoke_without_command=True)
def list_quotas(context: typer.Context, as_json: Json = False) -> None:
    """List, show, set or clear the quotas of owners. It takes a key with the scope admin and without an owner."""
    if stands_alone(context, as_json):
        with connect(context) as client:
            found = client.quotas()
            print_lines(found) if as_json else print_table(_table(found))


@app.command("show")
def show_quota(context: typer.Context, owner: Owner, as_json: Json = False) -> None:
    """Show what an owner may take and has taken; a key of that owner may ask too."""
    with connect(context) as client:
        found = [client.quota(owner)]
    print_lines(found) if as_json else print_table(_table(found))


@app.command("set")
def set_quota(
    context: typer.Context,
    owner: Owner,
    submissions: Submissions = "",
    queued: Queued = "",
    names: Names = "",
    streams: Streams = "",
    stored_bytes: StoredBytes = "",
    as_json: Json = False,
) -> None:
    """Give an owner quotas of its own. What is left out is as in the settings. They hold within five seconds."""
    amounts = _amounts(submissions=submissions, queued=queued, names=names, streams=streams, stored_bytes=stored_bytes)
    with connect(context) as client:
        found = [client.set_quota(owner, **amounts)]
    print_lines(found) if as_json else print_table(_table(found))


@app.command("clear")
def clear_quota(context: typer.Context, owner: Owner) -> None:
    """Give an owner the quotas of the server's settings again."""
    with connect(context) as client:
        client.clear_quota(owner)
    stderr().print(f"{printable(owner)}: the quotas of the settings", soft_wrap=True)


def _amounts(**given: str) -> Amounts:
    amounts = {name: _number(name, text) for name, text in given.items() if text}
    if not amounts:
        raise InputError(f"give at least one of {', '.join(map(_option, given))}")
    return cast(Amounts, amounts)


def _number(name: str, text: str) -> int | None:
    if text == "any":
        return None
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{_option(name)} {text!r} must be a number or `any`")
    return int(text)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(amount: int | None) -> str:
    return "any" if amount is None else str(amount)


def _table(quotas: Iterable[Quota]) -> Table:
    table = new_table("OWNER", "SUBMISSIONS/S", "QUEUED", "NAMES", "STREAMS", "BYTES", "FROM")
    for quota in quotas:
        queued = f"{quota.used.queued} of {_shown(quota.queued)}"
        names = f"{quota.used.names} of {_shown(quota.names)}"
        streams = f"{'-' if quota.used.streams is None else quota.used.streams} of {_shown(quota.streams)}"
        stored = f"{quota.used.stored_bytes} of {_shown(quota.stored_bytes)}"
        origin = "settings" if quota.is_default else "its own"
        table.add_row(printable(quota.owner), _shown(quota.submissions), queued, names, streams, stored, origin)
    return table
