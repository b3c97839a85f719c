"""`longrun keys …`: who may use the API. Keys are given in LONGRUN_API_KEY: command lines are for others to see."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client import cli_completion, tables_keys
from longrun_client.cli_local import server_command
from longrun_client.cli_options import Json, connect, stands_alone
from longrun_client.console import print_lines, print_table, stderr
from longrun_client.models_keys import NewApiKey

app = typer.Typer()

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The id of the key.", autocompletion=cli_completion.key_ids)]
Scopes = Annotated[
    list[str],
    typer.Option("--scope", help="submit, read, cancel, operate or admin; may be repeated.", show_default=False),
]
Days = Annotated[float | None, typer.Option("--days", min=0, help="Days after which it expires; default: never.")]
DAY_S = 86_400


@app.callback(invoke_without_command=True)
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List, make, rotate and revoke API keys. It takes a key with the scope admin."""
    if stands_alone(context, as_json):
        with connect(context) as client:
            found = client.api_keys()
            print_lines(found) if as_json else print_table(tables_keys.key_table(found))


@app.command("create", epilog="Example: longrun keys create nightly --scope submit --scope read --owner ada")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What people call it, such as the program that uses it.")],
    scopes: Scopes,
    owner: Annotated[str | None, typer.Option(help="Whose tasks it is for; default: that of your own key.")] = None,
    days: Days = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is never shown again."""
    with connect(context) as client:
        _print_new(client.create_key(name, scopes, owner=owner, expires_in_s=_seconds(days)), as_json)


@app.command("show")
def show_key(context: typer.Context, key_id: KeyId, as_json: Json = False) -> None:
    """Show a key, without its secret."""
    with connect(context) as client:
        found = [client.api_key(key_id)]
    print_lines(found) if as_json else print_table(tables_keys.key_table(found))


@app.command("rotate")
def rotate_key(
    context: typer.Context,
    key_id: KeyId,
    overlap_s: Annotated[float, typer.Option(min=0, help="Seconds for which the old key is still accepted.")] = 0,
    days: Days = None,
    as_json: Json = False,
) -> None:
    """Make a key with the same name, owner and scopes, and print it; the old one expires."""
    with connect(context) as client:
        _print_new(client.rotate_key(key_id, overlap_s=overlap_s, expires_in_s=_seconds(days)), as_json)


@app.command("revoke")
def revoke_key(context: typer.Context, key_id: KeyId, as_json: Json = False) -> None:
    """Revoke a key for good: within 5 seconds it is refused, and its open streams end."""
    with connect(context) as client:
        revoked = client.revoke_key(key_id)
    if as_json:
        print_lines([revoked])
    else:
        stderr().print(f"{revoked.id} is revoked")


@app.command("new")
def new_key() -> None:
    """Print a key that no server knows yet, for LONGRUN_BOOTSTRAP_KEY. Needs the packages of the server."""
    raise typer.Exit(server_command("keys-new")())


@app.command("bootstrap")
def bootstrap() -> None:
    """Make the first key of an admin in DATABASE_URL itself, and print it. Needs the packages of the server."""
    raise typer.Exit(server_command("keys-bootstrap")())


def _seconds(days: float | None) -> float | None:
    return None if days is None else days * DAY_S


def _print_new(made: NewApiKey, as_json: bool) -> None:
    if as_json:
        print_lines([made])
    else:
        stderr().print(f"{made.id}: keep the key, it is never shown again")
        print(made.key)
