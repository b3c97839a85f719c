"""`longrun run-local`, `dev`, `run` and `demo`, which need the packages of `longrun[server]`.

The client does not import the server's packages. They register their commands in the entry point group
`longrun.commands`: functions that return an exit code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Annotated, Final, cast

import typer

from longrun_client.cli_options import File, Input, input_files
from longrun_client.errors import ServerNotInstalled
from longrun_client.inputs import InputError
from longrun_client.server import DEFAULT_URL

GROUP: Final = "longrun.commands"

app = typer.Typer()


@app.command()
def run_local() -> None:
    """Run all of Longrun on this machine until Ctrl-C: PostgreSQL, Valkey, the API and workers.

    The data stays in LONGRUN_HOME (.longrun). Settings such as LONGRUN_PORT are read from the environment.
    """
    raise typer.Exit(server_command("run-local")())


@app.command(epilog="Example: longrun dev tasks.py")
def dev(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASKS…", help="Files, folders or modules of task types; default: LONGRUN_TASKS."),
    ] = None,
) -> None:
    """Run all of Longrun with your task types, and start API and workers anew when you save a file.

    Otherwise it does the same as `longrun run-local`.
    """
    raise typer.Exit(server_command("dev")(tasks or []))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: longrun run greet --tasks tasks.py --name Ada",
)
def run(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="TASK_TYPE", help="Without it, they are listed.")] = None,
    *,
    tasks: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="File, folder or module of task types; may be repeated."),
    ] = None,
    input_json: Input = None,
    file: File = None,
    owner: Annotated[str | None, typer.Option(help="What the task finds as `ctx.owner`.")] = None,
    wants_help: Annotated[bool, typer.Option("--help", help="Show this message, or the fields of a task.")] = False,
) -> None:
    """Run one task here, without any server. Give its input as --NAME VALUE for each field, or with --input.

    The result goes to stdout; log, progress and output go to stderr. Ctrl-C cancels the task. Task types are found as
    `longrun run-local` finds them: in LONGRUN_TASKS and in installed packages; and in --tasks.
    """
    if name is None and wants_help:
        print(context.get_help())
        raise typer.Exit
    if name is not None and name.startswith("-"):
        raise InputError(f"{name}: the task type comes first: longrun run TASK_TYPE {name} …")
    command = server_command("run")
    raise typer.Exit(
        command(
            name, context.args, input_json, tasks or [], files=input_files(file), owner=owner, wants_help=wants_help
        )
    )


@app.command()
def demo(context: typer.Context) -> None:
    """Serve a small web site and scrape it. Needs `longrun run-local` in another terminal."""
    if context.obj != DEFAULT_URL:
        os.environ["LONGRUN_URL"] = context.obj
    raise typer.Exit(server_command("demo")())


def server_command(name: str) -> Callable[..., int]:
    """The command that a package of the server registers; raises ServerNotInstalled."""
    for entry_point in entry_points(group=GROUP, name=name):
        return cast(Callable[..., int], entry_point.load())
    raise ServerNotInstalled(
        f"`longrun {name}` needs the packages of the server: install longrun[server] of the same version"
    )
