"""`longrun secrets …`: the keys that encrypt the inputs of tasks with secrets. Needs the packages of the server."""

from __future__ import annotations

import typer

from longrun_client.cli_local import server_command

app = typer.Typer(help="Make and replace the keys that encrypt inputs with secrets.")


@app.command("new-key")
def new_key() -> None:
    """Print a key that nobody knows yet, for LONGRUN_SECRET_KEYS."""
    raise typer.Exit(server_command("secrets-new-key")())


@app.command("rotate")
def rotate() -> None:
    """Encrypt the inputs in DATABASE_URL anew, with the first key of LONGRUN_SECRET_KEYS."""
    raise typer.Exit(server_command("secrets-rotate")())
